package weft_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// What a library asks for arrives, what the server chose comes back, and then the library's frames pass.
func TestCarried(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	overWays(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Clone(context.Background()))
		w.Header().Set("X-Server", "weft")
		echoWith(&weft.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: weft.CompressionNoContextTakeover, CompressionThreshold: 4 << 20})(w, r)
	}, func(t *testing.T, e *env, w way) {
		start := time.Now()
		res, p := e.openBy(w, "/a%2Fb?q=1", "Sec-WebSocket-Protocol: talk, chat", "Cookie: a=b", "User-Agent: library/1", "X-One: 1", "X-One: 2",
			"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover")
		want := map[string]time.Duration{"h1": 2, "h1+tls": 3, "h2+tls": 4, "h2c": 3, "h3": 2}[e.carrier.name]
		if took := time.Since(start) / rtt; took != want {
			t.Errorf("it took %d round trips, want %d", took, want)
		}
		for name, want := range map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": sampleAccept, "Sec-WebSocket-Protocol": "chat",
			"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "X-Server": "weft",
			"Content-Length": "",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s of the response is %q, want %q", name, got, want)
			}
		}
		if res.Proto != "HTTP/1.1" || res.Status != "101 Switching Protocols" || res.Request == nil {
			t.Errorf("response is %s %s to %v", res.Proto, res.Status, res.Request)
		}
		r := seen.Load()
		if r.Host != "example.com" && r.Host != "example.com:443" || r.RequestURI != "/a%2Fb?q=1" {
			t.Errorf("server saw host %s, %s", r.Host, r.RequestURI)
		}
		for name, want := range map[string]string{
			"Sec-Websocket-Protocol": "talk, chat", "Cookie": "a=b", "User-Agent": "library/1", "X-One": "1|2", "Sec-Websocket-Version": "13",
			"Sec-Websocket-Extensions": "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		} {
			if got := strings.Join(r.Header[name], "|"); got != want {
				t.Errorf("server saw %s %q, want %q", name, got, want)
			}
		}
		if key := r.Header.Get("Sec-WebSocket-Key"); (key == sampleKey) != strings.HasPrefix(e.carrier.name, "h1") {
			t.Errorf("server saw the key %q", key)
		}
		p.wantEcho("hello")
		p.wantEcho(strings.Repeat("a long message ", 80_000))
		p.send(shut(1000, "bye"))
		p.want(shut(1000, ""))
		p.wantNothingBut(io.EOF, patience)
		if err := p.conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := p.conn.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close again: %v", err)
		}
		if _, err := p.conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
		if _, err := io.WriteString(p.conn, "x"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

// Refusals come as the server's response, whatever version of HTTP they came by.
func TestCarriedRefused(t *testing.T) {
	overWays(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/302":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/long":
			w.WriteHeader(http.StatusForbidden)
			w.Write(make([]byte, 300_000))
		case "/slow":
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, "wait ")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			io.WriteString(w, "for it")
		default:
			w.Header().Set("X-Why", "no token")
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	}, func(t *testing.T, e *env, w way) {
		for _, tt := range []struct {
			path, body string
			status     int
			field      string
		}{
			{"/", "who are you?\n", 401, "X-Why: no token"},
			{"/302", "<a href=\"/elsewhere\">Found</a>.\n\n", 302, "Location: /elsewhere"},
			{"/long", strings.Repeat("\x00", 300_000), 403, ""},
			{"/slow", "wait for it", 429, ""},
		} {
			res, c, err := w.open(e.dialer, upgradeRequest(e.ctx, e.url+tt.path))
			if err != nil || c != nil {
				t.Fatalf("%s: %v, %v", tt.path, c, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			name, value, _ := strings.Cut(tt.field, ": ")
			if res.StatusCode != tt.status || string(body) != tt.body || err != nil || res.Header.Get(name) != value {
				t.Errorf("%s: %d, %v, body %s, %v", tt.path, res.StatusCode, res.Header, brief(string(body)), err)
			}
		}
		// A body that nobody wants to read.
		res, _, err := w.open(e.dialer, upgradeRequest(e.ctx, e.url+"/slow"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		time.Sleep(5 * time.Second)
	})
}

func TestCarriedCancelled(t *testing.T) {
	overWays(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}, func(t *testing.T, e *env, w way) {
		for i := range 10 {
			ctx, cancel := context.WithTimeout(e.ctx, time.Duration(i)*rtt/2)
			_, c, err := w.open(e.dialer, upgradeRequest(ctx, e.url))
			cancel()
			var de *weft.DialError
			if c != nil || !errors.Is(err, context.DeadlineExceeded) || i > 0 && !errors.As(err, &de) {
				t.Errorf("after %v: %v", time.Duration(i)*rtt/2, err)
			}
		}
		wantNothingOpen(t, e)
	})
}

// wantNothingOpen checks that what was dialed is gone once the pool is.
func wantNothingOpen(t *testing.T, e *env) {
	t.Helper()
	e.dialer.Close()
	time.Sleep(10 * time.Second)
	if open := e.net.Open(); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
}

// Libraries cancel the context of the dial when it has succeeded.
func TestCarriedOutlivesItsContext(t *testing.T) {
	overWays(t, echo, func(t *testing.T, e *env, w way) {
		ctx, cancel := context.WithCancel(e.ctx)
		_, c, err := w.open(e.dialer, upgradeRequest(ctx, e.url))
		if err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: c}
		p.wantEcho("before")
		cancel()
		time.Sleep(20 * time.Second)
		p.wantEcho("after")
		c.Close()
		wantNothingOpen(t, e)
	})
}

func TestCarriedUnreachable(t *testing.T) {
	overWays(t, echo, func(t *testing.T, e *env, w way) {
		var de *weft.DialError
		for _, host := range []string{"example.com:444", "nobody.example.com:443"} {
			_, _, err := w.open(e.dialer, upgradeRequest(e.ctx, e.carrier.scheme+"://"+host+"/"))
			if !errors.As(err, &de) || len(de.Attempts) == 0 {
				t.Errorf("%s: %v", host, err)
			}
		}
	})
}

// Deadlines and Close work as on any net.Conn, and what a deadline interrupts is not lost.
func TestCarriedDeadlines(t *testing.T) {
	overWays(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		time.Sleep(10 * time.Second)
		c.Write(context.Background(), weft.MessageText, []byte("late"))
		time.Sleep(time.Minute) // and reads nothing
	}, func(t *testing.T, e *env, w way) {
		e.net.SetLink(serverAddr, simnet.Link{SendBuffer: 64 << 10})
		_, p := e.openBy(w, "/")
		c := p.conn.(*carriedConn)
		for _, wait := range []time.Duration{time.Second, 0, -time.Second} {
			start := time.Now()
			c.SetReadDeadline(start.Add(wait))
			_, err := c.Read(make([]byte, 1))
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != max(wait, 0) {
				t.Errorf("Read after %v: %v", took, err)
			}
		}
		c.SetReadDeadline(time.Time{})
		time.Sleep(10 * time.Second)
		p.want(text("late"))

		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Second))
		n, err := c.Write(make([]byte, 64<<20))
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Second {
			t.Errorf("Write after %v: %d, %v", took, n, err)
		}
		c.SetReadDeadline(time.Time{})
		read := begin(func() error {
			_, err := c.Read(make([]byte, 1))
			return err
		})
		time.Sleep(time.Second)
		c.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read beside Close: %v", err)
		}
		time.Sleep(time.Minute) // for the handler to return
	})
}

