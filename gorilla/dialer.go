package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/transport"
)

// A Dialer opens WebSockets. The zero value works, and a nil *Dialer is the default one. Safe for concurrent use; it may be copied. The WebSockets of one
// Dialer to one origin travel on one HTTP/2 connection where the server has it.
type Dialer struct {
	// NetDial makes TCP connections if NetDialContext is nil; nil: a net.Dialer.
	NetDial func(network, addr string) (net.Conn, error)
	// NetDialContext makes TCP connections.
	NetDialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// NetDialTLSContext makes the connections for wss, TLS handshake included. With it they speak HTTP/1.1.
	NetDialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Proxy says through which proxy a request goes; nil: through none. Schemes: http, https and socks5.
	Proxy func(*http.Request) (*url.URL, error)

	// TLSClientConfig for wss; nil: the zero Config. NextProtos is set for each connection, but if it names protocols and h2 is
	// not among them, connections speak HTTP/1.1.
	TLSClientConfig *tls.Config

	// HandshakeTimeout bounds a Dial as a whole; 0: no bound.
	HandshakeTimeout time.Duration

	// WriteBufferSize is the size in bytes of the fragments that NextWriter's writer sends; 0: 4096. ReadBufferSize has no effect.
	ReadBufferSize, WriteBufferSize int
	// WriteBufferPool has no effect.
	WriteBufferPool BufferPool

	// Subprotocols are offered in this order.
	Subprotocols []string

	// EnableCompression offers permessage-deflate (RFC 7692), without context takeover.
	EnableCompression bool

	// Jar gives cookies to requests and takes those of responses; nil: no cookies.
	Jar http.CookieJar
}

// DefaultDialer takes proxies from the environment and gives a Dial 45 s.
var DefaultDialer = &Dialer{
	Proxy:            http.ProxyFromEnvironment,
	HandshakeTimeout: 45 * time.Second,
}

var nilDialer = *DefaultDialer

// Dial is DialContext with a context that does not end.
func (d *Dialer) Dial(urlStr string, requestHeader http.Header) (*Conn, *http.Response, error) {
	return d.DialContext(context.Background(), urlStr, requestHeader)
}

// DialContext opens a WebSocket at a ws or wss URL; see weft.Dial for the ways. requestHeader has further header fields: Origin,
// Cookie (which replaces the Jar's), Host, Sec-WebSocket-Protocol (if Subprotocols is empty). ctx bounds the Dial, not the life of the Conn.
//
// If the server answers with something else, the error is [ErrBadHandshake], and the response's Body has up to 1024 bytes of what it
// said. No Body needs to be closed.
func (d *Dialer) DialContext(ctx context.Context, urlStr string, requestHeader http.Header) (*Conn, *http.Response, error) {
	if d == nil {
		d = &nilDialer
	}
	u, err := url.Parse(urlStr)
	if err != nil {
		return nil, nil, err
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, nil, errMalformedURL
	}
	if u.User != nil {
		return nil, nil, errMalformedURL
	}
	u.Fragment, u.RawFragment = "", "" // stays with the client, as in any request
	opts, err := d.options(u, requestHeader)
	if err != nil {
		return nil, nil, err
	}
	if d.HandshakeTimeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.HandshakeTimeout)
		defer cancel()
	}
	under, target := d.under(u)
	if opts.Host == "" && target.Host != u.Host {
		opts.Host = u.Host
	}
	wc, resp, err := under.Dial(ctx, target.String(), opts)
	if resp != nil {
		resp.Request = &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: opts.HTTPHeader} // for resp.Location
	}
	if resp != nil && d.Jar != nil {
		if cookies := resp.Cookies(); len(cookies) > 0 {
			d.Jar.SetCookies(u, cookies)
		}
	}
	if err != nil {
		return notOpened(ctx, resp, err)
	}
	detached, err := transport.Detach(wc)
	if err != nil {
		return nil, nil, err
	}
	resp.Body = http.NoBody
	resp.StatusCode, resp.Status = http.StatusSwitchingProtocols, "101 Switching Protocols"
	return newConn(detached, d.WriteBufferSize), resp, nil
}

// options are what the Dialer and the header ask of a Dial.
func (d *Dialer) options(u *url.URL, header http.Header) (*weft.DialOptions, error) {
	opts := &weft.DialOptions{HTTPHeader: make(http.Header), Subprotocols: d.Subprotocols}
	if d.Jar != nil {
		r := &http.Request{Header: opts.HTTPHeader}
		for _, cookie := range d.Jar.Cookies(u) {
			r.AddCookie(cookie)
		}
	}
	for k, vv := range header {
		switch name := http.CanonicalHeaderKey(k); {
		case name == "Host":
			if len(vv) > 0 {
				opts.Host = vv[0]
			}
		case name == "Sec-Websocket-Protocol" && len(d.Subprotocols) == 0:
			for _, v := range vv {
				opts.Subprotocols = append(opts.Subprotocols, splitList(v)...)
			}
		case name == "Upgrade", name == "Connection", strings.HasPrefix(name, "Sec-Websocket-"):
			return nil, errors.New("websocket: duplicate header not allowed: " + k)
		default:
			opts.HTTPHeader[name] = vv
		}
	}
	if d.EnableCompression {
		opts.CompressionMode = weft.CompressionNoContextTakeover
	}
	return opts, nil
}

// notOpened makes gorilla's results of weft's.
func notOpened(ctx context.Context, resp *http.Response, err error) (*Conn, *http.Response, error) {
	if resp != nil {
		body := resp.Body
		defer body.Close()
		defer context.AfterFunc(ctx, func() { body.Close() })()
		p, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
		resp.Body = io.NopCloser(bytes.NewReader(p))
		return nil, resp, ErrBadHandshake
	}
	// Programs look for network errors by their type.
	if e, ok := errors.AsType[net.Error](err); ok {
		return nil, nil, e
	}
	if e, ok := errors.AsType[*weft.DialError](err); ok {
		err = e.Err
	}
	if e, ok := err.(*weft.HandshakeError); ok && e.Err != nil {
		err = e.Err
	}
	return nil, nil, err
}

const maxErrorBody = 1024

// NewClient opens a WebSocket on a connection that is there.
//
// Deprecated: use [Dialer].
func NewClient(netConn net.Conn, u *url.URL, requestHeader http.Header, readBufSize, writeBufSize int) (c *Conn, response *http.Response, err error) {
	d := Dialer{
		ReadBufferSize: readBufSize, WriteBufferSize: writeBufSize,
		NetDial:         func(string, string) (net.Conn, error) { return netConn, nil },
		TLSClientConfig: &tls.Config{NextProtos: []string{"http/1.1"}},
	}
	return d.Dial(u.String(), requestHeader)
}
