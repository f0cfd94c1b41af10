package weft

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// NetDialTLSContext is for WebSocket libraries that make their connections by a function of this kind and write an HTTP/1.1 Upgrade
// on them. What it returns is no connection yet: when the request has been written, it takes the ways of Dial to a wss server at addr,
// and the WebSocket becomes a stream on an HTTP/2 connection or one of its own. The library reads a 101 that fits its
// request, or the server's refusal as an HTTP/1.1 response, and from then on the bytes of WebSocket frames pass, which weft does not
// look into. With gorilla/websocket and lxzan/gws:
//
//	d := websocket.Dialer{NetDialTLSContext: dialer.NetDialTLSContext, NetDialContext: dialer.NetDialContext}
//
//	conn, err := dialer.NetDialTLSContext(ctx, "tcp", "example.com:443")
//	c, _, err := gws.NewClientFromConn(handler, &gws.ClientOption{Addr: "wss://example.com/chat"}, conn)
//
// TLS and proxies are the Dialer's: leave the library's own unset. network must be "tcp". ctx bounds the ladder, until the response
// is there; when it ends later, nothing happens. If the ladder fails, Read returns its *DialError. Close stops it at any time. Deadlines
// hold for every Read and Write, from the first on. Until the WebSocket is open, RemoteAddr is addr and LocalAddr is unspecified. The
// net.Conn has methods CloseWrite() error and Trace() Trace; the latter is empty until the WebSocket is open.
func (d *Dialer) NetDialTLSContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.netDial(ctx, "wss", network, addr)
}

// NetDialContext is NetDialTLSContext for ws.
func (d *Dialer) NetDialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.netDial(ctx, "ws", network, addr)
}

func (d *Dialer) netDial(ctx context.Context, scheme, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &DialError{URL: scheme + "://" + addr, Err: err}
	}
	if network != "tcp" {
		return fail(net.UnknownNetworkError(network))
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fail(err)
	}
	if _, err := parseURL(scheme + "://" + addr); err != nil {
		return fail(err)
	}
	if ctx.Err() != nil {
		return fail(context.Cause(ctx))
	}
	c := &upgradeConn{d: d, ctx: ctx, origin: scheme + "://" + addr, remote: dialedAddr(addr), settled: make(chan struct{})}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		c.remote = net.TCPAddrFromAddrPort(ap)
	}
	c.life, c.close = context.WithCancel(context.Background())
	c.read.init(c.life)
	c.write.init(c.life)
	return c, nil
}

// An upgradeConn is the net.Conn on which a client of HTTP/1.1 makes its opening handshake.
//
//	asking ──the header is whole──▶ dialing ──101──▶ a tunnel
//	   │                              ├──another response──▶ a refusal
//	   └────────no request────────────┴──none──▶ Read returns the error
type upgradeConn struct {
	d      *Dialer
	ctx    context.Context // bounds the dial
	origin string          // scheme://host:port
	remote net.Addr        // until there is a tunnel

	life        context.Context // until Close
	close       context.CancelFunc
	read, write netDeadline // until settled

	mu      sync.Mutex
	request []byte // what came of the header
	asked   bool   // it is whole
	closed  bool
	// Invariant: set once, before settled is closed; one of the two. conn is a *tunnel or a *refusal.
	conn            net.Conn
	err             error
	settled         chan struct{}
	readAt, writeAt time.Time

	reading gate
	answer  []byte // guarded by reading after settled: what is read before conn
}

// Write takes the request, and once that is whole waits until it is answered.
func (c *upgradeConn) Write(p []byte) (int, error) {
	n, err := c.ask(p)
	if err != nil || n == len(p) {
		return n, err
	}
	// "the client MUST wait for a response from the server before sending any further data." RFC 6455, Section 4.1.
	conn, err := c.await(&c.write)
	if err != nil {
		return n, err
	}
	m, err := conn.Write(p[n:])
	return n + m, err
}

// ask takes what of p belongs to the request.
func (c *upgradeConn) ask(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked || len(p) == 0 {
		return 0, nil
	}
	if err := c.over(c.write.context()); err != nil {
		return 0, err
	}
	from := max(len(c.request)-len(headerEnd)+1, 0)
	n := min(len(p), maxRequestHeader+1-len(c.request))
	c.request = append(c.request, p[:n]...)
	end := bytes.Index(c.request[from:], headerEnd)
	switch {
	case c.request[0] == tlsHandshake:
		c.asked = true
		go c.settle(nil, nil, &DialError{URL: c.origin, Err: errors.New("client began TLS on a connection that has its own: use NetDialTLSContext")})
	case end >= 0:
		end += from + len(headerEnd)
		rest := len(c.request) - end
		c.asked = true
		go c.dial(c.request[:end])
		c.request = nil
		return n - rest, nil
	case len(c.request) > maxRequestHeader:
		c.asked = true
		go c.refuse(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("client's request header exceeds %d bytes", maxRequestHeader))
	}
	return len(p), nil
}

var headerEnd = []byte("\r\n\r\n")

