package h3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/bucket"
	"github.com/weftws/weft/internal/transport"
)

// A complaint notes what Server.Violation is told.
type complaint struct {
	mu   sync.Mutex
	list []string
}

func (c *complaint) note(_ net.Addr, l *Rule, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf("%s/%s: %s (%s)", l.Protocol, l.Name, detail, l.Section))
}

func (c *complaint) want(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.list, want) {
		t.Errorf("the server complains of %q, want %q", c.list, want)
	}
}

func TestHeaderListTooLarge(t *testing.T) {
	const limit = 1000
	get := []string{":method", "GET", ":scheme", "https", ":authority", serverName, ":path", "/"}
	size := 0
	for i := 0; i < len(get); i += 2 {
		size += len(get[i]) + len(get[i+1]) + 32
	}
	filled := func(n int) []string {
		return append(slices.Clone(get), "x", strings.Repeat("a", n-size-1-32)) // shorter when it is encoded
	}
	crumbs := slices.Clone(get)
	for range 24 {
		crumbs = append(crumbs, "cookie", "a=b")
	}
	for name, c := range map[string]struct {
		request []byte
		status  int
	}{
		"as large as it may be": {headersOf(filled(limit)...), 200},
		"a byte more":           {headersOf(filled(limit + 1)...), 431},
		"large as it is sent":   {headersOf(filled(10 * limit)...), 431},
		"large when decoded":    {headersOf(crumbs...), 431},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			srv := &Server{MaxHeaderBytes: limit, Violation: told.note}
			inFakeTime(t, srv, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(t *testing.T, fx *fixture) {
				var want []string
				_, q := fx.stockClient()
				for range 2 {
					if status := fx.ask(q, c.request); status != c.status {
						t.Errorf("status %d, want %d", status, c.status)
					}
					if c.status == 431 {
						want = append(want, "http3/header-list-too-large: client sent a field section of more than 1000 bytes (RFC 9114, Section 4.2.2)")
					}
				}
				told.want(t, want...)
			})
		})
	}
}

// ask sends a request on a stream of its own, and returns the status of the response.
func (fx *fixture) ask(q *quic.Conn, request []byte) int {
	fx.t.Helper()
	s, err := q.OpenStream()
	if err != nil {
		fx.t.Fatal(err)
	}
	s.Write(request)
	s.Close()
	all, err := io.ReadAll(s)
	if err != nil {
		fx.t.Fatal(err)
	}
	section := all[2 : 2+all[1]]
	status, _, err := parseResponse(section)
	if err != nil {
		fx.t.Fatal(err)
	}
	return status
}

const excessiveResets = "client caused more than 1000 stream resets, 33 a second"

// allowResets gives each connection of the server n resets, for good.
func (fx *fixture) allowResets(n int) {
	fx.srv.mu.Lock()
	defer fx.srv.mu.Unlock()
	for sc := range fx.srv.conns {
		sc.mu.Lock()
		sc.resets = bucket.New(time.Now(), n, 0)
		sc.mu.Unlock()
	}
}

// resetHandler waits for the end of a request, or makes a WebSocket of it, as the path says.
func resetHandler(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/download":
			for r.Context().Err() == nil {
				w.Write(make([]byte, 4096))
				pass(time.Millisecond)
			}
		case "/events":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/echo":
			if s := takeStream(t, r); s != nil {
				echo(s)
			}
		case "/soon": // QUIC takes the frames of a packet one after the other: who takes no time at all may be done between
			pass(time.Millisecond)
		case "/late":
			<-r.Context().Done()
			if _, err := transport.AcceptorFrom(r.Context()).Accept(nil); err == nil {
				t.Error("a stream that the client has stopped is accepted")
			}
		case "/leave":
			if s := takeStream(t, r); s != nil {
				s.Close(time.Minute)
			}
		case "/abort":
			if s := takeStream(t, r); s != nil {
				pass(time.Second) // until the response is there
				s.Abort()
			}
		case "/panic":
			panic(http.ErrAbortHandler)
		}
	})
}

