package weft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

const fuzzKey = "dGhlIHNhbXBsZSBub25jZQ=="

// Whatever a handler behind Bridge writes to the connection that it has hijacked, in whatever pieces: the client sees the same; a
// WebSocket opens for a right 101 alone, and then nothing that was written behind it is lost.
func FuzzBridge(f *testing.F) {
	switching := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + handshake.AcceptKey(fuzzKey) + "\r\n"
	for _, answer := range []string{
		switching + "Sec-WebSocket-Protocol: chat\r\n\r\n\x81\x05Hello",
		"HTTP/1.1 103 Early Hints\r\n\r\n" + strings.ReplaceAll(switching, "\r", "") + "\nfirst",
		strings.ReplaceAll(switching, "Accept: ", "Accept: x") + "\r\n",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-A: b\r\n\r\nno!!more",
		"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nno\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.0 503 Unavailable\r\n\r\nuntil the end", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 999 x\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "nonsense", "",
	} {
		f.Add([]byte(answer), uint8(0))
		f.Add([]byte(answer), uint8(7))
	}
	f.Fuzz(func(t *testing.T, answer []byte, step uint8) {
		want := overFuzzBridge(t, answer, len(answer)+1)
		if got := overFuzzBridge(t, answer, int(step)+1); got != want {
			t.Errorf("%q in pieces of %d: %s\nat once: %s", answer, step+1, got, want)
		}
	})
}

// overFuzzBridge is what a client sees of a handler that writes answer in pieces and closes the connection.
func overFuzzBridge(t *testing.T, answer []byte, step int) string {
	h := Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		for rest := answer; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := nc.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		nc.Close()
	}))
	a := &fuzzAcceptor{}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, fieldKey: {fuzzKey}, fieldVersion: {"13"}}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	w := &fuzzWriter{header: http.Header{}}
	h.ServeHTTP(w, r.WithContext(transport.WithAcceptor(r.Context(), a)))

	switch {
	case a.stream != nil && w.status != 0:
		t.Errorf("%q: answered twice", answer)
	case a.stream == nil && (w.status < 300 || w.status > 999):
		t.Errorf("%q: answered with %d", answer, w.status)
	case a.stream == nil:
		return fmt.Sprintf("%d %q %q", w.status, w.header, w.body)
	case !bytes.Contains(answer, []byte(handshake.AcceptKey(fuzzKey))) || !bytes.HasSuffix(answer, a.stream.sent):
		t.Errorf("%q opens a WebSocket with %q", answer, a.stream.sent)
	}
	for _, name := range []string{"Connection", "Upgrade", "Transfer-Encoding", "Content-Length"} {
		if len(a.header[name]) > 0 {
			t.Errorf("%q: the 200 has %s", answer, name)
		}
	}
	return fmt.Sprintf("open %q %q", a.header, a.stream.sent)
}

// A fuzzWriter is the http.ResponseWriter of a stream.
type fuzzWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *fuzzWriter) Header() http.Header { return w.header }

func (w *fuzzWriter) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
}

func (w *fuzzWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// A fuzzAcceptor gives the stream away once.
type fuzzAcceptor struct {
	header http.Header
	stream *fuzzStream
}

func (a *fuzzAcceptor) Accept(h http.Header) (transport.Stream, error) {
	a.header, a.stream = h.Clone(), &fuzzStream{}
	return a.stream, nil
}

// A fuzzStream keeps what is sent, and receives nothing.
type fuzzStream struct {
	transport.Stream // nil: no other method is called
	sent             []byte
}

func (s *fuzzStream) Send(head, body []byte) (int, error) {
	s.sent = append(append(s.sent, head...), body...)
	return len(head) + len(body), nil
}

func (s *fuzzStream) SetReadDeadline(time.Time)  {}
func (s *fuzzStream) SetWriteDeadline(time.Time) {}
func (s *fuzzStream) Close(time.Duration)        {}

// A URL that is taken leads to one place: an address, a Host and a page of the memory that can be read back.
func FuzzURL(f *testing.F) {
	for _, raw := range []string{
		"wss://example.com/chat?room=1", "ws://[::1]:8080", "https://[fe80::1%25eth0]/", "WS://EXAMPLE.com:/%2f", "wss://m%C3%BCnchen.de:443/",
		"ws://a:99999/", "wss://user@a/", "ws://a/#x", "ws://a b/", "wss:///", "ws://a\"b/", "ws://[::1%25%25]/",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseURL(raw)
		if err != nil {
			return
		}
		addr := dialAddr(u)
		host, port, err := net.SplitHostPort(addr)
		if err != nil || host == "" || port == "" {
			t.Fatalf("%q: the address is %q", raw, addr)
		}
		if uri := requestURI(u); uri[0] != '/' {
			t.Errorf("%q: the target is %q", raw, uri)
		}
		d := &Dialer{Network: func() string { return raw }}
		m := d.memoryFor(poolKey{secure: u.Scheme == "wss", addr: addr, proxy: raw}, Policy{})
		text, err := m.key.MarshalText()
		if err != nil {
			return
		}
		if k, err := negotiate.ParseKey(string(text)); err != nil || k != m.key {
			t.Errorf("%q: remembered as %+v, %s, which reads as %+v, %v", raw, m.key, text, k, err)
		}
	})
}

