package weft_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

// A notebook is an Observer that writes down what it is told.
type notebook struct {
	mu     sync.Mutex
	closed []weft.Closed
	dials  []weft.DialReport
	opened []weft.Opened
	lines  []string
}

func (n *notebook) observer() *weft.Observer {
	note := func(format string, args ...any) {
		n.lines = append(n.lines, fmt.Sprintf(format, args...))
	}
	return &weft.Observer{
		DialStart: func(ctx context.Context, url string, h http.Header) context.Context {
			n.mu.Lock()
			defer n.mu.Unlock()
			note("dial %s", url)
			h.Set("X-Observed", "yes")
			return context.WithValue(ctx, notebookKey{}, "the dial's")
		},
		DialDone: func(ctx context.Context, d weft.DialReport) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.dials = append(n.dials, d)
			note("dialed %s %s ctx=%v", d.Verdict, d.Trace.Rung, ctx.Value(notebookKey{}))
		},
		Opened: func(ctx context.Context, o weft.Opened) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.opened = append(n.opened, o)
			note("opened %s %s ctx=%v", o.Side, o.Target, ctx.Value(notebookKey{}))
		},
		Refused: func(_ context.Context, r weft.Refusal) {
			n.mu.Lock()
			defer n.mu.Unlock()
			note("refused %s %s %s", r.Target, r.Version, r.Err.Name)
		},
		Closed: func(c weft.Closed) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.closed = append(n.closed, c)
			note("closed %s by=%s code=%d sent=%d received=%d %q reset=%s after %v: %v", c.Side, c.By, c.Code(), c.Sent, c.Received, c.Reason, c.Reset,
				c.Duration, c.Stats)
		},
		Violation: func(v weft.Violation) {
			n.mu.Lock()
			defer n.mu.Unlock()
			note("violation by %s: %s %s limit=%t conn=%t", v.Side, v.Protocol, v.Name, v.Limit, v.Conn != nil)
		},
	}
}

type notebookKey struct{}

// take returns what was written down, one line for each thing told.
func (n *notebook) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.lines, "\n")
	n.lines = nil
	return s
}

// observedEnv has a notebook on either side.
func observedEnv(t *testing.T, n *simnet.Network, c carrier, h http.HandlerFunc) (e *env, client, server *notebook) {
	client, server = new(notebook), new(notebook)
	e = newEnv(t, n, c, h, func(s *weft.Server) { s.Options.Observer = server.observer() })
	e.dialer.Observer = client.observer()
	return e, client, server
}

func wantNotes(t *testing.T, who string, n *notebook, want ...string) {
	t.Helper()
	if got, want := n.take(), strings.Join(want, "\n"); got != want {
		t.Errorf("%s was told\n%s\nwant\n%s", who, got, want)
	}
}

// Both sides are told, in order, that a WebSocket was dialed, opened and closed, and what it carried.
func TestObserver(t *testing.T) {
	handlers := map[string]http.HandlerFunc{"blocking": echo, "callbacks": echoCallbacks}
	for _, c := range carriers {
		for name, h := range handlers {
			t.Run(c.name+" "+name, func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					var header http.Header
					e, client, server := observedEnv(t, n, c, func(w http.ResponseWriter, r *http.Request) {
						header = r.Header
						h(w, r)
					})
					conn := e.dial("/chat?token=secret", nil)
					for _, m := range []string{"one", "three"} {
						if err := conn.Write(e.ctx, weft.MessageText, []byte(m)); err != nil {
							t.Fatal(err)
						}
						if _, _, err := conn.Read(e.ctx); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(rtt)
					if got, want := conn.Stats(), (weft.Stats{MessagesIn: 2, BytesIn: 8, MessagesOut: 2, BytesOut: 8}); got != want {
						t.Errorf("Stats: %v, want %v", got, want)
					}
					if got := server.opened[0].Conn.Stats(); got != conn.Stats() {
						t.Errorf("Stats of the server: %v", got)
					}
					began := time.Now()
					if err := conn.Close(weft.StatusNormalClosure, "bye"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(rtt)
					if header.Get("X-Observed") != "yes" {
						t.Error("what DialStart added to the header did not arrive")
					}
					dial := client.dials[0]
					if dial.Duration <= 0 || dial.Duration != client.closed[0].Start.Sub(dial.Start) {
						t.Errorf("the Dial took %v", dial.Duration)
					}
					if dial.Err != nil || dial.Trace.ConnID == 0 || dial.Trace.RoundTrips == 0 {
						t.Errorf("report of the Dial: %+v", dial)
					}
					life := began.Add(rtt).Sub(client.closed[0].Start)
					wantNotes(t, "client", client,
						"dial "+e.url+"/chat",
						"dialed open "+string(c.rungs[0])+" ctx=the dial's",
						"opened client "+e.url+"/chat ctx=the dial's",
						fmt.Sprintf(`closed client by=local code=1000 sent=1000 received=1000 "bye" reset= after %v: {2 8 2 8}`, life),
					)
					wantNotes(t, "server", server,
						"opened server /chat ctx=<nil>",
						fmt.Sprintf(`closed server by=peer code=1000 sent=1000 received=1000 "bye" reset= after %v: {2 8 2 8}`, life),
					)
				})
			})
		}
	}
}

