package weft_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

// A tunnelHandler takes the WebSocket in the style of some library, and has the net.Conn echo bytes.
type tunnelHandler struct {
	name string
	take func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter)
}

var tunnelHandlers = []tunnelHandler{
	{"WriteHeader before Hijack", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		for line := range strings.SplitSeq(strings.TrimSpace(switching), "\r\n") {
			if name, v, ok := strings.Cut(line, ": "); ok {
				w.Header().Add(name, v)
			}
		}
		w.WriteHeader(101)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			t.Errorf("Write between 101 and Hijack: %v", err)
		}
		return hijack(t, w)
	}},
	{"one Write", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw := hijack(t, w)
		write(t, nc, switching)
		return nc, rw
	}},
	{"through the bufio.Writer", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw := hijack(t, w)
		for line := range strings.SplitAfterSeq(switching, "\r\n") {
			rw.WriteString(line)
			if strings.HasPrefix(line, "Upgrade") {
				rw.Flush()
			}
		}
		if err := rw.Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
		return nc, rw
	}},
	{"byte by byte", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw := hijack(t, w)
		for i := range len(switching) {
			write(t, nc, switching[i:i+1])
		}
		return nc, rw
	}},
	{"with the first bytes of the tunnel", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw := hijack(t, w)
		write(t, nc, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+switching+"first ")
		return nc, rw
	}},
	{"by line feeds", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw := hijack(t, w)
		write(t, nc, strings.ReplaceAll(switching, "\r\n", "\n"))
		return nc, rw
	}},
	{"through wrappers", func(t *testing.T, w http.ResponseWriter, switching string) (net.Conn, *bufio.ReadWriter) {
		nc, rw, err := http.NewResponseController(wrapped{wrapped{w}}).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		write(t, nc, switching)
		return nc, rw
	}},
}

// wrapped is what middleware makes of an http.ResponseWriter.
type wrapped struct{ inner http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.inner.Header() }
func (w wrapped) Write(p []byte) (int, error) { return w.inner.Write(p) }
func (w wrapped) WriteHeader(status int)      { w.inner.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.inner }

func hijack(t *testing.T, w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	t.Helper()
	nc, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Errorf("Hijack: %v", err)
		runtime.Goexit()
	}
	return nc, rw
}

func write(t *testing.T, nc io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(nc, s); n != len(s) || err != nil {
		t.Errorf("Write of %.40q: %d, %v", s, n, err)
	}
}

