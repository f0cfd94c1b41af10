package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/websocket"

	"github.com/weftws/weft"
)

// startBridged serves what handler makes of the record, over TLS.
func (v version) startBridged(t *testing.T, cert *certificate, handler func(*record) http.Handler) *weftServer {
	t.Helper()
	return v.start(t, cert, func(s *weft.Server) { s.Handler = handler(s.ErrorLog.Writer().(*record)) })
}

// A weft client over HTTP/2 and HTTP/3, and handlers made with libraries that know HTTP/1.1 only.
func TestBridge(t *testing.T) {
	cert := newCertificate(t)
	overEach(t, func(t *testing.T, v version) {
		for _, l := range libraries {
			t.Run(l.name, func(t *testing.T) {
				srv := v.startBridged(t, cert, l.echo)
				url := fmt.Sprintf("wss://127.0.0.1:%d", srv.port)
				k := talk{
					dial: dialWith(v.dialer(t, cert), v.want), url: url, server: srv.record,
					carried: "library=" + l.name, deflate: l.acceptDeflate, noFragments: l.noFragments,
				}
				k.run(t)
				t.Run("ping", func(t *testing.T) { ping(t, dialWeft(t, v.dialer(t, cert), url, offer{})) })
			})
		}
	})
}

// The same on net/http's own HTTP/2. The handlers return at once where the library reads in a goroutine of its own.
func TestBridgeOnNetHTTP(t *testing.T) {
	cert := newCertificate(t)
	p, url := startNetHTTP(t, cert, "http2xconnect=1")
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			k := talk{
				dial: dialWith(newDialer(t, cert), overHTTP2), url: url + "/" + l.name, server: p.record,
				carried: "library=" + l.name, deflate: l.acceptDeflate, noFragments: l.noFragments,
			}
			k.run(t)
		})
	}
	t.Run("weft", func(t *testing.T) {
		k := talk{
			dial: dialWith(newDialer(t, cert), overHTTP2), url: url + "/weft", server: p.record,
			carried: "version=HTTP/2.0", deflate: []string{"takeover", "no-takeover"},
		}
		k.run(t)
	})
}

// A reverse proxy behind the bridge, and a server for HTTP/1.1 behind it.
func TestBridgeReverseProxy(t *testing.T) { overEach(t, bridgeReverseProxy) }

func bridgeReverseProxy(t *testing.T, v version) {
	cert := newCertificate(t)
	rec := newRecord()
	backend := serveHTTP(t, gorillaLibrary.echo(rec), nil)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	srv := v.startBridged(t, cert, func(*record) http.Handler { return proxy })
	k := talk{
		dial: dialWith(v.dialer(t, cert), v.want), url: fmt.Sprintf("wss://127.0.0.1:%d", srv.port), server: rec,
		carried: "library=gorilla", deflate: gorillaLibrary.acceptDeflate,
	}
	k.run(t)
	t.Run("refusal", func(t *testing.T) {
		refusing := serveHTTP(t, http.NotFoundHandler(), nil)
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: refusing})
		srv := v.startBridged(t, cert, func(*record) http.Handler { return proxy })
		c, resp, err := v.dialer(t, cert).Dial(t.Context(), fmt.Sprintf("wss://127.0.0.1:%d/echo", srv.port), nil)
		if err == nil {
			c.CloseNow()
		}
		if resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("Dial: %+v, %v; want the backend's 404", resp, err)
		}
	})
}

// golang.org/x/net/websocket has no fragments, close codes or compression: text, binary, ping, and an end.
func TestBridgeXNet(t *testing.T) { overEach(t, bridgeXNet) }

func xnetEcho(rec *record) http.Handler {
	type message struct {
		text bool
		p    []byte
	}
	codec := websocket.Codec{
		Marshal: func(v any) ([]byte, byte, error) {
			m := v.(message)
			if m.text {
				return m.p, websocket.TextFrame, nil
			}
			return m.p, websocket.BinaryFrame, nil
		},
		Unmarshal: func(p []byte, typ byte, v any) error {
			*v.(*message) = message{typ == websocket.TextFrame, p}
			return nil
		},
	}
	return websocket.Server{Handler: func(c *websocket.Conn) {
		defer c.Close()
		id := c.Request().URL.Query().Get("id")
		rec.printf("open id=%s library=x/net deflate=false", id)
		for {
			var m message
			if err := codec.Receive(c, &m); err != nil {
				rec.printf("end id=%s %v", id, err)
				return
			}
			codec.Send(c, m)
		}
	}}
}

