package websocket_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	websocket "github.com/weftws/weft/gorilla"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

// upgradeRequest is a request that opens a WebSocket, with the fields in lines replaced; "-Name" removes.
func upgradeRequest(method string, lines ...string) *http.Request {
	r := httptest.NewRequest(method, "http://example.com/", nil)
	for _, line := range append([]string{
		"Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, lines...) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Del(strings.TrimPrefix(name, "-"))
		if !strings.HasPrefix(name, "-") {
			r.Header.Set(name, value)
		}
	}
	return r
}

// What cannot be a WebSocket is answered by Upgrader.Error, else with the status's text.
func TestUpgradeRefused(t *testing.T) {
	tests := []struct {
		name     string
		r        *http.Request
		upgrader websocket.Upgrader
		header   http.Header
		status   int
	}{
		{"no upgrade", upgradeRequest("GET", "-Connection", "-Upgrade"), websocket.Upgrader{}, nil, 400},
		{"no Connection", upgradeRequest("GET", "Connection: keep-alive"), websocket.Upgrader{}, nil, 400},
		{"another protocol", upgradeRequest("GET", "Upgrade: h2c"), websocket.Upgrader{}, nil, 400},
		{"method", upgradeRequest("POST"), websocket.Upgrader{}, nil, 405},
		{"version", upgradeRequest("GET", "Sec-WebSocket-Version: 8"), websocket.Upgrader{}, nil, 400},
		{"no key", upgradeRequest("GET", "-Sec-WebSocket-Key"), websocket.Upgrader{}, nil, 400},
		{"short key", upgradeRequest("GET", "Sec-WebSocket-Key: dGhl"), websocket.Upgrader{}, nil, 400},
		{"origin", upgradeRequest("GET", "Origin: http://elsewhere.example"), websocket.Upgrader{}, nil, 403},
		{"no URL", upgradeRequest("GET", "Origin: http://%"), websocket.Upgrader{}, nil, 403},
		{"CheckOrigin", upgradeRequest("GET"), websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return false }}, nil, 403},
		{"extensions", upgradeRequest("GET"), websocket.Upgrader{}, http.Header{"Sec-Websocket-Extensions": {"x"}}, 500},
		{"malformed extensions", upgradeRequest("GET", "Sec-WebSocket-Extensions: ;"), websocket.Upgrader{}, nil, 400},
		{"no Hijacker", upgradeRequest("GET", "Origin: http://example.com"), websocket.Upgrader{}, nil, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c, err := tt.upgrader.Upgrade(w, tt.r, tt.header)
			if _, ok := err.(websocket.HandshakeError); !ok || c != nil || !strings.HasPrefix(err.Error(), "websocket: ") {
				t.Errorf("%v, %T %v", c, err, err)
			}
			if body := strings.TrimSpace(w.Body.String()); w.Code != tt.status || body != http.StatusText(tt.status) {
				t.Errorf("answer %d %q, want %d", w.Code, body, tt.status)
			}
			if got := w.Header().Get("Sec-WebSocket-Version"); got != "13" {
				t.Errorf("Sec-WebSocket-Version %q", got)
			}

			w = httptest.NewRecorder()
			var status int
			var reason error
			tt.upgrader.Error = func(w http.ResponseWriter, _ *http.Request, s int, r error) {
				status, reason = s, r
				w.WriteHeader(http.StatusTeapot)
			}
			_, err = tt.upgrader.Upgrade(w, tt.r, tt.header)
			if status != tt.status || reason == nil || reason != err || w.Code != http.StatusTeapot || w.Body.Len() > 0 {
				t.Errorf("Error was given %d, %v; answer %d", status, reason, w.Code)
			}

			// The deprecated function does not answer, and looks at no origin.
			w = httptest.NewRecorder()
			if _, err := websocket.Upgrade(w, tt.r, tt.header, 0, 0); err == nil || w.Body.Len() > 0 {
				t.Errorf("%v, answer %q", err, w.Body)
			}
		})
	}
}

// A client's address may have so many WebSockets; one more is told when to come again, and let in when one has ended, by either side.
func TestTooManyWebSockets(t *testing.T) {
	for name, end := range map[string]func(client, server *websocket.Conn){
		"client": func(client, _ *websocket.Conn) { client.Close() },
		"server": func(_, server *websocket.Conn) { server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan *websocket.Conn, maxSockets+1)
			overEach(t, func(w http.ResponseWriter, r *http.Request) {
				if c, err := new(websocket.Upgrader).Upgrade(w, r, nil); err == nil {
					accepted <- c
					go func() {
						defer c.Close()
						c.ReadMessage()
					}()
				}
			}, func(t *testing.T, e *env) {
				var clients, servers []*websocket.Conn
				for range maxSockets {
					clients, servers = append(clients, e.dial(nil)), append(servers, <-accepted)
				}
				_, resp, err := e.dialer.Dial(e.url, nil)
				if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "30" {
					t.Fatalf("one too many: %v, %v", resp, err)
				}
				end(clients[0], servers[0])
				time.Sleep(time.Minute)
				clients, servers = append(clients, e.dial(nil)), append(servers, <-accepted)
				for i := range clients {
					clients[i].Close()
					servers[i].Close()
				}
			})
		})
	}
}