// overRaw runs f over every carrier by each way against a server that is driven by hand.
func overRaw(t *testing.T, fields []string, f func(t *testing.T, client, server *rawPeer, d *weft.Dialer)) {
	t.Helper()
	for _, w := range ways {
		for _, c := range onTCP {
			t.Run(w.name+"/"+c.name, func(t *testing.T) {
				simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
					l := listenRaw(t, n, c)
					l.dialer.Memory = &spiedMemory{seen: make(map[negotiate.Key]negotiate.Entry)}
					opened := begin(func() *carriedConn {
						_, conn, err := w.open(l.dialer, upgradeRequest(t.Context(), l.url+"/"))
						if err != nil || conn == nil {
							t.Errorf("open: %v, %v", conn, err)
						}
						return conn
					})
					server := &rawPeer{T: t, carrier: c, conn: l.acceptRaw(fields...), keys: make(map[string]int)}
					conn := <-opened
					if conn == nil {
						t.FailNow()
					}
					t.Cleanup(func() { conn.Close(); server.conn.Close() })
					f(t, &rawPeer{T: t, carrier: c, client: true, conn: conn}, server, l.dialer)
				})
			})
		}
	}
}

// CloseWrite ends one direction; the other goes on.
func TestCarriedHalfClose(t *testing.T) {
	overRaw(t, nil, func(t *testing.T, client, server *rawPeer, _ *weft.Dialer) {
		client.send(text("last"))
		if err := client.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		server.want(text("last"))
		server.wantNothingBut(io.EOF, patience)
		server.send(text("still here"), bin(strings.Repeat("x", 200_000)))
		client.want(text("still here"), bin(strings.Repeat("x", 200_000)))
		if _, err := io.WriteString(client.conn, "x"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		server.conn.CloseWrite()
		client.wantNothingBut(io.EOF, patience)
	})
}

// Close sends what was written, and ends our side at once: the library decides who closes first.
func TestCarriedClose(t *testing.T) {
	overRaw(t, nil, func(t *testing.T, client, server *rawPeer, _ *weft.Dialer) {
		client.send(text("last"))
		start := time.Now()
		client.conn.Close()
		server.want(text("last"))
		server.wantNothingBut(io.EOF, patience)
		if took := time.Since(start); took > rtt {
			t.Errorf("the end came after %v", took)
		}
	})
}

// The origin is remembered as one that carries WebSockets once the server has sent a frame, and only then.
func TestCarriedFirstFrame(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		pieces       []string
		want         bool
	}{
		{"valid", "", []string{"\x81\x05hello"}, true},
		{"long, in pieces", "", []string{"\x82", "\x7f", "\x00\x00\x00\x00\x00", "\x10\x00\x00x"}, true},
		{"compressed", "sec-websocket-extensions: permessage-deflate", []string{"\xc1\x05hello"}, true},
		{"reserved bit", "", []string{"\xc1\x05hello"}, false},
		{"masked", "", []string{"\x81\x85hello"}, false},
		{"continuation", "", []string{"\x80\x05hello"}, false},
		{"HTTP", "", []string{"HTTP/1.1 400 Bad Request\r\n"}, false},
		{"nothing", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			if tt.fields != "" {
				fields = []string{tt.fields}
			}
			overRaw(t, fields, func(t *testing.T, client, server *rawPeer, d *weft.Dialer) {
				mem := d.Memory.(*spiedMemory)
				for _, piece := range tt.pieces {
					if got := mem.says(client.carrier.rungs[0]); got != negotiate.Forgotten {
						t.Fatalf("before the first frame the memory says %s", got)
					}
					server.sendBytes(piece)
					client.wantBytes(piece)
				}
				got := mem.says(client.carrier.rungs[0])
				if (got == negotiate.Yes) != tt.want {
					t.Errorf("the memory says %s", got)
				}
			})
		})
	}
}

