package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	websocket "github.com/weftws/weft/gorilla"
	"github.com/weftws/weft/internal/simnet"
)

// echo sends back every message.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(typ, p) != nil {
			return
		}
	}
}

func TestDial(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c, resp, err := e.dialer.Dial(e.url+"/path?query#fragment", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if resp.StatusCode != http.StatusSwitchingProtocols || !strings.HasPrefix(resp.Status, "101 ") || resp.Proto != e.proto {
			t.Errorf("%s %s", resp.Proto, resp.Status)
		}
		if p, err := io.ReadAll(resp.Body); len(p) > 0 || err != nil {
			t.Errorf("body %q, %v", p, err)
		}
		wantWrite(t, c, websocket.TextMessage, "echo")
		wantMessage(t, c, websocket.TextMessage, "echo")
	})
}

// What the request says.
func TestDialRequest(t *testing.T) {
	var got *http.Request
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		echo(w, r)
	}, func(t *testing.T, e *env) {
		c, _, err := e.dialer.Dial(e.url+"/path?query=1", http.Header{"Host": {"other.example"}, "X-Header": {"a", "b"}, "Cookie": {"k=v"}})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got.Host != "other.example" || got.RequestURI != "/path?query=1" || len(got.Header["X-Header"]) != 2 || got.Header.Get("Cookie") != "k=v" {
			t.Errorf("%s %s %v", got.Host, got.RequestURI, got.Header)
		}
	})
}

func TestDialRefusesToAsk(t *testing.T) {
	for _, tt := range []struct {
		url    string
		header http.Header
		dialer *websocket.Dialer
	}{
		{"http://example.com/", nil, &websocket.Dialer{}},
		{"example.com", nil, &websocket.Dialer{}},
		{"ws://user:password@example.com/", nil, &websocket.Dialer{}},
		{"ws://\x00", nil, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Upgrade": {"x"}}, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Connection": {"x"}}, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Sec-Websocket-Key": {"x"}}, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Sec-Websocket-Version": {"x"}}, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Sec-Websocket-Extensions": {"x"}}, &websocket.Dialer{}},
		{"ws://example.com/", http.Header{"Sec-Websocket-Protocol": {"x"}}, &websocket.Dialer{Subprotocols: []string{"y"}}},
	} {
		tt.dialer.NetDial = func(network, addr string) (net.Conn, error) {
			t.Errorf("%s: dials %s", tt.url, addr)
			return nil, os.ErrPermission
		}
		c, resp, err := tt.dialer.Dial(tt.url, tt.header)
		if c != nil || resp != nil || err == nil {
			t.Errorf("%s %v: %v, %v, %v", tt.url, tt.header, c, resp, err)
		}
	}
}

// An answer that opens no WebSocket comes with the error.
func TestBadHandshake(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/long":
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, strings.Repeat("x", 5000))
		default:
			http.Error(w, "who are you", http.StatusUnauthorized)
		}
	}, func(t *testing.T, e *env) {
		for _, tt := range []struct {
			path   string
			status int
			body   string
		}{
			{"/", 401, "who are you\n"},
			{"/long", 418, strings.Repeat("x", 1024)},
			{"/redirect", 302, "<a href=\"/there\">Found</a>.\n\n"},
		} {
			c, resp, err := e.dialer.Dial(e.url+tt.path, nil)
			if c != nil || err != websocket.ErrBadHandshake || resp == nil {
				t.Fatalf("%s: %v, %v, %v", tt.path, c, resp, err)
			}
			if p, err := io.ReadAll(resp.Body); resp.StatusCode != tt.status || string(p) != tt.body || err != nil {
				t.Errorf("%s: %d %q, %v", tt.path, resp.StatusCode, p, err)
			}
			if tt.status == 302 {
				if u, err := resp.Location(); err != nil || u.Path != "/there" || u.Host != "example.com:443" {
					t.Errorf("Location: %v, %v", u, err)
				}
			}
		}
	})
}