// switching101 is the right answer to r, with more lines.
func switching101(r *http.Request, more ...string) string {
	lines := append([]string{"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + handshake.AcceptKey(r.Header.Get("Sec-WebSocket-Key"))}, more...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// Every style opens the tunnel, with the right fields and nothing before them, and it outlives the handler.
func TestBridgeStyles(t *testing.T) {
	for _, style := range tunnelHandlers {
		for _, sent := range []string{"", sampleKey, "bad"} {
			t.Run(style.name+"/key="+sent, func(t *testing.T) {
				overBridge(t, func(w http.ResponseWriter, r *http.Request) {
					nc, rw := style.take(t, w, switching101(r, "Sec-WebSocket-Protocol: chat", "Set-Cookie: a=1", "Set-Cookie: b=2",
						"Sec-WebSocket-Extensions: permessage-deflate", "X-Other: yes", "Keep-Alive: timeout=5", "Transfer-Encoding: chunked"))
					if n := rw.Reader.Buffered(); n != 0 {
						t.Errorf("%d bytes of the tunnel are in the bufio.Reader", n)
					}
					go func() {
						defer nc.Close()
						io.Copy(nc, rw)
					}()
				}, func(c *rawH2, e *env) {
					st := c.open(websocketFields(e.carrier, keyField(sent)...)...)
					write(t, st, "early ")
					h := st.head()
					for name, want := range map[string]string{
						":status": "200", "sec-websocket-protocol": "chat", "set-cookie": "a=1|b=2", "x-other": "yes", "sec-websocket-extensions": "permessage-deflate",
						"upgrade": "", "connection": "", "keep-alive": "", "transfer-encoding": "", "content-length": "",
						"sec-websocket-accept": map[string]string{sampleKey: handshake.AcceptKey(sampleKey)}[sent],
					} {
						if got := value(h, name); got != want {
							t.Errorf("%s is %q, want %q", name, got, want)
						}
					}
					if strings.Contains(style.name, "first") {
						wantBytes(t, st, "first ")
					}
					wantBytes(t, st, "early ")
					time.Sleep(10 * time.Second) // the handler returned long ago
					write(t, st, "late")
					wantBytes(t, st, "late")
					st.CloseWrite()
					wantEnd(t, st)
				})
			})
		}
	}
}

func keyField(key string) []string {
	if key == "" {
		return nil
	}
	return []string{"sec-websocket-key: " + key}
}

// overBridge runs f with a raw client over each carrier of HTTP/2. Afterwards the server has nothing left of the streams.
func overBridge(t *testing.T, h http.HandlerFunc, f func(c *rawH2, e *env)) {
	t.Helper()
	for _, cr := range onTCP[2:] {
		over(t, cr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "OPTIONS" {
				h(w, r)
			}
		}), func(t *testing.T, e *env) {
			c := connectH2(t, e)
			defer c.nc.Close()
			f(c, e)
			if got := c.roundTrip(e, "OPTIONS"); strings.HasPrefix(got, "reset") {
				t.Errorf("afterwards an ordinary request is answered with %s", got)
			}
			// A stream that was left open, or a handler that still waits, keeps Shutdown waiting.
			done := make(chan error, 1)
			go func() { done <- e.server.Shutdown(e.ctx) }()
			c.await("GOAWAY", func() bool { return c.goAway != "" })
			for c.pump() == nil {
			}
			if c.lost != io.EOF {
				t.Errorf("the connection goes on after Shutdown: %v", c.lost)
				e.server.Close()
			}
			<-done
		})
	}
}

func wantBytes(t *testing.T, st *rawStream, want string) {
	t.Helper()
	st.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, len(want))
	if n, err := io.ReadFull(st, b); string(b[:n]) != want {
		t.Errorf("received %q, %v, want %q", b[:n], err, want)
	}
}

func wantEnd(t *testing.T, st *rawStream) {
	t.Helper()
	st.SetReadDeadline(time.Now().Add(patience))
	if n, err := st.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// What the handler sees.
func TestBridgeRequest(t *testing.T) {
	overBridge(t, func(w http.ResponseWriter, r *http.Request) {
		got := fmt.Sprintf("%s %s %s %d.%d %s %s %s %d %s", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Header["Upgrade"],
			r.Header["Connection"], r.Header["Sec-Websocket-Version"], r.ContentLength, r.Host)
		if want := "GET /x?y=1 HTTP/1.1 1.1 [websocket] [Upgrade] [13] 0 example.com"; got != want {
			t.Errorf("request is %s, want %s", got, want)
		}
		if keys := r.Header["Sec-Websocket-Key"]; len(keys) != 1 || len(keys[0]) != 24 {
			t.Errorf("keys: %q", keys)
		}
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("Body: %d, %v", n, err)
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		nc, _ := hijack(t, w)
		check := func(when string) {
			if l, r2 := nc.LocalAddr(), nc.RemoteAddr(); l.String() != serverAddr || r2.String() != r.RemoteAddr {
				t.Errorf("%s: addresses %v, %v; the request's are %s, %s", when, l, r2, serverAddr, r.RemoteAddr)
			}
		}
		check("before")
		write(t, nc, switching101(r))
		check("after")
		if _, _, err := w.(http.Hijacker).Hijack(); err != http.ErrHijacked {
			t.Errorf("Hijack again: %v", err)
		}
		if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
			t.Errorf("Write after Hijack: %v", err)
		}
		if err := http.NewResponseController(w).Flush(); err != http.ErrHijacked {
			t.Errorf("Flush after Hijack: %v", err)
		}
		w.WriteHeader(500)
		if _, err := weft.Accept(w, r, nil); err == nil {
			t.Error("Accept after Hijack")
		}
		if err := nc.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := nc.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close again: %v", err)
		}
		if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	}, func(c *rawH2, e *env) {
		st := c.open(changed(websocketFields(e.carrier, "sec-websocket-key: a", "sec-websocket-key: b"), []string{":path: /x?y=1", "-sec-websocket-version"})...)
		if got := st.status(); got != "200" {
			t.Errorf("the answer is %s", got)
		}
		wantEnd(t, st)
		st.CloseWrite()
	})
}