// Fragments count as they pass, a message when it has ended.
func TestStatsOfFragments(t *testing.T) {
	over(t, carriers[0], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		w, err := c.Writer(e.ctx, weft.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, 1000))
		if got, want := c.Stats(), (weft.Stats{BytesOut: 1000}); got != want {
			t.Errorf("inside a message: %v, want %v", got, want)
		}
		w.Close()
		_, r, err := c.Reader(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		if got, want := c.Stats(), (weft.Stats{1, 1000, 1, 1000}); got != want {
			t.Errorf("after it: %v, want %v", got, want)
		}
	})
}

// How a WebSocket can end, as both sides see it.
func TestObserverOfEnds(t *testing.T) {
	type end struct {
		name           string
		h2             bool
		do             func(e *env, client, server *weft.Conn)
		client, server string // without the duration
	}
	for _, tt := range []end{
		{name: "CloseNow over HTTP/2", h2: true, do: func(_ *env, c, _ *weft.Conn) { c.CloseNow() },
			client: `by=local code=1006 sent=0 received=0 "" reset=`, server: `by=peer code=1006 sent=0 received=0 "" reset=CANCEL`},
		{name: "CloseNow over HTTP/1.1", do: func(_ *env, c, _ *weft.Conn) { c.CloseNow() },
			client: `by=local code=1006 sent=0 received=0 "" reset=`, server: `by=peer code=1006 sent=0 received=0 "" reset=`},
		{name: "the server closes", h2: true, do: func(_ *env, _, s *weft.Conn) { s.Close(4000, "go") },
			client: `by=peer code=4000 sent=4000 received=4000 "go" reset=`, server: `by=local code=4000 sent=4000 received=4000 "go" reset=`},
		{name: "the server shuts down", do: func(e *env, _, _ *weft.Conn) { e.server.Shutdown(e.ctx) },
			client: `by=peer code=1001 sent=1001 received=1001 "server is shutting down" reset=`,
			server: `by=local code=1001 sent=1001 received=1001 "server is shutting down" reset=`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				c := carriers[0]
				if tt.h2 {
					c = carriers[2]
				}
				conns := make(chan *weft.Conn, 1)
				e, client, server := observedEnv(t, n, c, func(w http.ResponseWriter, r *http.Request) {
					if c, err := weft.Accept(w, r, nil); err == nil {
						c.Handle(weft.HandlerFuncs{})
						conns <- c
					}
				})
				conn := e.dial("/", nil)
				conn.Handle(weft.HandlerFuncs{})
				time.Sleep(rtt)
				client.take()
				server.take()
				tt.do(e, conn, <-conns)
				time.Sleep(time.Second)
				for who, n := range map[string]*notebook{tt.client: client, tt.server: server} {
					if got := n.take(); !strings.Contains(got, who) || strings.Contains(got, "\n") {
						t.Errorf("was told %s, want %s", got, who)
					}
				}
			})
		})
	}
}