func TestJar(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("visited"); err == nil || r.URL.Path == "/bad" {
			http.SetCookie(w, &http.Cookie{Name: "refused", Value: "1"})
			http.Error(w, r.Header.Get("Cookie"), http.StatusForbidden)
			return
		}
		h := http.Header{"Set-Cookie": {"visited=1; Path=/"}}
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, h)
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}, func(t *testing.T, e *env) {
		jar, _ := cookiejar.New(nil)
		e.dialer.Jar = jar
		u, _ := url.Parse(strings.Replace(e.url, "ws", "http", 1) + "/")
		jar.SetCookies(u, []*http.Cookie{{Name: "before", Value: "0"}})
		c, _, err := e.dialer.Dial(e.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		_, resp, err := e.dialer.Dial(e.url, nil)
		if err != websocket.ErrBadHandshake {
			t.Fatal(err)
		}
		if p, _ := io.ReadAll(resp.Body); string(p) != "before=0; visited=1\n" {
			t.Errorf("the server got the cookies %q", p)
		}
		if cookies := jar.Cookies(u); len(cookies) != 3 { // a refusal's count too
			t.Errorf("the jar has %v", cookies)
		}
		// A Cookie of the caller's replaces the jar's.
		_, resp, _ = e.dialer.Dial(e.url+"/bad", http.Header{"Cookie": {"mine=1"}})
		if p, _ := io.ReadAll(resp.Body); string(p) != "mine=1\n" {
			t.Errorf("the server got the cookies %q", p)
		}
	})
}

// The next WebSocket of the same Dialer is a stream on the same connection.
func TestDialShares(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		first := e.dial(nil)
		dials := e.net.Stats().Dials
		start := time.Now()
		second := e.dial(nil)
		trips := e.net.RoundTrips(start)
		shared := first.LocalAddr().String() == second.LocalAddr().String()
		if want := e.proto == "HTTP/2.0"; shared != want || want && (trips != 1 || e.net.Stats().Dials != dials) {
			t.Errorf("shared: %v, %v round trips", shared, trips)
		}
		first.Close()
		wantWrite(t, second, websocket.TextMessage, "still there")
		wantMessage(t, second, websocket.TextMessage, "still there")

		// A copy has connections of its own, and other TLS settings mean others.
		cp := *e.dialer
		third, _, err := cp.Dial(e.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer third.Close()
		e.dialer.TLSClientConfig = e.dialer.TLSClientConfig.Clone()
		fourth := e.dial(nil)
		if a, b, c := second.LocalAddr().String(), third.LocalAddr().String(), fourth.LocalAddr().String(); a == b || b == c || a == c {
			t.Errorf("%s, %s and %s are not three connections", a, b, c)
		}
	})
}

// The ways of making connections, and which one counts.
func TestNetDial(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		broken := func(string, string) (net.Conn, error) { return nil, os.ErrPermission }
		e.dialer.NetDial = broken // NetDialContext counts
		e.dial(nil)

		addrs := ""
		d := &websocket.Dialer{TLSClientConfig: e.dialer.TLSClientConfig, NetDial: func(network, addr string) (net.Conn, error) {
			addrs += network + " " + addr + " "
			return e.net.DialContext(t.Context(), network, addr)
		}}
		c, _, err := d.Dial(e.url, nil)
		if err != nil || !strings.HasPrefix(addrs, "tcp example.com:443 ") {
			t.Fatalf("%v, dialed %s", err, addrs)
		}
		c.Close()

		d = &websocket.Dialer{NetDial: broken}
		if _, _, err := d.Dial(e.url, nil); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%v", err)
		}
	})
}

// A connection that comes with TLS carries HTTP/1.1.
func TestNetDialTLSContext(t *testing.T) {
	hosts := make(chan string, 1)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		echo(w, r)
	}, func(t *testing.T, e *env) {
		d := websocket.Dialer{
			NetDialContext: e.dialer.NetDialContext,
			NetDialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := e.net.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				config := e.dialer.TLSClientConfig.Clone()
				config.ServerName, config.NextProtos = "example.com", nil
				return tls.Client(nc, config), nil
			},
		}
		c, resp, err := d.Dial(strings.TrimSuffix(e.url, ":443")+map[string]string{"ws": ":443"}[e.scheme], nil)
		if err != nil || resp.Proto != "HTTP/1.1" {
			t.Fatalf("%v, %v", resp, err)
		}
		defer c.Close()
		_, isTLS := c.NetConn().(*tls.Conn)
		if isTLS != (e.scheme == "wss") {
			t.Errorf("NetConn is a %T", c.NetConn())
		}
		if host, want := <-hosts, map[string]string{"ws": "example.com:443", "wss": "example.com"}[e.scheme]; host != want {
			t.Errorf("Host is %q, want %q", host, want)
		}
		wantWrite(t, c, websocket.TextMessage, "echo")
		wantMessage(t, c, websocket.TextMessage, "echo")
	})
}

