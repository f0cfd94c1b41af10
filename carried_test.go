package weft_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weftws/weft"
)

// A carriedConn is a WebSocket of a library that does its own framing: the bytes, and what else weft gives it.
type carriedConn struct {
	net.Conn
	br *bufio.Reader // what was read with the response
}

func (c *carriedConn) Read(p []byte) (int, error) { return c.br.Read(p) }
func (c *carriedConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}
func (c *carriedConn) Reset()            { c.Close() }
func (c *carriedConn) Trace() weft.Trace { return c.Conn.(interface{ Trace() weft.Trace }).Trace() }

// A way is one that weft has for WebSocket libraries to take its ladder.
type way struct {
	name string
	// open sends req as the library would, and returns what it gets: after a 101 the response and the WebSocket.
	open func(d *weft.Dialer, req *http.Request) (*http.Response, *carriedConn, error)
}

var ways = []way{
	{"Transport", func(d *weft.Dialer, req *http.Request) (*http.Response, *carriedConn, error) {
		res, err := (&http.Client{
			Transport:     &weft.Transport{Dialer: d},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}).Do(req)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			return res, nil, err
		}
		nc, ok := res.Body.(net.Conn)
		if !ok {
			return nil, nil, fmt.Errorf("the body is a %T", res.Body)
		}
		return res, &carriedConn{nc, bufio.NewReader(nc)}, nil
	}},
	{"NetDial", func(d *weft.Dialer, req *http.Request) (*http.Response, *carriedConn, error) {
		dial := d.NetDialContext
		if req.URL.Scheme == "wss" {
			dial = d.NetDialTLSContext
		}
		nc, err := dial(req.Context(), "tcp", req.URL.Host)
		if err != nil {
			return nil, nil, err
		}
		return askOn(nc, req)
	}},
}

// askOn makes the opening handshake on nc as libraries do with net/http.
func askOn(nc net.Conn, req *http.Request) (*http.Response, *carriedConn, error) {
	if err := req.Write(nc); err != nil {
		nc.Close()
		return nil, nil, err
	}
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, req)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = &refusedBody{res.Body, nc}
		return res, nil, nil
	}
	return res, &carriedConn{nc, br}, nil
}

type refusedBody struct {
	body interface{ Read([]byte) (int, error) }
	nc   net.Conn
}

func (b *refusedBody) Read(p []byte) (int, error) { return b.body.Read(p) }
func (b *refusedBody) Close() error               { return b.nc.Close() }

// upgradeRequest is a library's request. Fields are "name: value".
func upgradeRequest(ctx context.Context, url string, fields ...string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	for _, f := range append([]string{
		"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey,
	}, fields...) {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	return req
}

// overWays runs f over every carrier by each way in fake time.
func overWays(t *testing.T, h http.HandlerFunc, f func(t *testing.T, e *env, w way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			overEach(t, h, func(t *testing.T, e *env) { f(t, e, w) })
		})
	}
}

// openBy opens a WebSocket that must open.
func (e *env) openBy(w way, path string, fields ...string) (*http.Response, *rawPeer) {
	e.t.Helper()
	res, c, err := w.open(e.dialer, upgradeRequest(e.ctx, e.url+path, fields...))
	if err != nil || c == nil {
		e.t.Fatalf("%s: response %v, error %v", path, res, err)
	}
	return res, &rawPeer{T: e.t, carrier: e.carrier, client: true, conn: c}
}

// wantEcho checks that the WebSocket works.
func (p *rawPeer) wantEcho(s string) {
	p.Helper()
	p.send(text(s))
	p.want(text(s))
}
