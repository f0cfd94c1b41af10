package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

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

// golang.org/x/net/websocket takes every fragment for a message and has no compression. On its own transport and bridged it has as
// much; BridgeMessages gives it the rest.
func TestBridgeXNet(t *testing.T) { overEach(t, bridgeXNet) }

func bridgeXNet(t *testing.T, v version) {
	cert := newCertificate(t)
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{false: "frames", true: "messages"}[whole], func(t *testing.T) {
			srv := v.startBridged(t, cert, func(rec *record) http.Handler {
				if whole {
					return xnetMessages(rec)
				}
				return xnetEcho(rec)
			})
			url := fmt.Sprintf("wss://127.0.0.1:%d", srv.port)
			k := xnetTalk(dialWith(v.dialer(t, cert), v.want), url, srv.record, whole)
			k.run(t)
			ping(t, dialWeft(t, v.dialer(t, cert), url+"/echo", offer{}))
		})
	}
}

// On its own transport.
func TestXNetServer(t *testing.T) {
	cert := newCertificate(t)
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{false: "frames", true: "messages"}[whole], func(t *testing.T) {
			rec := newRecord()
			h := xnetEcho(rec)
			if whole {
				h = xnetMessages(rec)
			}
			k := xnetTalk(dialWith(newDialer(t, cert), overHTTP1), "wss://"+serveHTTP(t, h, cert), rec, whole)
			k.run(t)
		})
	}
}

func xnetTalk(dial dialer, url string, rec *record, whole bool) talk {
	k := talk{dial: dial, url: url, server: rec, carried: "library=x/net", noFragments: true, noReassembly: !whole}
	if whole {
		k.deflate = []string{"takeover", "no-takeover"}
	}
	return k
}

// xnetMessages is the same handler behind BridgeMessages, with the compression that is asked for.
func xnetMessages(rec *record) http.Handler {
	modes := map[string]weft.CompressionMode{"takeover": weft.CompressionContextTakeover, "no-takeover": weft.CompressionNoContextTakeover}
	handlers := make(map[string]http.Handler)
	for _, name := range []string{"", "takeover", "no-takeover"} {
		handlers[name] = weft.BridgeMessages(xnetEcho(rec), &weft.AcceptOptions{CompressionMode: modes[name], ReadLimit: 8 << 20})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[r.URL.Query().Get("deflate")].ServeHTTP(w, r)
	})
}

func xnetEcho(rec *record) http.Handler {
	choose := func(c *websocket.Config, r *http.Request) error {
		known := slices.DeleteFunc(c.Protocol, func(p string) bool { return p != "first" && p != "second" })
		c.Protocol = known[:min(1, len(known))]
		return nil
	}
	return websocket.Server{Handshake: choose, Handler: func(c *websocket.Conn) {
		defer c.Close()
		id := c.Request().URL.Query().Get("id")
		rec.printf("open id=%s library=x/net deflate=false", id)
		for {
			typ, p, err := xnetReceive(c)
			if err != nil {
				rec.printf("end id=%s %v", id, err)
				return
			}
			if typ == websocket.CloseFrame {
				code, reason := 1005, ""
				if len(p) >= 2 {
					code, reason = int(binary.BigEndian.Uint16(p)), string(p[2:])
				}
				rec.printf("close id=%s code=%d reason=%q", id, code, reason)
				xnetSend(c, typ, p)
				return
			}
			if want, ok := closeCommand(typ == websocket.TextFrame, p); ok {
				xnetSend(c, websocket.CloseFrame, append(binary.BigEndian.AppendUint16(nil, uint16(want.code)), want.reason...))
				for typ != websocket.CloseFrame && err == nil {
					typ, _, err = xnetReceive(c)
				}
				return
			}
			xnetSend(c, typ, p)
		}
	}}
}

// xnetReceive returns the next frame that the library does not answer itself; that of a Close too, which its Codec says only io.EOF to.
func xnetReceive(c *websocket.Conn) (typ byte, p []byte, err error) {
	for {
		r, err := c.NewFrameReader()
		if err != nil {
			return 0, nil, err
		}
		if r.PayloadType() == websocket.CloseFrame {
			p, err := io.ReadAll(r)
			return websocket.CloseFrame, p, err
		}
		r, err = c.HandleFrame(r)
		if err != nil {
			return 0, nil, err
		}
		if r != nil {
			p, err := io.ReadAll(r)
			return r.PayloadType(), p, err
		}
	}
}

func xnetSend(c *websocket.Conn, typ byte, p []byte) {
	if w, err := c.NewFrameWriter(typ); err == nil {
		w.Write(p)
		w.Close()
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
		// Chromium sends larger messages in fragments.
		bridgeChromium(t, browser, cert, xnetMessages, func(srv *weftServer, url string, dial dialer) {
			k := xnetTalk(dial, url, srv.record, true)
			k.run(t)
		})
	})
}

type dialer = func(t *testing.T, url string, o offer) socket

// bridgeChromium runs f with Chromium as the client of echo, on a page of the same server.
func bridgeChromium(t *testing.T, b browser, cert *certificate, echo func(*record) http.Handler, f func(srv *weftServer, url string, dial dialer)) {
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
	tab := b.newTab(t)
	origin := fmt.Sprintf("localhost:%d", srv.port)
	if err := tab.navigate("https://" + origin + "/"); err != nil {
		t.Fatalf("navigate: %v", err)
	}
	page := remoteOf(srv.record.await(t, "request path=/ "))
	f(srv, "wss://"+origin, func(t *testing.T, url string, o offer) socket { return dialBrowser(t, tab, url, o) })
	for _, line := range srv.record.lines("request path=/echo") {
		if remoteOf(line) != page {
			t.Errorf("the page came from %s, but: %s", page, line)
		}
	}
}

func remoteOf(line string) string { return regexp.MustCompile(`remote=\S+`).FindString(line) }