const (
	// maxRequestHeader bounds what a client may ask with: what most servers take at most.
	maxRequestHeader = 64 << 10
	// tlsHandshake is how a TLS connection begins, and no request. RFC 8446, Section 5.1.
	tlsHandshake = 22
)

// dial answers the request whose header is head.
func (c *upgradeConn) dial(head []byte) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	switch {
	case err != nil:
		c.refuse(http.StatusBadRequest, "client's request: "+err.Error())
		return
	case !isUpgrade(req) || !strings.HasPrefix(req.RequestURI, "/"):
		c.refuse(http.StatusNotImplemented, "client sent "+req.Method+" without Upgrade: websocket, for which this connection is not made; proxies are set in weft.Dialer.Proxy")
		return
	}
	hs, err := newCarriedHandshake(req)
	if err != nil {
		c.refuse(http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	t, res, err := c.d.dialTunnel(ctx, c.origin+req.RequestURI, req.Host, hs)
	switch {
	case t != nil:
		var answer bytes.Buffer
		res.Body = nil
		res.Write(&answer)
		c.settle(t, answer.Bytes(), nil)
	case res != nil:
		c.settle(newRefusal(res), nil, nil)
	default:
		c.settle(nil, nil, err)
	}
}

// refuse answers without asking a server.
func (c *upgradeConn) refuse(status int, reason string) {
	reason = "weft: " + reason + "\n"
	c.settle(newRefusal(&http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body: io.NopCloser(strings.NewReader(reason)), ContentLength: int64(len(reason)),
	}), nil, nil)
}

// settle says what came of the request.
func (c *upgradeConn) settle(conn net.Conn, answer []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		switch conn := conn.(type) {
		case *tunnel:
			conn.stream.Abort() // nobody has seen that it opened
		case *refusal:
			conn.Close()
		}
		conn, err = nil, net.ErrClosed
	}
	if conn != nil {
		conn.SetReadDeadline(c.readAt)
		conn.SetWriteDeadline(c.writeAt)
	}
	c.conn, c.answer, c.err = conn, answer, err
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	close(c.settled)
}

// await waits until it is known what came of the request.
func (c *upgradeConn) await(deadline *netDeadline) (net.Conn, error) {
	select {
	case <-c.settled:
	default:
		ctx := deadline.context()
		select {
		case <-c.settled:
		case <-ctx.Done():
			return nil, c.over(ctx)
		}
	}
	if c.life.Err() != nil {
		return nil, net.ErrClosed
	}
	return c.conn, c.err
}

// over says what the end of a deadline's context means; nil: it has not ended.
func (c *upgradeConn) over(ctx context.Context) error {
	switch {
	case c.life.Err() != nil:
		return net.ErrClosed
	case ctx.Err() != nil:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Read waits for the answer, and returns it before what the server sends.
func (c *upgradeConn) Read(p []byte) (int, error) {
	conn, err := c.await(&c.read)
	if err != nil || len(p) == 0 {
		return 0, err
	}
	c.reading.lock(context.Background())
	if len(c.answer) > 0 {
		n := copy(p, c.answer)
		c.answer = c.answer[n:]
		c.reading.unlock()
		return n, nil
	}
	c.reading.unlock()
	return conn.Read(p)
}

func (c *upgradeConn) Close() error {
	c.close()
	c.mu.Lock()
	first, conn := !c.closed, c.conn
	c.closed = true
	c.mu.Unlock()
	if !first {
		return net.ErrClosed
	}
	if conn != nil {
		return conn.Close()
	}
	return nil
}

// tunnel returns the open WebSocket, or nil.
func (c *upgradeConn) tunnel() *tunnel {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, _ := c.conn.(*tunnel)
	return t
}

// CloseWrite ends our side of an open WebSocket's bytes.
func (c *upgradeConn) CloseWrite() error {
	if t := c.tunnel(); t != nil {
		return t.CloseWrite()
	}
	return fmt.Errorf("weft: CloseWrite before the WebSocket is open: %w", errors.ErrUnsupported)
}

// Trace says how the WebSocket came to be and where it rides.
func (c *upgradeConn) Trace() Trace {
	if t := c.tunnel(); t != nil {
		return t.Trace()
	}
	return Trace{}
}

func (c *upgradeConn) LocalAddr() net.Addr {
	if t := c.tunnel(); t != nil {
		return t.LocalAddr()
	}
	return new(net.TCPAddr)
}

func (c *upgradeConn) RemoteAddr() net.Addr {
	if t := c.tunnel(); t != nil {
		return t.RemoteAddr()
	}
	return c.remote
}

// A dialedAddr is a host and port that no connection has been made to.
type dialedAddr string

func (dialedAddr) Network() string  { return "tcp" }
func (a dialedAddr) String() string { return string(a) }

func (c *upgradeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *upgradeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.conn != nil {
		return c.conn.SetReadDeadline(t)
	}
	c.readAt = t
	c.read.set(t)
	return nil
}

func (c *upgradeConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.conn != nil {
		return c.conn.SetWriteDeadline(t)
	}
	c.writeAt = t
	c.write.set(t)
	return nil
}