// Streams that the client makes end early, each of a kind, and how they are counted.
func TestResets(t *testing.T) {
	const cancelled = quic.StreamErrorCode(http3.ErrCodeRequestCanceled)
	type client struct {
		*fixture
		cc *http3.ClientConn
		q  *quic.Conn
	}
	request := func(method, protocol, path string) func(c client) *http3.RequestStream {
		return func(c client) *http3.RequestStream {
			s, err := c.cc.OpenRequestStream(c.t.Context())
			if err == nil {
				err = s.SendRequestHeader(newRequest(method, protocol, path, ""))
			}
			if err != nil {
				c.t.Fatal(err)
			}
			pass(time.Second)
			return s
		}
	}
	get := func(path string) func(c client) *http3.RequestStream { return request("GET", "", path) }
	webSocket := func(path string) func(c client) *http3.RequestStream {
		return func(c client) *http3.RequestStream {
			s, resp := c.connectBy(c.cc, newRequest("CONNECT", "websocket", path, ""))
			if resp.StatusCode != 200 {
				c.t.Fatalf("status %d", resp.StatusCode)
			}
			return s
		}
	}
	both := func(s *http3.RequestStream) {
		s.CancelWrite(cancelled)
		s.CancelRead(cancelled)
	}
	stop := func(s *http3.RequestStream) {
		s.Close()
		s.CancelRead(cancelled)
	}
	for name, c := range map[string]struct {
		open    func(client) *http3.RequestStream
		end     func(*http3.RequestStream)
		breaks  string // what each of them is told as
		orderly bool
	}{
		"a request, reset and stopped": {open: get("/wait"), end: both},
		"a request, stopped":           {open: get("/wait"), end: stop},
		"a request, stopped in the same packet": {open: func(c client) *http3.RequestStream {
			s, err := c.q.OpenStream()
			if err != nil {
				c.t.Fatal(err)
			}
			s.Write(headersOf(":method", "GET", ":scheme", "https", ":authority", serverName, ":path", "/soon"))
			s.Close()
			s.CancelRead(cancelled)
			return nil
		}},
		"a stream of events, stopped": {open: get("/events"), end: stop},
		"a download, stopped":         {open: get("/download"), end: stop},
		"more than content-length": {open: func(c client) *http3.RequestStream {
			s, err := c.q.OpenStream()
			if err != nil {
				c.t.Fatal(err)
			}
			s.Write(join(headersOf(":method", "POST", ":scheme", "https", ":authority", serverName, ":path", "/wait", "content-length", "1"), frameOf(frameData, "xx")))
			return nil
		}, breaks: "http3/content-length-mismatch: client sent more content than its content-length (RFC 9114, Section 4.1.2)"},
		"a WebSocket, reset":             {open: webSocket("/echo"), end: func(s *http3.RequestStream) { s.CancelWrite(cancelled) }},
		"a WebSocket, reset and stopped": {open: webSocket("/echo"), end: both},
		"a WebSocket, stopped": {open: webSocket("/echo"), end: func(s *http3.RequestStream) {
			s.CancelRead(cancelled)
			pass(time.Second)
			io.WriteString(s, "has no echo")
		}},
		"a WebSocket, before it is accepted": {open: request("CONNECT", "websocket", "/late"), end: both},

		"a request that is answered": {open: get("/"), end: stop, orderly: true},
		"a handler that panics":      {open: get("/panic"), end: stop, orderly: true},
		"a WebSocket that the client ends": {open: webSocket("/echo"), end: func(s *http3.RequestStream) {
			s.Close()
			io.Copy(io.Discard, s)
		}, orderly: true},
		"a WebSocket that the server has ended": {open: webSocket("/leave"), end: func(s *http3.RequestStream) {
			io.Copy(io.Discard, s)
			both(s)
		}, orderly: true},
		"a WebSocket that the server has aborted": {open: webSocket("/abort"), end: func(s *http3.RequestStream) {
			io.Copy(io.Discard, s)
			both(s)
		}, orderly: true},
	} {
		t.Run(name, func(t *testing.T) {
			const allowed = 3
			var told complaint
			inFakeTime(t, &Server{Violation: told.note}, resetHandler(t), func(t *testing.T, fx *fixture) {
				cc, q := fx.stockClient()
				pass(time.Second)
				fx.allowResets(allowed)
				var want []string
				once := func() {
					if c.breaks != "" {
						want = append(want, c.breaks)
					}
					if s := c.open(client{fx, cc, q}); c.end != nil {
						c.end(s)
					}
					pass(3 * time.Second)
				}
				for range allowed {
					once()
				}
				told.want(t, want...)
				if q.Context().Err() != nil {
					t.Fatalf("the connection has ended: %v", context.Cause(q.Context()))
				}
				once()
				if c.orderly {
					once()
					told.want(t)
					return
				}
				told.want(t, append(want, "http3/too-many-resets: "+excessiveResets+" (RFC 9114, Section 10.5)")...)
				if q.Context().Err() == nil {
					t.Fatal("the connection goes on")
				}
				ce := connError(context.Cause(q.Context()), true)
				if !ce.Application || ce.Local || ce.Code != uint64(http3.ErrCodeExcessiveLoad) || !strings.Contains(ce.Detail, excessiveResets) {
					t.Errorf("%+v", ce)
				}
			})
		})
	}
}

