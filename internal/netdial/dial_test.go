package netdial

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rtt    = 100 * time.Millisecond
	origin = "origin.test:443"
)

// A world is a network with an origin, a proxy, and a Dialer that trusts both.
type world struct {
	t     *testing.T
	n     *simnet.Network
	d     *Dialer
	cert  tls.Certificate
	steps []string // "tcp ok", "tls failed"
}

func run(t *testing.T, f func(w *world)) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("origin.test", "proxy.test")
		n.AddHost("origin.test", "10.0.0.2")
		n.AddHost("proxy.test", "10.0.0.9")
		f(&world{t: t, n: n, cert: cert, d: &Dialer{NetDial: n.DialContext, TLSConfig: &tls.Config{RootCAs: roots}}})
	})
}

// listen serves each connection to addr with f, which the connection is closed after.
func (w *world) listen(addr string, f func(net.Conn)) {
	ln := w.n.Listen(addr)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
}

// serveTLS greets over TLS.
func (w *world) serveTLS(addr string, cfg *tls.Config) {
	cfg.Certificates = []tls.Certificate{w.cert}
	w.listen(addr, func(c net.Conn) { greet(tls.Server(c, cfg)) })
}

func greet(c net.Conn) {
	io.WriteString(c, "hello")
	io.Copy(io.Discard, c)
}

func (w *world) dial(ctx context.Context, t Target) (*Conn, error) {
	w.steps = nil
	return w.d.Dial(ctx, t, func(s Step) {
		verdict := "ok"
		if s.Err != nil {
			verdict = "failed"
		}
		w.steps = append(w.steps, string(s.Name)+" "+verdict)
		if s.Start.IsZero() || s.End.Before(s.Start) || s.Err == nil && s.Detail == "" {
			w.t.Errorf("step %+v", s)
		}
	})
}

func (w *world) wantSteps(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.steps, ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("steps: %s; want %s", got, strings.Join(want, ", "))
	}
}

// wantConn dials, checks the cost, reads the origin's greeting and closes.
func (w *world) wantConn(t Target, roundTrips int, steps ...string) *Conn {
	w.t.Helper()
	start := time.Now()
	c, err := w.dial(w.t.Context(), t)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if d := time.Since(start); d != time.Duration(roundTrips)*rtt || c.RoundTrips != roundTrips {
		w.t.Errorf("took %v and counted %d round trips, want %d", d, c.RoundTrips, roundTrips)
	}
	w.wantSteps(steps...)
	if _, ok := c.Conn.(*tls.Conn); ok != t.TLS || (c.TLS != nil) != t.TLS {
		w.t.Errorf("connection is a %T, TLS state %v", c.Conn, c.TLS)
	}
	p := make([]byte, 5)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
		w.t.Errorf("origin said %q, %v", p, err)
	}
	return c
}

func (w *world) wantError(ctx context.Context, t Target, step negotiate.Step, text ...string) *Error {
	w.t.Helper()
	c, err := w.dial(ctx, t)
	if c != nil || err == nil {
		w.t.Fatalf("Dial: %v, %v; want an error", c, err)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Step != step {
		w.t.Fatalf("Dial: %#v, want step %s", err, step)
	}
	for _, s := range text {
		if !strings.Contains(err.Error(), s) {
			w.t.Errorf("error %q does not say %q", err, s)
		}
	}
	return e
}

func TestTCP(t *testing.T) {
	run(t, func(w *world) {
		w.listen("10.0.0.2:443", greet)
		w.wantConn(Target{Addr: origin}, 1, "tcp ok")
	})
}

func TestTLS(t *testing.T) {
	for name, c := range map[string]struct {
		server     *tls.Config
		offer      []string
		want       string
		roundTrips int
	}{
		"h2":           {&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, []string{"h2", "http/1.1"}, "h2", 2},
		"server's way": {&tls.Config{NextProtos: []string{"http/1.1", "h2"}}, []string{"h2", "http/1.1"}, "http/1.1", 2},
		"no ALPN":      {&tls.Config{}, []string{"h2", "http/1.1"}, "", 2},
		"TLS 1.2":      {&tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}, []string{"h2"}, "h2", 3},
		"retry":        {&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, []string{"h2"}, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.serveTLS("10.0.0.2:443", c.server)
				conn := w.wantConn(Target{Addr: origin, TLS: true, ALPN: c.offer}, c.roundTrips, "tcp ok", "tls ok")
				if conn.ALPN != c.want {
					t.Errorf("ALPN %q, want %q", conn.ALPN, c.want)
				}
				if w.d.TLSConfig.NextProtos != nil || w.d.TLSConfig.ServerName != "" {
					t.Error("the caller's TLS configuration was changed")
				}
			})
		})
	}
}

