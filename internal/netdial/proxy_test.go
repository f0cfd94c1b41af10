package netdial

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/negotiate"
)

// near makes the way from the proxy to the origin short, so that round trips are the client's alone.
func (w *world) near() { w.n.SetLink("10.0.0.2:443", simnet.Link{RTT: 2}) }

func TestHTTPProxy(t *testing.T) {
	run(t, func(w *world) {
		w.near()
		w.serveTLS("10.0.0.2:443", &tls.Config{NextProtos: []string{"h2"}})
		w.listen("10.0.0.9:3128", w.httpProxy("Basic dXNlcjpwYXNz", ""))
		target := Target{Addr: origin, TLS: true, ALPN: []string{"h2"}, Proxy: mustURL("http://user:pass@proxy.test:3128")}
		c, err := w.dial(w.t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w.wantSteps("tcp ok", "proxy ok", "tls ok")
		if c.ALPN != "h2" || c.RoundTrips != 3 {
			t.Errorf("ALPN %q, %d round trips; want h2, 3", c.ALPN, c.RoundTrips)
		}
	})
}

// A proxy that is reached over TLS, with a certificate of its own.
func TestHTTPSProxy(t *testing.T) {
	run(t, func(w *world) {
		w.near()
		w.serveTLS("10.0.0.2:443", &tls.Config{NextProtos: []string{"h2"}})
		w.listen("10.0.0.9:443", func(c net.Conn) {
			w.httpProxy("", "")(tls.Server(c, &tls.Config{
				Certificates: []tls.Certificate{w.cert}, NextProtos: []string{"http/1.1"},
				GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					if h.ServerName != "proxy.test" {
						t.Errorf("the proxy was called %q", h.ServerName)
					}
					return nil, nil
				},
			}))
		})
		w.d.TLSConfig.ServerName = "origin.test" // is the origin's alone
		c, err := w.dial(w.t.Context(), Target{Addr: origin, TLS: true, ALPN: []string{"h2"}, Proxy: mustURL("https://proxy.test")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w.wantSteps("tcp ok", "tls ok", "proxy ok", "tls ok")
		if c.RoundTrips != 4 {
			t.Errorf("%d round trips, want 4", c.RoundTrips)
		}
	})
}

// An origin that speaks first is heard, even in the packet with the proxy's answer.
func TestProxyEarlyBytes(t *testing.T) {
	run(t, func(w *world) {
		w.listen("10.0.0.9:80", w.httpProxy("", "HTTP/1.1 200 OK\r\n\r\nhello"))
		c := w.wantConn(Target{Addr: origin, Proxy: mustURL("http://proxy.test")}, 2, "tcp ok", "proxy ok")
		if _, ok := c.Conn.(interface{ CloseWrite() error }); !ok {
			t.Error("the tunnel cannot be half closed")
		}
	})
}

func TestProxyRefuses(t *testing.T) {
	target := Target{Addr: origin, TLS: true, Proxy: mustURL("http://user:secret@proxy.test:3128")}
	const auth = "Basic dXNlcjpzZWNyZXQ="
	for response, want := range map[string]struct {
		status int
		text   string
	}{
		"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n":                {407, "proxy answered 407 Proxy Authentication Required: it wants"},
		"HTTP/1.1 403 Forbidden\r\n\r\n":                                      {403, "proxy answered 403 Forbidden"},
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                            {101, "proxy answered 101"},
		"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n":                           {302, "proxy answered 302"},
		"nonsense\r\n\r\n":                                                    {0, "no valid response"},
		"HTTP/1.1 200":                                                        {0, "no valid response"},
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxProxyHeader):        {0, "exceeds 65536 bytes"},
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxProxyHeader/25+10): {0, "exceeds 65536 bytes"},
	} {
		run(t, func(w *world) {
			w.listen("10.0.0.9:3128", w.httpProxy(auth, response))
			e := w.wantError(w.t.Context(), target, negotiate.StepProxy, "tunnel to origin.test:443 by proxy http://user:xxxxx@proxy.test:3128: ", want.text)
			if e.Status != want.status || e.Addr != "proxy.test:3128" {
				t.Errorf("error %#v", e)
			}
			if strings.Contains(e.Error(), "secret") {
				t.Errorf("error %q tells the password", e)
			}
			w.wantSteps("tcp ok", "proxy failed")
		})
	}
	run(t, func(w *world) {
		w.wantError(w.t.Context(), target, negotiate.StepProxy, "proxy.test:3128: connecting to proxy.test:3128: ", "connection refused")
		w.wantSteps("tcp failed")
	})
	run(t, func(w *world) {
		w.wantError(w.t.Context(), Target{Addr: origin, Proxy: mustURL("gopher://proxy.test")}, negotiate.StepProxy, `scheme "gopher" is none of http`)
	})
	run(t, func(w *world) {
		w.listen("10.0.0.9:80", func(c net.Conn) {
			if p, _ := io.ReadAll(c); len(p) > 0 {
				t.Errorf("proxy got %q", p)
			}
		})
		w.wantError(w.t.Context(), Target{Addr: "a\r\nb:80", Proxy: mustURL("http://proxy.test")}, negotiate.StepProxy, "is no host and port")
	})
}

