package websocket_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft"
	websocket "github.com/weftws/weft/gorilla"
	"github.com/weftws/weft/internal/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rtt        = 100 * time.Millisecond
	serverAddr = "10.0.0.2:443"
	maxSockets = 5 // that the client may have
)

// A way is how a WebSocket travels. The tests run over each.
type way struct {
	name, scheme string
	http1        bool // by the Dialer's ALPN protocols
	proto        string
}

var ways = []way{
	{name: "h1", scheme: "ws", proto: "HTTP/1.1"},
	{name: "h1+tls", scheme: "wss", http1: true, proto: "HTTP/1.1"},
	{name: "h2", scheme: "wss", proto: "HTTP/2.0"},
}

// An env is a server and a Dialer on a simulated network.
type env struct {
	*testing.T
	way
	net    *simnet.Network
	server *weft.Server
	dialer *websocket.Dialer
	url    string // without path
}

// overEach runs f over every way, in fake time, with h for every request.
func overEach(t *testing.T, h http.HandlerFunc, f func(t *testing.T, e *env)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) { f(t, newEnv(t, n, w, h)) })
		})
	}
}

func newEnv(t *testing.T, n *simnet.Network, w way, h http.Handler) *env {
	return newEnvWith(t, n, w, h, weft.ServerOptions{PerIP: weft.IPLimits{WebSockets: maxSockets, Exempt: []netip.Prefix{}}})
}

func newEnvWith(t *testing.T, n *simnet.Network, w way, h http.Handler, opts weft.ServerOptions) *env {
	cert, roots := simnet.Certificate("example.com")
	n.AddHost("example.com", "10.0.0.2")
	n.SetLink(serverAddr, simnet.Link{SendBuffer: 64 << 10}) // a peer that does not read makes writes wait
	e := &env{
		T: t, way: w, net: n, url: w.scheme + "://example.com:443",
		server: &weft.Server{
			Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
			Options: opts,
		},
		dialer: &websocket.Dialer{NetDialContext: n.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	if w.http1 {
		e.dialer.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	l := n.Listen(serverAddr)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if w.scheme == "wss" {
			e.server.ServeTLS(l, "", "")
		} else {
			e.server.Serve(l)
		}
	}()
	t.Cleanup(func() {
		e.server.Close()
		<-served
	})
	return e
}

// dial opens a WebSocket that must open.
func (e *env) dial(h http.Header) *websocket.Conn {
	e.Helper()
	c, resp, err := e.dialer.Dial(e.url, h)
	if err != nil {
		e.Fatalf("Dial: %v", err)
	}
	if resp.Proto != e.proto {
		e.Fatalf("the WebSocket travels over %s, want %s", resp.Proto, e.proto)
	}
	e.Cleanup(func() { c.Close() })
	return c
}

// pairs runs f over every way with both ends of a WebSocket that up and mod have a say in.
func pairs(t *testing.T, up *websocket.Upgrader, mod func(*websocket.Dialer), f func(t *testing.T, e *env, client, server *websocket.Conn)) {
	t.Helper()
	accepted := make(chan *websocket.Conn, 1)
	h := func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- c
	}
	overEach(t, h, func(t *testing.T, e *env) {
		if mod != nil {
			mod(e.dialer)
		}
		client := e.dial(nil)
		server := <-accepted
		defer server.Close()
		f(t, e, client, server)
	})
}

func wantMessage(t testing.TB, c *websocket.Conn, typ int, want string) {
	t.Helper()
	got, p, err := c.ReadMessage()
	if err != nil || got != typ || string(p) != want {
		t.Errorf("ReadMessage: %d, %.60q (%d bytes), %v; want %d, %.60q (%d bytes)", got, p, len(p), err, typ, want, len(want))
	}
}

func wantWrite(t testing.TB, c *websocket.Conn, typ int, p string) {
	t.Helper()
	if err := c.WriteMessage(typ, []byte(p)); err != nil {
		t.Errorf("WriteMessage: %v", err)
	}
}

// wantClosed checks that reading ends with a CloseError, and goes on to.
func wantClosed(t testing.TB, c *websocket.Conn, code int, text string) {
	t.Helper()
	for range 2 {
		typ, p, err := c.ReadMessage()
		if ce, ok := err.(*websocket.CloseError); !ok || ce.Code != code || ce.Text != text || typ != -1 || p != nil {
			t.Errorf("ReadMessage: %d, %q, %v; want the close code %d, %q", typ, p, err, code, text)
		}
	}
}
