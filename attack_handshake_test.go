package weft_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// Whoever does not get on with a handshake is let go, told and counted: TCP, TLS, HTTP/1.1, HTTP/2.
func TestAttackSlowHandshakes(t *testing.T) {
	const getOne = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	header := "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1000)
	tcp := func(a *arena) io.ReadWriteCloser { return a.connectTCP("") }
	over := func(proto string) func(a *arena) io.ReadWriteCloser {
		return func(a *arena) io.ReadWriteCloser { return a.connect("", proto) }
	}
	const alert = "\x15\x03\x03\x00\x02\x01\x5a\x15\x03\x03\x00\x02\x01\x00" // user_canceled, close_notify
	for _, attack := range []struct {
		name  string
		begin func(a *arena) io.ReadWriteCloser
		burst string // sent at once
		drip  string // a byte at a time, as far as it goes
		told  string // by GOAWAY, a status, or an alert
		rule  string // "": none was broken
	}{
		{name: "TCP alone", begin: tcp, told: alert, rule: "tls/handshake-timeout"},
		{name: "ClientHello", begin: tcp, drip: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 500), told: alert, rule: "tls/handshake-timeout"},
		{name: "Finished", begin: func(a *arena) io.ReadWriteCloser { return a.halfTLS() }, rule: "tls/handshake-timeout"},
		{name: "header", begin: over("http/1.1"), drip: header, told: "HTTP/1.1 408 ", rule: "http1/headers-timeout"},
		{name: "part of a header", begin: over("http/1.1"), burst: header[:30], told: "HTTP/1.1 408 ", rule: "http1/headers-timeout"},
		{name: "header of the second request", begin: over("http/1.1"), burst: getOne, drip: header, told: "HTTP/1.1 408 ", rule: "http1/headers-timeout"},
		{name: "preface", begin: over("h2"), drip: "PRI * HTT", told: "SETTINGS_TIMEOUT", rule: "http2/settings-timeout"},
		{name: "SETTINGS", begin: over("h2"), drip: http2.ClientPreface + "\x00\x00", told: "SETTINGS_TIMEOUT", rule: "http2/settings-timeout"},
		// This is what a browser's reserve connection looks like.
		{name: "TLS alone", begin: over("http/1.1")},
	} {
		t.Run(attack.name, func(t *testing.T) {
			a := newArena(t, false, func(s *weft.Server) { s.ReadHeaderTimeout = 500 * time.Millisecond })
			a.beside(16<<20, func() {
				c := attack.begin(a)
				defer c.Close()
				io.WriteString(c, attack.burst)
				ctx, stop := context.WithCancel(a.Context())
				drips := make(chan struct{})
				go func() {
					defer close(drips)
					drip(ctx, c, attack.drip)
				}()
				start := time.Now()
				var heard bytes.Buffer
				io.Copy(&heard, c) // until the server has had enough
				if d := time.Since(start); d < 400*time.Millisecond || d > attackPatience {
					t.Errorf("the attacker was let go after %v", d)
				}
				stop()
				<-drips
				if got := goAwayIn(heard.Bytes()); got != attack.told && !strings.Contains(heard.String(), attack.told) {
					t.Errorf("the attacker was told %q and %q, want %q", got, heard.String(), attack.told)
				}
			})
			if attack.rule != "" {
				a.wantCount(attack.rule, 1)
			} else {
				a.wantNoCount()
			}
		})
	}
	t.Run("field block", func(t *testing.T) {
		a := newArena(t, false, func(s *weft.Server) { s.ReadHeaderTimeout = 500 * time.Millisecond })
		a.beside(16<<20, func() {
			x := a.attackH2(false)
			x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: x.encode(":method: GET")})
			x.flush()
			x.wantGoAway(http2.ErrCodeEnhanceYourCalm)
		})
		a.wantCount("http2/headers-timeout", 1)
	})
}

// halfTLS is a connection over which everything of a TLS handshake but the client's Finished was sent.
func (a *arena) halfTLS() net.Conn {
	a.Helper()
	nc := a.connectTCP("")
	if err := tls.Client(&mute{Conn: nc}, a.tlsWith("http/1.1")).HandshakeContext(a.Context()); err != nil {
		a.Fatal(err)
	}
	return nc
}