// xnetTalk is what x/net's server has: one subprotocol at most, no fragments, no codes of Close.
func xnetTalk(dial dialer, url string, rec *record) talk {
	return talk{
		dial: dial, url: url, server: rec, carried: "library=x/net",
		noFragments: true, noReassembly: true, noSubprotocol: true, noCloseCodes: true,
	}
}

// On its own transport it does the same, and no more.
func TestXNetServer(t *testing.T) {
	cert := newCertificate(t)
	rec := newRecord()
	k := xnetTalk(dialWith(newDialer(t, cert), overHTTP1), "wss://"+serveHTTP(t, xnetEcho(rec), cert), rec)
	k.run(t)
}

func bridgeXNet(t *testing.T, v version) {
	cert := newCertificate(t)
	srv := v.startBridged(t, cert, xnetEcho)
	url := fmt.Sprintf("wss://127.0.0.1:%d/echo", srv.port)
	d := v.dialer(t, cert)
	s := dialWith(d, v.want)(t, url, offer{subprotocols: []string{"only"}})
	if got := s.subprotocol(); got != "only" {
		t.Errorf("subprotocol %q", got)
	}
	srv.record.await(t, "open id= library=x/net")
	converse(t, s, 65536, 1<<20)
	k := xnetTalk(dialWith(d, v.want), strings.TrimSuffix(url, "/echo"), srv.record)
	k.run(t)
	ping(t, dialWeft(t, d, url, offer{}))
}

// converse is what x/net's handler is good for: it says little about how a WebSocket ends.
func converse(t *testing.T, s socket, sizes ...int) {
	t.Helper()
	for _, size := range append([]int{0, 1, 125, 126}, sizes...) {
		exchange(t, s, false, pattern(size))
	}
	exchange(t, s, true, []byte("zażółć"))
	if err := s.close(1000, "bye"); err != nil {
		t.Error(err)
	}
}

func ping(t *testing.T, s *weftSocket) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.c.CloseRead(t.Context()), patience)
	defer cancel()
	if err := s.c.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	s.close(1000, "")
}

// Chromium opens its WebSockets on the HTTP/2 connection that the page came by; the handlers know HTTP/1.1 only.
func TestBridgeChromium(t *testing.T) {
	browser := startChromium(t)
	cert := newCertificate(t)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			k := talk{carried: "library=" + l.name, deflate: l.acceptDeflate, noFragments: l.noFragments}
			bridgeChromium(t, browser, cert, l.echo, func(srv *weftServer, url string, dial dialer) {
				k.dial, k.url, k.server = dial, url, srv.record
				k.run(t)
			})
		})
	}
	t.Run("ReverseProxy", func(t *testing.T) {
		rec := newRecord()
		backend := serveHTTP(t, gorillaLibrary.echo(rec), nil)
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
		bridgeChromium(t, browser, cert, func(*record) http.Handler { return proxy }, func(_ *weftServer, url string, dial dialer) {
			k := talk{dial: dial, url: url, server: rec, carried: "library=gorilla", deflate: gorillaLibrary.acceptDeflate}
			k.run(t)
		})
	})
	t.Run("x/net", func(t *testing.T) {
		bridgeChromium(t, browser, cert, xnetEcho, func(_ *weftServer, url string, dial dialer) {
			// Chromium sends larger ones in fragments, and x/net takes each for a message.
			converse(t, dial(t, url+"/echo", offer{subprotocols: []string{"only"}}), 16384)
		})
	})
}

type dialer = func(t *testing.T, url string, o offer) socket

// bridgeChromium runs f with Chromium as the client of echo, on a page of the same server.
func bridgeChromium(t *testing.T, browser context.Context, cert *certificate, echo func(*record) http.Handler, f func(srv *weftServer, url string, dial dialer)) {
	srv := versions[0].startBridged(t, cert, func(rec *record) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /echo", echo(rec))
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join("testdata", "page.html"))
		})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec.printf("request path=%s remote=%s end", r.URL.Path, r.RemoteAddr)
			mux.ServeHTTP(w, r)
		})
	})
	tab := newTab(t, browser)
	origin := fmt.Sprintf("localhost:%d", srv.port)
	if err := chromedp.Do(tab, chromedp.Navigate("https://"+origin+"/")); err != nil {
		t.Fatalf("navigate: %v", err)
	}
	page := remoteOf(srv.record.await(t, "request path=/ "))
	f(srv, "wss://"+origin, func(t *testing.T, url string, o offer) socket { return dialChromium(t, tab, url, o) })
	for _, line := range srv.record.lines("request path=/echo") {
		if remoteOf(line) != page {
			t.Errorf("the page came from %s, but: %s", page, line)
		}
	}
}

func remoteOf(line string) string { return regexp.MustCompile(`remote=\S+`).FindString(line) }