// A spiedMemory is a weft.Memory that a test looks into.
type spiedMemory struct {
	weft.Memory
	mu   sync.Mutex
	seen map[negotiate.Key]negotiate.Entry
}

func (m *spiedMemory) Get(k negotiate.Key) (negotiate.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.seen[k]
	return e, ok
}

func (m *spiedMemory) Put(k negotiate.Key, e negotiate.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[k] = e
}

// says returns what is known of a rung at the one origin there is.
func (m *spiedMemory) says(r weft.Rung) negotiate.Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	for e := range maps.Values(m.seen) {
		return e.Verdict(r, time.Now())
	}
	return negotiate.Forgotten
}

// Many WebSockets of a library ride on one connection, and it is given back when they are closed.
func TestCarriedShare(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			over(t, carrier{name: "h2+tls", scheme: "wss"}, http.HandlerFunc(echo), func(t *testing.T, e *env) {
				const n = 200
				var wg sync.WaitGroup
				traces := make([]weft.Trace, n)
				for i := range n {
					wg.Go(func() {
						_, c, err := w.open(e.dialer, upgradeRequest(e.ctx, e.url))
						if err != nil {
							t.Error(err)
							return
						}
						defer c.Close()
						traces[i] = c.Trace()
						p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: c}
						p.send(text("hello"))
						if f, err := p.next(); err != nil || f != text("hello") {
							t.Errorf("%v, %v", f, err)
						}
					})
				}
				wg.Wait()
				conns := make(map[uint64]bool)
				for _, tr := range traces {
					conns[tr.ConnID] = true
				}
				if len(conns) != 1 || !slices.ContainsFunc(traces, func(tr weft.Trace) bool { return tr.Reused && tr.StreamID > 300 }) {
					t.Errorf("%d WebSockets on connections %v; the last trace is %+v", n, conns, traces[n-1])
				}
				time.Sleep(5 * time.Minute)
				if open := e.net.Open(); len(open) > 0 {
					t.Errorf("still open: %v", open)
				}
			})
		})
	}
}