// A mute connection sends what is written first, and swallows the rest.
type mute struct {
	net.Conn
	spoke bool
}

func (m *mute) Write(p []byte) (int, error) {
	if m.spoke {
		return len(p), nil
	}
	m.spoke = true
	return m.Conn.Write(p)
}

// drip writes s a byte at a time, until it cannot or ctx is done.
func drip(ctx context.Context, w io.Writer, s string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(s) && ctx.Err() == nil; i++ {
		if _, err := io.WriteString(w, s[i:i+1]); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// goAwayIn finds the code of a GOAWAY among frames.
func goAwayIn(b []byte) string {
	fr := http2.NewFramer(io.Discard, bytes.NewReader(b))
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return ""
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			return g.ErrCode.String()
		}
	}
}

// Without TLS it is the same, but for a connection that sends nothing: it may be one that a browser keeps in reserve.
func TestSlowHandshakesWithoutTLS(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, attack := range []struct {
		name     string
		sent     []string // 5 s apart
		told     string
		patience time.Duration // the server's
		innocent bool
	}{
		{name: "nothing", patience: 10 * time.Second, innocent: true},
		{name: "nothing after a request", sent: []string{request}, told: "HTTP/1.1 200 ", patience: time.Minute, innocent: true},
		{name: "a request in parts", sent: []string{request[:10], request[10:]}, told: "HTTP/1.1 200 ", patience: 65 * time.Second, innocent: true},
		{name: "as much as may be a preface", sent: []string{"GET / HT"}, told: "HTTP/1.1 400 ", patience: 10 * time.Second},
		{name: "half a preface", sent: []string{http2.ClientPreface[:12]}, told: "HTTP/1.1 400 ", patience: 10 * time.Second},
		{name: "half a header", sent: []string{request[:30], "X: x\r\n"}, told: "HTTP/1.1 408 ", patience: 10 * time.Second},
		{name: "half a header after a request", sent: []string{request, request[:30], "X: x\r\n"}, told: "HTTP/1.1 408 ", patience: 15 * time.Second},
		{name: "half a header at once with a request", sent: []string{request + request[:30]}, told: "HTTP/1.1 200 ", patience: 10 * time.Second},
	} {
		t.Run(attack.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				var got []weft.Violation
				s := &weft.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), IdleTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
				s.Options.Observer = &weft.Observer{Violation: func(v weft.Violation) { got = append(got, v) }}
				served := make(chan error, 1)
				l := n.Listen(serverAddr)
				go func() { served <- s.Serve(l) }()
				c, err := n.Dial(serverAddr)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for _, part := range attack.sent {
					io.WriteString(c, part)
					time.Sleep(5 * time.Second)
				}
				heard, _ := io.ReadAll(c)
				if !strings.Contains(string(heard), attack.told) || attack.told == "" && len(heard) > 0 {
					t.Errorf("the attacker was told %q", heard)
				}
				if d := time.Since(start).Truncate(time.Second); d != attack.patience {
					t.Errorf("the attacker was let go after %v", d)
				}
				synctest.Wait()
				want := weft.Violation{
					Side: "client", Protocol: "http1", Name: "headers-timeout", Limit: true, Section: "RFC 9110, Section 15.5.9",
					Detail: "client did not end the header of a request within 10s", RemoteAddr: c.LocalAddr().String(),
				}
				if attack.innocent != (len(got) == 0) || len(got) > 0 && (got[0] != want || len(got) > 1) {
					t.Errorf("counted %+v", got)
				}
				c.Close()
				s.Close()
				<-served
			})
		})
	}
}

// A header that is too large is answered by http.Server.
func TestAttackHTTP1Headers(t *testing.T) {
	a := newArena(t, false, nil)
	a.beside(16<<20, func() {
		c := a.connect("", "http/1.1")
		go io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 100<<10))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", resp, err)
		}
		// Others are wrong otherwise.
		c = a.connect("", "http/1.1")
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		if resp, err = http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%v, %v", resp, err)
		}
	})
	a.wantCount("http1/header-list-too-large", 1)
}
