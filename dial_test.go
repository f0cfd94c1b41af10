package weft_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// countRTT opens a WebSocket and returns it with the round trips that it took.
func (e *env) countRTT(opts *weft.DialOptions) (*weft.Conn, float64) {
	e.t.Helper()
	start := time.Now()
	c := e.dial("/", opts)
	return c, float64(time.Since(start)) / float64(rtt)
}

func wantRTT(t *testing.T, what string, c *weft.Conn, got float64, want int) {
	t.Helper()
	if got != float64(want) {
		t.Errorf("%s took %v round trips, want %d", what, got, want)
	}
	if n := c.Trace().RoundTrips; n != want {
		t.Errorf("%s: the trace says %d round trips, want %d", what, n, want)
	}
}

func TestRoundTrips(t *testing.T) {
	tls2 := carrier{name: "settings", scheme: "wss", rungs: []weft.Rung{weft.Settings, weft.Upgrade}}
	t.Run("settings fresh 4, live 1", func(t *testing.T) {
		over(t, tls2, http.HandlerFunc(echo), func(t *testing.T, e *env) {
			c, n := e.countRTT(nil)
			defer c.CloseNow()
			wantRTT(t, "settings on a fresh connection", c, n, 4)
			if tr := c.Trace(); tr.Rung != weft.Settings || tr.Version != "HTTP/2.0" || tr.Reused {
				t.Errorf("trace: %+v", tr)
			}
			c2, n := e.countRTT(nil)
			defer c2.CloseNow()
			wantRTT(t, "a live connection", c2, n, 1)
			if a, b := c.Trace(), c2.Trace(); a.ConnID != b.ConnID || a.StreamID == b.StreamID || !b.Reused {
				t.Errorf("not two streams on one connection: %+v, %+v", a, b)
			}
		})
	})
	t.Run("upgrade 3", func(t *testing.T) {
		over(t, carriers[1], http.HandlerFunc(echo), func(t *testing.T, e *env) {
			c, n := e.countRTT(nil)
			defer c.CloseNow()
			wantRTT(t, "upgrade", c, n, 3)
		})
	})
	t.Run("upgrade without TLS 2", func(t *testing.T) {
		over(t, carriers[0], http.HandlerFunc(echo), func(t *testing.T, e *env) {
			c, n := e.countRTT(nil)
			defer c.CloseNow()
			wantRTT(t, "upgrade without TLS", c, n, 2)
		})
	})
	t.Run("settings, old h2 server 6, then 3", func(t *testing.T) {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := newEnv(t, n, tls2, http.HandlerFunc(echo), func(s *weft.Server) { s.Options.DisableConnectProtocol = true })
			c, k := e.countRTT(nil)
			defer c.CloseNow()
			wantRTT(t, "an old h2 server", c, k, 6)
			if tr := c.Trace(); tr.Rung != weft.Upgrade || len(tr.Attempts) != 2 {
				t.Errorf("trace: %+v", tr)
			}
			c2, k := e.countRTT(nil)
			defer c2.CloseNow()
			wantRTT(t, "an old h2 server with a live connection", c2, k, 3)
		})
	})
	t.Run("http/1.1 server 3", func(t *testing.T) {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := newEnv(t, n, tls2, http.HandlerFunc(echo), func(s *weft.Server) { s.TLSConfig.NextProtos = nil })
			hs := plainServer(t, n, e, "10.0.0.3:443")
			e.url = "wss://" + hs
			c, k := e.countRTT(nil)
			defer c.CloseNow()
			wantRTT(t, "an HTTP/1.1 server", c, k, 3)
		})
	})
}

// plainServer starts a net/http server that has no HTTP/2, on addr, and returns its name and port.
func plainServer(t *testing.T, n *simnet.Network, e *env, addr string) string {
	n.AddHost("old.example.com", "10.0.0.3")
	cert, roots := simnet.Certificate("old.example.com")
	s := &http.Server{Handler: http.HandlerFunc(echo), TLSConfig: e.server.TLSConfig.Clone(), ErrorLog: e.server.ErrorLog}
	s.TLSConfig.Certificates[0] = cert
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	e.dialer.TLSConfig.RootCAs = roots
	l := n.Listen(addr)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return "old.example.com:443"
}

// Dials that start together share one connection.
func TestDialsShareAConnection(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		const n = 20
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := make(map[uint64]int)
		for range n {
			wg.Go(func() {
				c, _, err := e.dialer.Dial(e.ctx, e.url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids[c.Trace().ConnID]++
				mu.Unlock()
				c.Close(weft.StatusNormalClosure, "")
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Errorf("%d dials used connections %v, want one", n, ids)
		}
	})
}

// When a connection has no stream left, the next WebSocket gets a new one.
func TestStreamsRunOut(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[2], http.HandlerFunc(echo), func(s *weft.Server) { s.Options.MaxConcurrentStreams = 3 })
		ids := make(map[uint64]int)
		for range 7 {
			c := e.dial("/", nil)
			defer c.CloseNow()
			ids[c.Trace().ConnID]++
		}
		if len(ids) != 3 {
			t.Errorf("7 WebSockets at 3 a connection are on connections %v", ids)
		}
	})
}