func TestNewClient(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		nc, err := e.net.Dial(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		u, _ := url.Parse("ws://example.com:443/")
		if e.scheme == "wss" {
			nc = tls.Client(nc, &tls.Config{RootCAs: e.dialer.TLSClientConfig.RootCAs, ServerName: "example.com"})
		}
		c, resp, err := websocket.NewClient(nc, u, nil, 1024, 1024)
		if err != nil || resp.StatusCode != 101 {
			t.Fatalf("%v, %v", resp, err)
		}
		defer c.Close()
		if c.NetConn() != nc {
			t.Error("it is not on the connection it was given")
		}
		wantWrite(t, c, websocket.TextMessage, "echo")
		wantMessage(t, c, websocket.TextMessage, "echo")
	})
}

// Proxy is asked about http and https; nil means none, whatever the environment says.
func TestProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://nowhere.example:1")
	t.Setenv("HTTP_PROXY", "http://nowhere.example:1")
	overEach(t, echo, func(t *testing.T, e *env) {
		e.dial(nil)
		asked := ""
		e.dialer.Proxy = func(r *http.Request) (*url.URL, error) {
			asked = r.URL.String()
			return nil, os.ErrPermission
		}
		_, _, err := e.dialer.Dial(e.url+"/p", nil)
		if !errors.Is(err, os.ErrPermission) || asked != strings.Replace(e.url, "ws", "http", 1)+"/p" {
			t.Errorf("asked about %s: %v", asked, err)
		}
		e.dialer.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "10.0.0.3:3128"})
		e.net.SetLink("10.0.0.3:3128", simnet.Link{Refuse: true})
		if _, _, err := e.dialer.Dial(e.url, nil); err == nil {
			t.Error("the proxy was not used")
		}
		tunnel(e, "10.0.0.3:3128")
		e.net.SetLink("10.0.0.3:3128", simnet.Link{})
		if c := e.dial(nil); c.RemoteAddr().String() != "10.0.0.3:3128" {
			t.Errorf("connected to %s", c.RemoteAddr())
		}
	})
}

// tunnel is a proxy that knows CONNECT.
func tunnel(e *env, addr string) {
	l := e.net.Listen(addr)
	e.Cleanup(func() { l.Close() })
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := e.net.DialContext(r.Context(), "tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, fmt.Sprint(err), http.StatusBadGateway)
			return
		}
		from, _, _ := http.NewResponseController(w).Hijack()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			go func() {
				io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			}()
		}
	}))
}

// A Dial ends with its context, and with HandshakeTimeout.
func TestDialTimeout(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, e *env) {
		e.dialer.HandshakeTimeout = 3 * time.Second
		for _, tt := range []struct {
			within time.Duration
			want   time.Duration
		}{{time.Second, time.Second}, {time.Hour, 3 * time.Second}} {
			ctx, cancel := context.WithTimeout(t.Context(), tt.within)
			start := time.Now()
			_, resp, err := e.dialer.DialContext(ctx, e.url, nil)
			cancel()
			if ne, ok := err.(net.Error); resp != nil || !ok || !ne.Timeout() {
				t.Errorf("%T %v, want a timeout", err, err)
			}
			if d := time.Since(start); d != tt.want {
				t.Errorf("after %v, want %v", d, tt.want)
			}
		}
	})
}

// Programs look at the type of network errors.
func TestDialErrors(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetLink(serverAddr, simnet.Link{Refuse: true})
		d := websocket.Dialer{NetDialContext: n.DialContext}
		for _, scheme := range []string{"ws", "wss"} {
			_, resp, err := d.Dial(scheme+"://"+serverAddr, nil)
			if _, ok := err.(*net.OpError); !ok || resp != nil {
				t.Errorf("%T %v", err, err)
			}
		}
	})
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, ways[2], http.HandlerFunc(echo))
		e.dialer.TLSClientConfig = nil
		_, _, err := e.dialer.Dial(e.url, nil)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("%T %v", err, err)
		}
	})
}

// A nil Dialer is the default one.
func TestNilDialer(t *testing.T) {
	var d *websocket.Dialer
	if _, _, err := d.Dial("ftp://example.com", nil); err == nil {
		t.Error("dialed")
	}
	if d := websocket.DefaultDialer; d.HandshakeTimeout != 45*time.Second || d.Proxy == nil {
		t.Errorf("%+v", d)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody is there
	for range 2 {
		for _, d := range []*websocket.Dialer{nil, websocket.DefaultDialer} {
			if _, _, err := d.Dial("ws://"+l.Addr().String(), nil); err == nil {
				t.Error("dialed")
			}
		}
	}
}