// socksProxy speaks SOCKS5 with one way of authenticating, and answers with reply. RFC 1928, RFC 1929.
func (w *world) socksProxy(user string, reply byte) func(net.Conn) {
	return func(c net.Conn) {
		read := func(n int) []byte {
			p := make([]byte, n)
			if _, err := io.ReadFull(c, p); err != nil {
				w.t.Error(err)
			}
			return p
		}
		methods := read(int(read(2)[1]))
		if user == "" {
			c.Write([]byte{5, 0})
		} else if len(methods) < 2 {
			c.Write([]byte{5, 0xff})
			return
		} else {
			c.Write([]byte{5, 2})
			got := string(read(int(read(2)[1])))
			got += ":" + string(read(int(read(1)[0])))
			if got != user {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		}
		head := read(5)
		if name := string(read(int(head[4]))); head[3] != 3 || name != "origin.test" {
			w.t.Errorf("proxy was asked for %q, type %d", name, head[3])
		}
		read(2)
		answer := string([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply != 0 {
			io.WriteString(c, answer)
			return
		}
		w.through(c, answer)
	}
}

func TestSOCKS5(t *testing.T) {
	for u, user := range map[string]string{"socks5://proxy.test": "", "socks5h://me:secret@proxy.test:1080": "me:secret"} {
		run(t, func(w *world) {
			w.near()
			w.serveTLS("10.0.0.2:443", &tls.Config{NextProtos: []string{"h2"}})
			w.listen("10.0.0.9:1080", w.socksProxy(user, 0))
			c, err := w.dial(w.t.Context(), Target{Addr: origin, TLS: true, ALPN: []string{"h2"}, Proxy: mustURL(u)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w.wantSteps("tcp ok", "proxy ok", "tls ok")
			want := 4
			if user != "" {
				want = 5
			}
			if c.ALPN != "h2" || c.RoundTrips != want {
				t.Errorf("ALPN %q, %d round trips; want %d", c.ALPN, c.RoundTrips, want)
			}
		})
	}
}

func TestSOCKS5Refuses(t *testing.T) {
	for _, c := range []struct {
		url, user string
		reply     byte
		want      string
	}{
		{"socks5://proxy.test", "", 2, "connection not allowed by ruleset"},
		{"socks5://proxy.test", "me:secret", 0, "no acceptable authentication methods"},
		{"socks5://me:wrong@proxy.test", "me:secret", 0, "username/password authentication failed"},
	} {
		run(t, func(w *world) {
			w.listen("10.0.0.9:1080", w.socksProxy(c.user, c.reply))
			e := w.wantError(w.t.Context(), Target{Addr: origin, Proxy: mustURL(c.url)}, negotiate.StepProxy, c.want)
			if strings.Contains(e.Error(), "wrong") {
				t.Errorf("error %q tells the password", e)
			}
			w.wantSteps("tcp ok", "proxy failed")
		})
	}
}
