package weft_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// roundTripFunc is an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is no Upgrade to a WebSocket is somebody else's.
func TestTransportPassesOn(t *testing.T) {
	base := errors.New("base")
	tr := &weft.Transport{Base: roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, base })}
	for _, change := range []func(r *http.Request){
		func(r *http.Request) { r.Header = http.Header{} },
		func(r *http.Request) { r.Method = http.MethodPost },
		func(r *http.Request) { r.Header.Set("Upgrade", "h2c") },
		func(r *http.Request) { r.Header.Set("Connection", "keep-alive") },
	} {
		req := upgradeRequest(t.Context(), "https://example.com/")
		change(req)
		if _, err := tr.RoundTrip(req); err != base {
			t.Errorf("%s %v: %v", req.Method, req.Header, err)
		}
	}
}

// A handshake that cannot be one is not sent.
func TestTransportRefuses(t *testing.T) {
	d := &weft.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("it was dialed")
		return nil, net.ErrClosed
	}}
	for want, change := range map[string]func(r *http.Request){
		"0 Sec-WebSocket-Key":   func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") },
		"2 Sec-WebSocket-Key":   func(r *http.Request) { r.Header["Sec-WebSocket-Key"] = []string{sampleKey} },
		"not 16 bytes":          func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AQID") },
		"has content":           func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 },
		"Sec-Websocket-Version": func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "13\r\nX: y") },
		"X-A":                   func(r *http.Request) { r.Header.Set("X-A", "a\nb") },
		`scheme "ftp"`:          func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":               func(r *http.Request) { r.URL.Host = "" },
		"opaque":                func(r *http.Request) { r.URL.Opaque = "//example.com/x" },
		`host "a b"`:            func(r *http.Request) { r.Host = "a b" },
	} {
		req := upgradeRequest(t.Context(), "wss://example.com/")
		change(req)
		_, err := (&weft.Transport{Dialer: d}).RoundTrip(req)
		var de *weft.DialError
		if !errors.As(err, &de) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// A 101 that does not answer the request is no WebSocket.
func TestTransportWrongAccept(t *testing.T) {
	over(t, carriers[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AQID\r\n\r\n")
	}), func(t *testing.T, e *env) {
		for _, w := range ways {
			res, c, err := w.open(e.dialer, upgradeRequest(e.ctx, e.url))
			var he *weft.HandshakeError
			if res != nil || c != nil || !errors.As(err, &he) || he.Name != "wrong-accept" {
				t.Errorf("%s: %v, %v", w.name, res, err)
			}
		}
	})
}

// Redirects are http.Client's: the handshake goes to where they lead.
func TestTransportRedirect(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/new" {
			http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
			return
		}
		echo(w, r)
	}, func(t *testing.T, e *env) {
		res, err := (&http.Client{Transport: &weft.Transport{Dialer: e.dialer}}).Do(upgradeRequest(e.ctx, e.url+"/old"))
		if err != nil || res.StatusCode != 101 || res.Request.URL.Path != "/new" {
			t.Fatalf("%v, %v", res, err)
		}
		p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: &carriedConn{res.Body.(net.Conn), bufio.NewReader(res.Body)}}
		p.wantEcho("hello")
		res.Body.Close()
	})
}

// A reverse proxy of net/http turns WebSockets over HTTP/1.1 into streams of one connection behind it.
func TestTransportBehindReverseProxy(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[2], http.HandlerFunc(echo), nil)
		tr := &weft.Transport{Dialer: e.dialer}
		front := &http.Server{ErrorLog: e.server.ErrorLog, Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "https", Host: "example.com:443"})
			},
			Transport: tr,
		}}
		l := n.Listen("10.0.0.3:80")
		served := make(chan struct{})
		go func() {
			defer close(served)
			front.Serve(l)
		}()
		for range 3 {
			nc, err := n.Dial("10.0.0.3:80")
			if err != nil {
				t.Fatal(err)
			}
			res, c, err := askOn(nc, upgradeRequest(e.ctx, "http://front.example.com/"))
			if err != nil || c == nil {
				t.Fatalf("%v, %v", res, err)
			}
			p := &rawPeer{T: t, carrier: e.carrier, client: true, conn: c}
			p.wantEcho("hello")
			p.send(shut(1000, ""))
			p.want(shut(1000, ""))
			p.wantNothingBut(io.EOF, patience)
			c.Close()
		}
		if n := n.Stats().Opened; n != 4 { // three to the proxy and one behind it
			t.Errorf("%d connections were opened", n)
		}
		front.Close()
		<-served
		tr.CloseIdleConnections()
		wantNothingOpen(t, e)
	})
}