// Requests that end with their connection, or with the server, are no resets.
func TestEndsThatAreNoResets(t *testing.T) {
	for name, end := range map[string]func(fx *fixture, q *quic.Conn, cancel func()){
		"the client closes":       func(_ *fixture, q *quic.Conn, _ func()) { q.CloseWithError(0x100, "") },
		"the server closes":       func(fx *fixture, _ *quic.Conn, _ func()) { fx.srv.Close() },
		"BaseContext's is done":   func(_ *fixture, _ *quic.Conn, cancel func()) { cancel() },
		"the network goes silent": func(*fixture, *quic.Conn, func()) { pass(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			var base context.Context
			srv := &Server{Violation: told.note, BaseContext: func(net.Addr) context.Context { return base }}
			inFakeTime(t, srv, resetHandler(t), func(t *testing.T, fx *fixture) {
				var cancel context.CancelFunc
				base, cancel = context.WithCancel(t.Context())
				defer cancel()
				cc, q := fx.stockClient()
				pass(time.Second)
				fx.allowResets(0)
				for range 5 {
					s, err := cc.OpenRequestStream(t.Context())
					if err == nil {
						err = s.SendRequestHeader(newRequest("GET", "", "/wait", ""))
					}
					if err != nil {
						t.Fatal(err)
					}
					s.Close()
				}
				pass(time.Second)
				end(fx, q, cancel)
				pass(time.Second)
				told.want(t)
			})
		})
	}
}

func TestUnknownProtocol(t *testing.T) {
	for _, on := range []bool{true, false} {
		var told []string
		srv := &Server{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ConnectProtocol: on,
			UnknownProtocol: func(r *http.Request, protocol string) { told = append(told, protocol+" "+r.URL.Path) },
		}
		withServer(t, srv, func(t *testing.T, fx *fixture) {
			cc, _ := fx.stockClient()
			for _, protocol := range []string{"connect-udp", "websocket", "webtransport"} {
				if _, resp := fx.connectBy(cc, newRequest("CONNECT", protocol, "/a", "")); resp.StatusCode != 501 {
					t.Errorf("%s: status %d", protocol, resp.StatusCode)
				}
			}
			fx.roundTrip(cc, newRequest("GET", "", "/b", ""))
		})
		if !slices.Equal(told, []string{"connect-udp /a", "webtransport /a"}) {
			t.Errorf("CONNECT allowed %v: told of %q", on, told)
		}
	}
}

// wantNames is want for names alone.
func (c *complaint) wantNames(t *testing.T, name string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" && len(c.list) == 0 {
		return
	}
	if len(c.list) != 1 || !strings.HasPrefix(c.list[0], "http3/"+name+":") {
		t.Errorf("the server complains of %q, want %s", c.list, name)
	}
}