// A server whose HTTP/2 has no WebSockets, and one without HTTP/2, get the library's Upgrade.
func TestCarriedFallsBack(t *testing.T) {
	for _, w := range ways {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			e := ladderEnv(t, n, true)
			for range 3 {
				_, p := e.openBy(w, "/")
				p.wantEcho("hello")
				if tr := p.conn.(*carriedConn).Trace(); tr.Rung != weft.Upgrade || tr.Version != "HTTP/1.1" {
					t.Errorf("%s: trace %+v", w.name, tr)
				}
				p.conn.Close()
			}
		})
	}
}

// "The nonce MUST be selected randomly for each connection." RFC 6455, Section 4.1: a second attempt has a key of its own, and the
// library gets the Accept for its own all the same.
func TestCarriedKeys(t *testing.T) {
	for _, w := range ways {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			l := listenRaw(t, n, carriers[1])
			opened := begin(func() *carriedConn {
				res, c, err := w.open(l.dialer, upgradeRequest(t.Context(), l.url+"/"))
				if err != nil || c == nil || res.Header.Get("Sec-WebSocket-Accept") != sampleAccept {
					t.Errorf("%s: %v, %v", w.name, res, err)
				}
				return c
			})
			nc, tcp := l.connection()
			first := newRawH1(nc, tcp)
			if _, h, err := first.head(); err != nil || h.Get("Sec-Websocket-Key") != sampleKey {
				t.Errorf("first attempt: %v, %v", h, err)
			}
			io.WriteString(first, "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n")
			nc, tcp = l.connection()
			second := newRawH1(nc, tcp)
			_, h, err := second.head()
			key := h.Get("Sec-Websocket-Key")
			if err != nil || key == sampleKey || len(key) != len(sampleKey) {
				t.Errorf("second attempt: %v, %v", h, err)
			}
			io.WriteString(second, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+acceptFor(key)+"\r\n\r\n")
			if c := <-opened; c != nil {
				c.Close()
			}
			first.Close()
			second.Close()
		})
	}
}