func TestFailures(t *testing.T) {
	direct := Target{Addr: origin, TLS: true, ALPN: []string{"h2"}}
	run(t, func(w *world) {
		e := w.wantError(w.t.Context(), direct, negotiate.StepTCP, "connecting to origin.test:443: ", "connection refused")
		if !errors.Is(e, syscall.ECONNREFUSED) || e.Addr != origin {
			t.Errorf("error %#v", e)
		}
		w.wantSteps("tcp failed")
	})
	run(t, func(w *world) {
		w.d.NetDial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "origin.test", IsNotFound: true}}
		}
		w.wantError(w.t.Context(), direct, negotiate.StepResolve, "connecting to origin.test:443: ", "no such host")
		w.wantSteps("resolve failed")
	})
	run(t, func(w *world) {
		w.serveTLS("10.0.0.2:443", &tls.Config{})
		w.d.TLSConfig = nil
		w.wantError(w.t.Context(), direct, negotiate.StepCertificate, "TLS handshake with origin.test:443, offering h2: ", "certificate")
		w.wantSteps("tcp ok", "tls failed")
	})
	run(t, func(w *world) {
		w.n.AddHost("other.test", "10.0.0.2")
		w.serveTLS("10.0.0.2:443", &tls.Config{})
		w.wantError(w.t.Context(), Target{Addr: "other.test:443", TLS: true}, negotiate.StepCertificate, "other.test")
	})
	run(t, func(w *world) {
		w.serveTLS("10.0.0.2:443", &tls.Config{NextProtos: []string{"http/1.1"}})
		w.wantError(w.t.Context(), direct, negotiate.StepTLS, "offering h2: ", "no application protocol")
	})
	run(t, func(w *world) {
		w.listen("10.0.0.2:443", func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1\r\n") })
		w.wantError(w.t.Context(), direct, negotiate.StepTLS, "does not speak TLS")
	})
	run(t, func(w *world) {
		w.listen("10.0.0.2:443", func(c net.Conn) {})
		w.wantError(w.t.Context(), direct, negotiate.StepTLS, "TLS handshake with origin.test:443")
	})
}

// The caller leaves during each step, by deadline and by cancelling; the error says why and nothing is left.
func TestContext(t *testing.T) {
	mute := func(c net.Conn) { io.Copy(io.Discard, c) }
	gaveUp := errors.New("gave up")
	for name, c := range map[string]struct {
		prepare func(w *world)
		target  Target
		step    negotiate.Step
	}{
		"tcp": {
			func(w *world) { w.n.SetLink("10.0.0.2:443", simnet.Link{BlackHole: true}) }, Target{Addr: origin}, negotiate.StepTCP,
		},
		"tls": {
			func(w *world) { w.listen("10.0.0.2:443", mute) }, Target{Addr: origin, TLS: true}, negotiate.StepTLS,
		},
		"http proxy": {
			func(w *world) { w.listen("10.0.0.9:3128", mute) }, Target{Addr: origin, Proxy: mustURL("http://proxy.test:3128")}, negotiate.StepProxy,
		},
		"https proxy": {
			func(w *world) { w.listen("10.0.0.9:443", mute) }, Target{Addr: origin, Proxy: mustURL("https://proxy.test")}, negotiate.StepProxy,
		},
		"socks proxy": {
			func(w *world) { w.listen("10.0.0.9:1080", mute) }, Target{Addr: origin, Proxy: mustURL("socks5://proxy.test")}, negotiate.StepProxy,
		},
	} {
		for _, deadline := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/deadline=%v", name, deadline), func(t *testing.T) {
				run(t, func(w *world) {
					c.prepare(w)
					start := time.Now()
					want := gaveUp
					ctx, cancel := context.WithCancelCause(w.t.Context())
					if deadline {
						want = context.DeadlineExceeded
						var stop context.CancelFunc
						ctx, stop = context.WithTimeout(ctx, time.Second)
						defer stop()
					} else {
						time.AfterFunc(time.Second, func() { cancel(gaveUp) })
					}
					defer cancel(nil)
					if err := w.wantError(ctx, c.target, c.step); !errors.Is(err, want) {
						t.Errorf("error %v, want %v", err, want)
					}
					if d := time.Since(start); d != time.Second {
						t.Errorf("after %v", d)
					}
				})
			})
		}
	}
}

// Over the machine's own network: resolving is a step of its own, and addresses are raced by net.Dialer.
func TestResolve(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var steps []Step
	c, err := new(Dialer).Dial(t.Context(), Target{Addr: "localhost:" + port}, func(s Step) { steps = append(steps, s) })
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if len(steps) != 2 || steps[0].Name != negotiate.StepResolve || steps[1].Name != negotiate.StepTCP {
		t.Fatalf("steps: %+v", steps)
	}
	if !strings.Contains(steps[0].Detail, "127.0.0.1") || !strings.HasPrefix(steps[1].Detail, "127.0.0.1:"+port) {
		t.Errorf("steps: %+v", steps)
	}
	if steps[1].Start.Before(steps[0].End) || steps[1].End.Before(steps[1].Start) {
		t.Errorf("times: %+v", steps)
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// httpProxy answers a CONNECT with response and, if that is empty, connects through.
func (w *world) httpProxy(wantAuth, response string) func(net.Conn) {
	return func(c net.Conn) {
		br := bufio.NewReader(c)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Method != http.MethodConnect || req.RequestURI != origin || req.Host != origin || req.Header.Get("Proxy-Authorization") != wantAuth {
			w.t.Errorf("proxy got %s %s, Host %s, %v", req.Method, req.RequestURI, req.Host, req.Header)
		}
		if response != "" {
			io.WriteString(c, response)
			return
		}
		w.through(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n")
	}
}

// through connects c with the origin, after answer.
func (w *world) through(c net.Conn, answer string) {
	up, err := w.n.Dial("10.0.0.2:443")
	if err != nil {
		w.t.Error(err)
		return
	}
	defer up.Close()
	io.WriteString(c, answer)
	go func() {
		io.Copy(up, c)
		up.Close()
	}()
	io.Copy(c, up)
}
