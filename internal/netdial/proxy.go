package netdial

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/weftws/weft/negotiate"
)

// proxy connects to the proxy and asks it for a tunnel to the origin.
//
// "If the client is configured to use a proxy when using the WebSocket Protocol to connect to host /host/ and port /port/, then the
// client SHOULD connect to that proxy and ask it to open a TCP connection to the host given by /host/ and the port given by /port/."
// RFC 6455, Section 4.1.
func (a *attempt) proxy(ctx context.Context) (net.Conn, error) {
	u := a.target.Proxy
	open, port := a.connect, "80"
	switch u.Scheme {
	case "http":
	case "https":
		port = "443"
	case "socks5", "socks5h":
		open, port = a.socks, "1080"
	default:
		return nil, a.proxyFailed(ctx, time.Now(), fmt.Errorf("scheme %q is none of http, https, socks5, socks5h", u.Scheme))
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), port)
	}
	nc, err := a.tcp(ctx, addr)
	if err == nil && u.Scheme == "https" {
		nc, err = a.handshakeWithProxy(ctx, nc, addr)
	}
	if err != nil {
		return nil, a.proxyFailed(ctx, time.Time{}, err)
	}
	start := time.Now()
	tunnel, err := open(ctx, nc)
	if err != nil {
		nc.Close()
		return nil, a.proxyFailed(ctx, start, err)
	}
	a.step(negotiate.StepProxy, start, u.Redacted(), nil)
	return tunnel, nil
}

// proxyFailed makes an Error of err, and reports it unless start is zero.
func (a *attempt) proxyFailed(ctx context.Context, start time.Time, err error) *Error {
	doing := "tunnel to " + a.target.Addr + " by proxy " + a.target.Proxy.Redacted()
	failed := fail(ctx, negotiate.StepProxy, a.target.Proxy.Host, doing, err)
	if status, ok := errors.AsType[statusError](err); ok {
		failed.Status = int(status)
	}
	if !start.IsZero() {
		a.step(negotiate.StepProxy, start, "", failed)
	}
	return failed
}

func (a *attempt) handshakeWithProxy(ctx context.Context, nc net.Conn, addr string) (net.Conn, error) {
	tc, err := a.handshake(ctx, nc, addr, []string{"http/1.1"})
	if err != nil {
		return nil, err
	}
	return tc, nil
}

// connect asks an HTTP proxy. RFC 9110, Section 9.3.6.
func (a *attempt) connect(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if strings.ContainsFunc(a.target.Addr, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("%q is no host and port", a.target.Addr)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n", a.target.Addr)
	if auth := basicAuth(a.target.Proxy.User); auth != "" {
		fmt.Fprintf(&b, "Proxy-Authorization: %s\r\n", auth)
	}
	b.WriteString("\r\n")

	if deadline, ok := ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write(b.Bytes()); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: nc, N: maxProxyHeader}
	br := bufio.NewReader(limited)
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
		switch {
		case err != nil && limited.N == 0:
			return nil, fmt.Errorf("proxy's response header exceeds %d bytes", maxProxyHeader)
		case err != nil:
			if cause := deadlineCause(ctx, err); cause != nil {
				err = cause
			}
			return nil, fmt.Errorf("no valid response: %w", err)
		case res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols:
			continue
		case res.StatusCode/100 != 2:
			return nil, statusError(res.StatusCode)
		}
		break
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	nc.SetDeadline(time.Time{})
	a.roundTrips++
	if br.Buffered() == 0 {
		return nc, nil
	}
	// The origin has spoken first.
	early, _ := br.Peek(br.Buffered())
	return &tunnel{Conn: nc, early: early}, nil
}

// deadlineCause: a deadline on the connection is the context's, which may be a moment late.
func deadlineCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return context.DeadlineExceeded
	}
	return nil
}

// A statusError is a proxy's answer that is no success.
type statusError int

func (e statusError) Error() string {
	s := strings.TrimSpace(fmt.Sprintf("proxy answered %d %s", int(e), http.StatusText(int(e))))
	if e == http.StatusProxyAuthRequired {
		s += ": it wants a user and password in its URL, or others"
	}
	return s
}

// basicAuth is RFC 7617's. "" without a user.
func basicAuth(u *url.Userinfo) string {
	if u == nil {
		return ""
	}
	password, _ := u.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password))
}

// A tunnel is a connection of which something was read too early.
type tunnel struct {
	net.Conn
	early []byte
}

func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.early) == 0 {
		return t.Conn.Read(p)
	}
	n := copy(p, t.early)
	t.early = t.early[n:]
	return n, nil
}

func (t *tunnel) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// socks asks a SOCKS5 proxy, which resolves the name (RFC 1928).
func (a *attempt) socks(ctx context.Context, nc net.Conn) (net.Conn, error) {
	var auth *proxy.Auth
	if u := a.target.Proxy.User; u != nil {
		password, _ := u.Password()
		auth = &proxy.Auth{User: u.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", a.target.Proxy.Host, auth, given{nc})
	if err != nil {
		return nil, err
	}
	if _, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", a.target.Addr); err != nil {
		if cause := deadlineCause(ctx, err); cause != nil {
			err = cause
		}
		return nil, err
	}
	a.roundTrips += 2 // the method, the request
	if auth != nil {
		a.roundTrips++
	}
	// It has read no more than the proxy's answers, so that the connection itself can be used.
	return nc, nil
}

// given is a dialer that has a connection already.
type given struct{ net.Conn }

func (g given) Dial(network, addr string) (net.Conn, error) { return g.Conn, nil }

func (g given) DialContext(context.Context, string, string) (net.Conn, error) { return g.Conn, nil }

const maxProxyHeader = 64 << 10