// A peer that breaks a rule, and one that exceeds a limit.
func TestObserverOfViolations(t *testing.T) {
	masked := func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			handshake.AcceptKey(r.Header.Get("Sec-Websocket-Key"))+"\r\n\r\n\x81\x81\x00\x00\x00\x00x")
		io.Copy(io.Discard, nc)
	}
	long := func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Write(r.Context(), weft.MessageText, []byte("four"))
		c.Read(r.Context())
	}
	for _, tt := range []struct {
		handler http.HandlerFunc
		want    string
	}{
		{masked, "violation by server: websocket masked-frame limit=false conn=true\nclosed client by=local code=1002 sent=1002 received=0 \"masked-frame\""},
		{long, "violation by server: websocket message-too-big limit=true conn=true\nclosed client by=local code=1009 sent=1009 received=0 \"message-too-big\""},
	} {
		over(t, carriers[0], tt.handler, func(t *testing.T, e *env) {
			notes := new(notebook)
			e.dialer.Observer = notes.observer()
			c := e.dial("/", nil)
			c.SetReadLimit(3)
			notes.take()
			c.Read(e.ctx)
			if got := notes.take(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("was told\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// So is a client that breaks a rule of HTTP/2.
func TestObserverOfHTTP2Violations(t *testing.T) {
	notes := new(notebook)
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[3], http.HandlerFunc(echo), func(s *weft.Server) { s.Options.Observer = notes.observer() })
		nc, err := n.DialContext(e.ctx, "tcp", serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		// SETTINGS, and DATA on a stream that was never opened.
		io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
		io.Copy(io.Discard, nc)
	})
	wantNotes(t, "server", notes, "violation by client: http2 frame-on-idle-stream limit=false conn=false")
}

// Accept tells the requests that it refuses, to its own Observer or else to the server's.
func TestObserverOfRefusals(t *testing.T) {
	for _, tt := range []struct {
		own     bool
		carrier carrier
		version string
	}{{false, carriers[2], "HTTP/2.0"}, {true, carriers[2], "HTTP/2.0"}, {false, carriers[4], "HTTP/3.0"}} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			mine := new(notebook)
			opts := new(weft.AcceptOptions)
			if tt.own {
				opts.Observer = mine.observer()
			}
			e, client, server := observedEnv(t, n, tt.carrier, echoWith(opts))
			_, _, err := e.dialer.Dial(e.ctx, e.url+"/chat", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
			if _, ok := errors.AsType[*weft.DialError](err); !ok {
				t.Fatalf("Dial: %v", err)
			}
			wantNotes(t, "client", client, "dial "+e.url+"/chat", "dialed application  ctx=the dial's")
			if client.dials[0].Err != err || len(client.dials[0].Trace.Attempts) != 1 {
				t.Errorf("report: %+v", client.dials[0])
			}
			told, other := server, mine
			if tt.own {
				told, other = mine, server
			}
			wantNotes(t, "server", told, "refused /chat "+tt.version+" foreign-origin")
			wantNotes(t, "the other", other)
		})
	}
}

// A WebSocket that another package takes over is closed when its stream is; nothing else is known of it.
func TestObserverOfDetached(t *testing.T) {
	over(t, carriers[2], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		notes := new(notebook)
		e.dialer.Observer = notes.observer()
		d, err := transport.Detach(e.dial("/", nil))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := len(notes.closed); n != 0 {
			t.Errorf("it was closed %d times while it was open", n)
		}
		d.Stream.Abort()
		time.Sleep(time.Second)
		if got, want := notes.take(), `closed client by= code=0 sent=0 received=0 "" reset= after 1s: {0 0 0 0}`; !strings.HasSuffix(got, want) {
			t.Errorf("was told\n%s\nwant\n%s", got, want)
		}
	})
}

// Several Observers are told in turn; their contexts are chained, and nil ones are left out.
func TestJoinObservers(t *testing.T) {
	a, b := new(notebook), new(notebook)
	over(t, carriers[0], http.HandlerFunc(echo), func(t *testing.T, e *env) {
		e.dialer.Observer = weft.JoinObservers(nil, a.observer(), &weft.Observer{}, b.observer())
		e.dial("/", nil).CloseNow()
	})
	if got := a.take(); got != b.take() || !strings.Contains(got, "closed client by=local") {
		t.Errorf("the first was told\n%s", got)
	}
	o := a.observer()
	if weft.JoinObservers(nil, o) != o {
		t.Error("one Observer is not joined with anything")
	}
}

// Records have what happened and nothing that is secret.
func TestLogObserver(t *testing.T) {
	var mu sync.Mutex
	var b bytes.Buffer
	l := slog.New(slog.NewTextHandler(lockedWriter{&mu, &b}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "conn" || a.Key == "remote" {
				return slog.Attr{}
			}
			return a
		},
	}))
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[2], http.HandlerFunc(echo), func(s *weft.Server) { s.Options.Observer = weft.LogObserver(l) })
		e.dialer.Observer = weft.LogObserver(l)
		c := e.dial("/chat?token=secret", &weft.DialOptions{HTTPHeader: http.Header{"Authorization": {"secret"}}, Subprotocols: []string{"v1"}})
		c.Write(e.ctx, weft.MessageText, []byte("secret"))
		c.Read(e.ctx)
		c.Close(weft.StatusNormalClosure, "done")
		time.Sleep(time.Second)
		e.dialer.Dial(e.ctx, e.url+"/?token=secret", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://secret.example"}}})
		time.Sleep(time.Second)
	})
	want := `level=INFO msg="websocket opened" side=server target=/chat version=HTTP/2.0 stream=1
level=DEBUG msg="websocket dialed" target=wss://example.com:443/chat verdict=open attempts=1 round_trips=4 duration=400ms rung=settings
level=INFO msg="websocket opened" side=client target=wss://example.com:443/chat version=HTTP/2.0 stream=1 rung=settings
level=INFO msg="websocket closed" side=server target=/chat version=HTTP/2.0 stream=1 by=peer code=1000 reason=done duration=200ms messages_in=1 messages_out=1 bytes_in=6 bytes_out=6
level=INFO msg="websocket closed" side=client target=wss://example.com:443/chat version=HTTP/2.0 stream=1 by=local code=1000 reason=done duration=200ms messages_in=1 messages_out=1 bytes_in=6 bytes_out=6
level=WARN msg="websocket refused" target=/ version=HTTP/2.0 rule=foreign-origin status=403 section="RFC 6455, Section 4.2.2"
level=WARN msg="websocket dial failed" target=wss://example.com:443/ verdict=application attempts=1 round_trips=1 duration=100ms status=403 rule=application error="server answered 403 Forbidden"
`
	if got := b.String(); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
