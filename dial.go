package weft

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/negotiate"
)

// Dial opens a WebSocket at a ws or wss URL. By default it takes a stream on an HTTP/2 or HTTP/3 connection to the same origin that it
// has, else it connects: by HTTP/2 if the server announces WebSockets over it (RFC 8441), which it assumes until it knows better; by
// an HTTP/1.1 Upgrade if not (RFC 6455); and by HTTP/3 (RFC 9220) where something has said that the origin has that.
//
// ctx bounds the Dial, not the life of the Conn. The error is a *DialError with every attempt; its Err is a *HandshakeError
// when the server answered, and then the response is returned too: its Body holds what the server said within a second, up to 64 KiB, and
// need not be closed. With a Conn, the response is the one that opened it.
//
// Deviation: Dials that start together do not wait for each other, except that they make one HTTP/2 connection for all. RFC 6455,
// Section 4.1, lets only one connection to an address be made at a time, which keeps scripts in a browser from flooding it; whoever
// calls Dial is no such script.
func (d *Dialer) Dial(ctx context.Context, rawURL string, opts *DialOptions) (*Conn, *http.Response, error) {
	if opts == nil {
		opts = new(DialOptions)
	}
	r, err := d.newRace(rawURL, opts)
	if err != nil {
		return nil, nil, &DialError{URL: rawURL, Err: &requestError{err}}
	}
	ctx, cancel := context.WithTimeout(ctx, orDuration(d.HandshakeTimeout, 30*time.Second))
	defer cancel()
	return r.run(ctx)
}

// newRace checks what the caller asks for and prepares its dial.
func (d *Dialer) newRace(rawURL string, opts *DialOptions) (*race, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	policy := d.Policy
	if opts.Policy != nil {
		policy = *opts.Policy
	}
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	host := hostOf(u)
	if opts.Host != "" {
		if !httpguts.ValidHostHeader(opts.Host) {
			return nil, fmt.Errorf("host %q is not valid", opts.Host)
		}
		host = opts.Host
	}
	offer := handshake.Offer{Subprotocols: opts.Subprotocols, Deflate: opts.CompressionMode.offer()}
	header, err := requestHeader(opts.HTTPHeader, offer)
	if err != nil {
		return nil, err
	}
	proxy, err := d.proxyFor(u)
	if err != nil {
		return nil, err
	}
	r := &race{
		d: d, opts: opts, url: u, host: host, header: header, offer: offer, policy: policy, proxy: proxy,
		outcomes: make(chan negotiate.Outcome), attempts: make(map[int]*attempt),
		report: opts.Trace,
	}
	if r.report == nil {
		r.report = d.Trace
	}
	r.key = poolKey{secure: u.Scheme == "wss", addr: dialAddr(u)}
	if proxy != nil {
		r.key.proxy = proxy.Redacted()
	}
	r.memory = d.memoryFor(r.key, policy)
	return r, nil
}

// parseURL checks a WebSocket URI. http and https are taken for ws and wss. RFC 6455, Section 3.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", errors.Unwrap(err))
	}
	switch strings.ToLower(u.Scheme) {
	case "ws", "http":
		u.Scheme = "ws"
	case "wss", "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("URL has scheme %q, not ws or wss (RFC 6455, Section 3)", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("URL has no host (RFC 6455, Section 3)")
	}
	if _, _, err := net.SplitHostPort(dialAddr(u)); err != nil {
		return nil, fmt.Errorf("URL has the malformed host %q (RFC 3986, Section 3.2.2)", u.Host)
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		return nil, errors.New(`URL has a fragment; "#" must be escaped as %23 (RFC 6455, Section 3)`)
	}
	if u.User != nil {
		return nil, errors.New("URL has user information, which has no meaning for WebSockets: set Authorization in HTTPHeader")
	}
	return u, nil
}

// dialAddr is the host and port of u. RFC 6455, Section 3: 80 and 443 by default.
func dialAddr(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "wss" {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// hostOf is the host of u, with its port "when not using the default port". RFC 6455, Section 4.1.
func hostOf(u *url.URL) string {
	port := map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	if p := u.Port(); p == "" || p == port {
		return strings.TrimSuffix(u.Host, ":"+p)
	}
	return u.Host
}

// requestURI is the path and query of u. RFC 6455, Section 3: "/" if it has none.
func requestURI(u *url.URL) string {
	if s := u.RequestURI(); s != "" {
		return s
	}
	return "/"
}

// requestHeader is the caller's header fields and the handshake's, without what only HTTP/1.1 has.
func requestHeader(from http.Header, offer handshake.Offer) (http.Header, error) {
	h := make(http.Header, len(from)+4)
	for k, vv := range from {
		if !httpguts.ValidHeaderFieldName(k) {
			return nil, fmt.Errorf("header field name %q is not a token (RFC 9110, Section 5.1)", k)
		}
		for _, v := range vv {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("header field %s has a value that is not allowed (RFC 9110, Section 5.5)", k)
			}
		}
		k = http.CanonicalHeaderKey(k)
		if k == "Host" {
			return nil, errors.New("header field Host: set DialOptions.Host")
		}
		h[k] = append(h[k], vv...)
	}
	if err := handshake.SetRequest(h.Clone(), offer, "dGhlIHNhbXBsZSBub25jZQ=="); err != nil {
		return nil, err
	}
	return h, nil
}

// proxyFor finds the proxy for u.
func (d *Dialer) proxyFor(u *url.URL) (*url.URL, error) {
	find := d.Proxy
	if find == nil {
		find = http.ProxyFromEnvironment
	}
	as := *u
	as.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	p, err := find(&http.Request{Method: http.MethodGet, URL: &as, Host: u.Host, Header: make(http.Header)})
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return p, nil
}
