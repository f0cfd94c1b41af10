package weft

import (
	"errors"
	"net/http"
)

// A Transport is an http.RoundTripper for WebSocket libraries that open theirs through an http.Client, and for
// httputil.ReverseProxy: a GET with "Upgrade: websocket" takes the ways of Dialer.Dial and shares its HTTP/2 connections; any
// other request goes to Base. With coder/websocket:
//
//	websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: &weft.Transport{}}})
//
// URLs are ws, wss, http or https. The response to an Upgrade is a 101 whose Sec-WebSocket-Accept fits the request's key, whatever
// version of HTTP it came by; subprotocol and extensions are as the server chose them, for the library to check. Its Body is an
// io.ReadWriteCloser (a net.Conn, with CloseWrite) of the bytes of WebSocket frames, which weft does not look into; its method
// Trace() Trace says where it rides. Another status is the server's response, and an error a *DialError.
//
// The request's context bounds the dial, not the life of the Body. Leave http.Client.Timeout at 0: net/http hides the Body behind one
// that cannot write.
type Transport struct {
	// Dialer opens the WebSockets; nil: DefaultDialer.
	Dialer *Dialer
	// Base is for all other requests; nil: http.DefaultTransport.
	Base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !isUpgrade(req) {
		return t.base().RoundTrip(req)
	}
	if req.Body != nil {
		defer req.Body.Close()
	}
	c, err := newCarriedHandshake(req)
	if err != nil {
		return nil, &DialError{URL: req.URL.Redacted(), Err: err}
	}
	if req.URL.Opaque != "" {
		return nil, &DialError{URL: req.URL.Redacted(), Err: errors.New("URL is opaque, and names no host")}
	}
	// http.Client has made an Authorization of the user information; a fragment is never sent.
	u := req.URL.Scheme + "://" + req.URL.Host + req.URL.RequestURI()
	host := req.Host
	if host == req.URL.Host {
		host = "" // the URL's, without a default port
	}
	_, res, err := t.dialer().dialTunnel(req.Context(), u, host, c)
	if err != nil {
		return nil, err
	}
	res.Request = req
	return res, nil
}

// CloseIdleConnections closes the connections of Dialer and Base that carry nothing.
func (t *Transport) CloseIdleConnections() {
	t.dialer().CloseIdleConnections()
	if b, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

func (t *Transport) dialer() *Dialer {
	if t.Dialer != nil {
		return t.Dialer
	}
	return DefaultDialer
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}