func TestDialRefused(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/401":
			w.Header().Set("X-Why", "no token")
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case "/200":
			io.WriteString(w, "not a WebSocket")
		default:
			echo(w, r)
		}
	}, func(t *testing.T, e *env) {
		for path, want := range map[string]int{"/401": 401, "/200": 0} {
			c, res, err := e.dialer.Dial(e.ctx, e.url+path, nil)
			if err == nil {
				c.CloseNow()
				t.Fatalf("%s: Dial succeeded", path)
			}
			var de *weft.DialError
			var he *weft.HandshakeError
			if !errors.As(err, &de) || !errors.As(err, &he) || len(de.Attempts) == 0 {
				t.Fatalf("%s: error is %#v", path, err)
			}
			if want != 0 {
				if he.StatusCode != want || res == nil || res.StatusCode != want || res.Header.Get("X-Why") != "no token" {
					t.Fatalf("%s: %v; response %v", path, err, res)
				}
				if b, err := io.ReadAll(res.Body); err != nil || string(b) != "who are you?\n" {
					t.Errorf("%s: body %q, %v", path, b, err)
				}
			}
			if res != nil {
				res.Body.Close()
			}
		}
		c := e.dial("/", nil)
		c.CloseNow()
	})
}

func TestDialErrors(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		for _, tt := range []struct {
			url, want string
			opts      *weft.DialOptions
		}{
			{url: "ftp://example.com", want: `scheme "ftp"`},
			{url: "wss://", want: "no host"},
			{url: "wss://example.com/#frag", want: "fragment"},
			{url: "wss://a:b@example.com/", want: "user information"},
			{url: e.url, want: "Sec-Websocket-Key", opts: &weft.DialOptions{HTTPHeader: http.Header{"Sec-Websocket-Key": {"x"}}}},
			{url: e.url, want: "not allowed", opts: &weft.DialOptions{HTTPHeader: http.Header{"X-A": {"a\r\nb"}}}},
			{url: "ws://example.com:443", want: "which needs TLS", opts: &weft.DialOptions{Policy: &weft.Policy{Rungs: []weft.Rung{"h3"}}}},
			{url: "wss://example.com:444/", want: "refused"},
			{url: "wss://nobody.example.com/", want: "nobody.example.com"},
			{url: "wss://10.0.0.2:443/", want: "certificate"},
		} {
			_, _, err := e.dialer.Dial(e.ctx, tt.url, tt.opts)
			var de *weft.DialError
			if !errors.As(err, &de) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
				t.Errorf("Dial(%s): %v, want %q in it", tt.url, err, tt.want)
			}
			if err != nil && strings.Count(err.Error(), "weft:") != 1 {
				t.Errorf("Dial(%s): the error does not say weft: once: %v", tt.url, err)
			}
		}
	})
}

func TestDialCancelled(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}, func(t *testing.T, e *env) {
		for i := range 10 {
			ctx, cancel := context.WithTimeout(e.ctx, time.Duration(i)*rtt/2)
			_, _, err := e.dialer.Dial(ctx, e.url, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Dial for %v: %v", time.Duration(i)*rtt/2, err)
			}
		}
	})
}

func TestDialTrace(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		var names []string
		c := e.dial("/", &weft.DialOptions{Trace: func(ev weft.TraceEvent) {
			names = append(names, fmt.Sprintf("%s@%v", ev.Name, ev.Time))
		}})
		defer c.CloseNow()
		got := strings.Join(names, " ")
		for _, want := range []string{"tcp@100ms", "tls@200ms", "settings@300ms", "response@400ms"} {
			if !strings.Contains(got, want) {
				t.Errorf("trace has no %s: %s", want, got)
			}
		}
		tr := c.Trace()
		if len(tr.Attempts) != 1 || tr.Attempts[0].ALPN != "h2" || tr.Attempts[0].Verdict != "open" {
			t.Errorf("trace: %+v", tr)
		}
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		e.dialer.IdleTimeout = 10 * time.Second
		c := e.dial("/", nil)
		c.Close(weft.StatusNormalClosure, "")
		time.Sleep(5 * time.Second)
		if n := len(e.net.Open()); n == 0 {
			t.Error("the connection was closed before its time")
		}
		time.Sleep(20 * time.Second)
		if open := e.net.Open(); len(open) != 0 {
			t.Errorf("still open: %v", open)
		}
	})
}