// Whatever is no right 101 is refused, and never a 2xx.
func TestBridgeRefusals(t *testing.T) {
	// raw is a handler that writes pieces to the hijacked net.Conn, of which the last must give an error or not.
	raw := func(fails bool, pieces ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			nc, _ := hijack(t, w)
			defer func() {
				if err := nc.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := nc.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Close again: %v", err)
				}
			}()
			for i, p := range pieces {
				p = strings.ReplaceAll(p, "KEY", handshake.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
				if _, err := io.WriteString(nc, p); (err != nil) != (fails && i == len(pieces)-1) {
					t.Errorf("Write of %.50q: %v", p, err)
				}
			}
		}
	}
	const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		status string
		body   string // that it contains
		fields map[string]string
	}{
		{"http.Error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not you", 403) }, "403", "not you\n", nil},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", 302) }, "302", "", map[string]string{"location": "/other"}},
		{"raw with a length", raw(false, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nX-A: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nno!and more"), "403", "no!",
			map[string]string{"x-a": "b", "x-hop": "", "connection": "", "content-length": "3"}},
		{"raw until Close", raw(false, "HTTP/1.1 403 Forb", "idden\r\n\r\n", "no", "!"), "403", "no!", nil},
		{"raw in chunks", raw(false, "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", "no\r\n1\r\n!\r\n0\r\n\r\n"), "400", "no!", nil},
		{"raw, cut short", raw(false, "HTTP/1.1 403 Forbidden\r\nContent-Length: 30\r\n\r\nno!"), "403", "no!", nil},
		{"raw until the handler returns", func(w http.ResponseWriter, r *http.Request) {
			nc, _ := hijack(t, w)
			write(t, nc, "HTTP/1.0 500 Oops\r\n\r\nno!")
		}, "500", "no!", nil},
		{"raw until CloseWrite", func(w http.ResponseWriter, r *http.Request) {
			nc, _ := hijack(t, w)
			write(t, nc, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\n\r\nno!")
			if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
			if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read: %v", err)
			}
		}, "426", "no!", map[string]string{"upgrade": ""}},
		{"raw, the handler waits for the client", func(w http.ResponseWriter, r *http.Request) {
			nc, _ := hijack(t, w)
			write(t, nc, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!")
			io.Copy(io.Discard, nc)
		}, "403", "no!", nil},
		{"304", raw(false, "HTTP/1.1 304 Not Modified\r\n\r\n"), "304", "", nil},

		{"nothing", func(w http.ResponseWriter, r *http.Request) {}, "501", "gave no answer", nil},
		{"200", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200); io.WriteString(w, "<html>") }, "501", "answered 200", nil},
		{"a body", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, "501", "answered 200", nil},
		{"204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, "501", "answered 204", nil},
		{"Flush", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, "501", "answered 200", nil},
		{"raw 200", raw(true, "HTTP/1.1 200 OK\r\n\r\n"), "501", "answered 200", nil},
		{"101 without Hijack", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101) }, "501", "", nil},
		{"101, then an error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101); http.Error(w, "after all", 503) }, "503", "after all", nil},

		{"a wrong accept", raw(true, upgraded+"Sec-WebSocket-Accept: AAAA\r\n\r\n"), "500", "Sec-WebSocket-Accept", nil},
		{"no accept", raw(true, upgraded+"\r\n"), "500", "Sec-WebSocket-Accept", nil},
		{"no Upgrade", raw(true, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n"), "500", "Upgrade", nil},
		{"another protocol", raw(true, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: KEY\r\n\r\n"), "500", "h2c", nil},
		{"a wrong accept by WriteHeader", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(101)
			if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
				t.Error("Hijack gave no error")
			}
			http.Error(w, "hijack failed", 503)
		}, "500", "Sec-WebSocket-Accept", nil},
		{"no HTTP", raw(true, "hello\r\n\r\n"), "500", "malformed", nil},
		{"no status", raw(true, "HTTP/1.1 abc\r\n\r\n"), "500", "malformed", nil},
		{"a malformed field", raw(true, upgraded+"no colon\r\n\r\n"), "500", "malformed", nil},
		{"a large header section", raw(true, upgraded, "X-A: "+strings.Repeat("a", 64<<10)), "500", "65536 bytes", nil},
		{"a large header section with its end", raw(true, upgraded+"Sec-WebSocket-Accept: KEY\r\nX-A: "+strings.Repeat("a", 64<<10)+"\r\n\r\n"), "500", "65536 bytes", nil},
		{"a large body", raw(true, "HTTP/1.1 403 No\r\n\r\n", strings.Repeat("a", 1<<20), "a"), "500", "1048576 bytes", nil},
		{"Close without an answer", raw(false), "500", "gave no answer", nil},
		{"Close in the answer", raw(false, upgraded), "500", "cut off", nil},
		{"Hijack after an answer", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			if _, _, err := w.(http.Hijacker).Hijack(); err == nil || err == http.ErrHijacked {
				t.Errorf("Hijack: %v", err)
			}
			if _, err := weft.Accept(w, r, nil); err == nil {
				t.Error("Accept gave no error")
			}
		}, "404", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBridge(t, tt.h, func(c *rawH2, e *env) {
				st := c.open(websocketFields(e.carrier)...)
				write(t, st, "too early, and for nobody")
				h := st.head()
				if got := value(h, ":status"); got != tt.status {
					t.Errorf("the answer is %v %s, want %s", h, st.reset, tt.status)
				}
				for name, want := range tt.fields {
					if got := value(h, name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
				st.SetReadDeadline(time.Now().Add(patience))
				body, err := io.ReadAll(st)
				if !strings.Contains(string(body), tt.body) || tt.body == "" && len(body) > 0 && tt.status != "302" && tt.status != "501" {
					t.Errorf("the body is %q, %v, want %q in it", body, err, tt.body)
				}
			})
		})
	}
}

// Without the bridge a handler sees HTTP/2.0 and nothing to hijack; by hand, and twice, it is the same bridge.
func TestDisableBridge(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, hijacker := w.(http.Hijacker)
		if bridged := r.URL.Path != "/plain"; hijacker != bridged || (r.Proto == "HTTP/1.1") != bridged {
			t.Errorf("%s: Hijacker %t, %s", r.URL.Path, hijacker, r.Proto)
		}
		echo(w, r)
	})
	for _, cr := range carriers[2:] {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			mux := http.NewServeMux()
			mux.Handle("GET /plain", inner)
			mux.Handle("GET /bridged", weft.Bridge(inner))
			mux.Handle("GET /twice", weft.Bridge(weft.Bridge(inner)))
			e := newEnv(t, n, cr, mux, func(s *weft.Server) { s.Options.DisableBridge = true })
			for _, path := range []string{"/plain", "/bridged", "/twice"} {
				c := e.dial(path, nil)
				if err := c.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				if _, p, err := c.Read(e.ctx); string(p) != "hello" {
					t.Errorf("%s: %q, %v", path, p, err)
				}
				c.Close(weft.StatusNormalClosure, "")
			}
		})
	}
}

func (lostAcceptor) Accept(http.Header) (transport.Stream, error) { return nil, io.ErrUnexpectedEOF }