// Where all hold too much together, a WebSocket ends whose peer reads nothing of much that is sent, and the server's Observer is told.
func TestOverBudget(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		failed := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
			for err == nil {
				err = c.WriteMessage(websocket.BinaryMessage, make([]byte, 8<<10))
			}
			failed <- err
			c.Close()
		})
		told := make(chan weft.Violation, 1)
		e := newEnvWith(t, n, ways[1], h, weft.ServerOptions{MaxMemory: 50 << 10, Observer: &weft.Observer{Violation: func(v weft.Violation) { told <- v }}})
		start := time.Now()
		e.dial(nil)
		if err := <-failed; !errors.Is(err, transport.ErrOverBudget) || time.Since(start) > 5*time.Second {
			t.Errorf("WriteMessage: %v after %v", err, time.Since(start))
		}
		if v := <-told; v.Name != "memory-exceeded" || !v.Limit || v.RemoteAddr == "" {
			t.Errorf("told %+v", v)
		}
	})
}

func TestCheckOrigin(t *testing.T) {
	for _, tt := range []struct {
		origin string
		up     websocket.Upgrader
		ok     bool
	}{
		{"", websocket.Upgrader{}, true},
		{"http://example.com:443", websocket.Upgrader{}, true},
		{"https://EXAMPLE.com:443", websocket.Upgrader{}, true},
		{"https://elsewhere.example", websocket.Upgrader{}, false},
		{"https://elsewhere.example", websocket.Upgrader{CheckOrigin: func(r *http.Request) bool {
			return r.Header.Get("Origin") == "https://elsewhere.example"
		}}, true},
	} {
		overEach(t, func(w http.ResponseWriter, r *http.Request) {
			if c, err := tt.up.Upgrade(w, r, nil); err == nil {
				c.Close()
			}
		}, func(t *testing.T, e *env) {
			h := http.Header{"Host": {"example.com:443"}}
			if tt.origin != "" {
				h.Set("Origin", tt.origin)
			}
			c, resp, err := e.dialer.Dial(e.url, h)
			if tt.ok != (err == nil) {
				t.Errorf("origin %q: %v", tt.origin, err)
			}
			if err == nil {
				c.Close()
			} else if err != websocket.ErrBadHandshake || resp.StatusCode != http.StatusForbidden {
				t.Errorf("origin %q: %v, %v", tt.origin, err, resp)
			}
		})
	}
}

func TestSubprotocols(t *testing.T) {
	for _, tt := range []struct {
		name             string
		offered, spoken  []string
		response, header string // Sec-WebSocket-Protocol
		want             string
	}{
		{"none", nil, nil, "", "", ""},
		{"the server's first", []string{"a", "b"}, []string{"b", "a"}, "", "", "b"},
		{"none in common", []string{"a"}, []string{"b"}, "", "", ""},
		{"from the response header", []string{"a", "b"}, nil, "b", "", "b"},
		{"Upgrader.Subprotocols counts", []string{"a", "b"}, []string{"a"}, "b", "", "a"},
		{"from the request header", nil, []string{"b"}, "", "a, b", "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := websocket.Upgrader{Subprotocols: tt.spoken}
			accepted := make(chan string, 1)
			overEach(t, func(w http.ResponseWriter, r *http.Request) {
				h := http.Header{"X-Header": {"value"}}
				if tt.response != "" {
					h.Set("Sec-WebSocket-Protocol", tt.response)
				}
				c, err := up.Upgrade(w, r, h)
				if err != nil {
					t.Error(err)
					return
				}
				accepted <- c.Subprotocol()
				c.Close()
			}, func(t *testing.T, e *env) {
				e.dialer.Subprotocols = tt.offered
				h := http.Header{}
				if tt.header != "" {
					h.Set("Sec-WebSocket-Protocol", tt.header)
				}
				c, resp, err := e.dialer.Dial(e.url, h)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if got := <-accepted; got != tt.want || c.Subprotocol() != got || resp.Header.Get("Sec-WebSocket-Protocol") != got {
					t.Errorf("subprotocol %q, the client's %q, want %q", got, c.Subprotocol(), tt.want)
				}
				if got := resp.Header.Get("X-Header"); got != "value" {
					t.Errorf("X-Header is %q", got)
				}
			})
		})
	}
}

func TestSubprotocolsOfARequest(t *testing.T) {
	for field, want := range map[string][]string{
		"": nil, " ": nil, "a": {"a"}, "a,b": {"a", "b"}, " a ,\tb": {"a", "b"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Sec-WebSocket-Protocol", field)
		if got := websocket.Subprotocols(r); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}

func TestIsWebSocketUpgrade(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{nil, true},
		{[]string{"Connection: UPGRADE", "Upgrade: WebSocket"}, true},
		{[]string{"-Connection"}, false},
		{[]string{"-Upgrade"}, false},
		{[]string{"Upgrade: websockets"}, false},
	} {
		if got := websocket.IsWebSocketUpgrade(upgradeRequest("GET", tt.lines...)); got != tt.want {
			t.Errorf("%q: %v", tt.lines, got)
		}
	}
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, websocket.IsWebSocketUpgrade(r))
	}, func(t *testing.T, e *env) {
		_, resp, err := e.dialer.Dial(e.url, nil)
		if err != websocket.ErrBadHandshake {
			t.Fatal(err)
		}
		if p, _ := io.ReadAll(resp.Body); string(p) != "true" {
			t.Errorf("the server says %q", p)
		}
	})
}

// The first message of a client that does not wait for the answer is not lost.
func TestEarlyMessage(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Upgrade(w, r, nil, 0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		wantMessage(t, c, websocket.TextMessage, "hi")
		wantWrite(t, c, websocket.TextMessage, "hello")
	}
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		newEnv(t, n, ways[0], http.HandlerFunc(h))
		nc, err := n.Dial(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x00hi")
		br := bufio.NewReader(nc)
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatalf("%v, %v", resp, err)
		}
		if p, err := io.ReadAll(br); string(p) != "\x81\x05hello" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
	})
}