// Whatever a library's client writes on the connection that NetDialContext gave it, in whatever pieces: the same request is taken
// from it, and not a byte of what stands behind.
func FuzzClientRequest(f *testing.F) {
	get := "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + fuzzKey + "\r\n"
	for _, request := range []string{
		get + "\r\n\x81\x80abcd", get + "Origin: https://b\r\nX-A: b\r\nX-a: c\r\n\r\n", get + "Content-Length: 5\r\n\r\nhello", get + "Sec-WebSocket-Key: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "\x16\x03\x01", "\r\n\r\n", "GET / HTTP/1.1\r\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(request), uint8(0))
		f.Add([]byte(request), uint8(3))
	}
	f.Fuzz(func(t *testing.T, request []byte, step uint8) {
		want := askFuzz(t, request, len(request)+1)
		if got := askFuzz(t, request, int(step)+1); got != want {
			t.Errorf("%q in pieces of %d: %s\nat once: %s", request, step+1, got, want)
		}
	})
}

// askFuzz writes request to an upgradeConn whose dialer reaches nobody, and returns what was taken of it and what comes back.
func askFuzz(t *testing.T, request []byte, step int) string {
	d := &Dialer{
		Policy:  Policy{Rungs: []Rung{Upgrade}},
		Network: func() string { return "" },
		NetDial: func(context.Context, string, string) (net.Conn, error) { return nil, errNobody },
	}
	nc, err := d.NetDialContext(context.Background(), "tcp", "a.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := nc.(*upgradeConn)
	taken := 0
	for taken < len(request) {
		n, err := c.Write(request[taken:min(taken+step, len(request))])
		taken += n
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	asked := c.asked
	c.mu.Unlock()
	if !asked {
		return fmt.Sprintf("waits after %d bytes", taken)
	}
	answer, err := io.ReadAll(c)
	said := fmt.Sprintf("answered %q", answer)
	switch {
	case errors.Is(err, errNobody):
		said = "asked the server"
	case err != nil:
		said += " " + err.Error()
	}
	if request[0] == tlsHandshake {
		return said
	}
	return fmt.Sprintf("%d bytes: %s", taken, said)
}

var errNobody = errors.New("nobody is there")

// The first frame of a server is judged the same in whatever pieces it comes, and rightly.
func FuzzFirstFrame(f *testing.F) {
	f.Add([]byte("\x81\x05Hello"), uint8(1), false)
	f.Add([]byte("\xc1\x7e\x00\x7e"), uint8(2), true)
	f.Add([]byte("\x81\x85abcd"), uint8(3), false)
	f.Add([]byte("HTTP/1.1"), uint8(1), false)
	f.Fuzz(func(t *testing.T, in []byte, step uint8, extended bool) {
		judge := func(step int) (done, valid bool) {
			first := &firstFrame{extended: extended}
			for rest := in; len(rest) > 0 && !done; {
				n := min(step, len(rest))
				done, valid = first.recv(rest[:n])
				rest = rest[n:]
			}
			return done, done && valid
		}
		done, valid := judge(len(in))
		if d, v := judge(int(step) + 1); d != done || v != valid {
			t.Errorf("%x in pieces of %d: %v, %v; at once %v, %v", in, step+1, d, v, done, valid)
		}
		if h, n, _ := frame.ParseHeader(in); valid && (n == 0 || h.Masked || h.Opcode == frame.Continuation) {
			t.Errorf("%x is valid", in)
		}
	})
}
