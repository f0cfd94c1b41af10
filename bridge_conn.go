package weft

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A bridgeConn is the net.Conn that a handler hijacks.
//
//	answer ──┬─ a right 101 ─▶ open: the streamConn is all
//	         └─ any other answer, Close, the client gave up ─▶ over: err says why
type bridgeConn struct {
	streamConn // Invariant: its stream is set before opened is
	opened     atomic.Bool
	gone       <-chan struct{} // closed when the client gave up, while not opened

	answering gate      // held by who writes the answer, or uses x.w
	x         *crossing // nil once opened
	answer    bridgeAnswer

	writing gate
	sent    frameEnd    // guarded by writing
	told    bool        // guarded by writing: Shutdown's Close frame was sent
	leaving atomic.Bool // the server shuts down

	server *registry // nil: on no server of ours
	place  *otherConn

	local, remote net.Addr // while not opened

	mu            sync.Mutex
	err           error // why it is over
	readDeadline  time.Time
	writeDeadline time.Time
	changed       bell // rings when one of the above or opened changes
}

func newBridgeConn(x *crossing) *bridgeConn {
	c := &bridgeConn{x: x, gone: x.r.Context().Done()}
	c.server = registryOf(x.r)
	c.place = &otherConn{goAway: c.goAway, abort: func() { c.stream.Abort() }}
	c.local, _ = x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ap, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
		c.remote = net.TCPAddrFromAddrPort(ap)
	}
	return c
}

// start makes s the tunnel, which ip has counted. Called with answering held, or before anybody else knows c.
func (c *bridgeConn) start(s tunnelStream, ip *ipCount) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		s.Abort()
		return c.err
	}
	s.SetReadDeadline(c.readDeadline)
	s.SetWriteDeadline(c.writeDeadline)
	c.stream, c.x, c.answer = s, nil, bridgeAnswer{}
	c.opened.Store(true)
	c.changed.ring()
	if _, ok := s.(*messageTunnel); !ok { // that has a Conn, which the server knows
		c.place.ip = ip
		c.server.accountSending(s)
		c.server.join(c.place)
	}
	return nil
}

// fail ends c with err, if it is not open or over, and returns why it is over.
func (c *bridgeConn) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.opened.Load() {
		c.err = err
		c.changed.ring()
	}
	return c.err
}

// watch returns a channel that is closed when something changes, the read deadline, and why c is over.
func (c *bridgeConn) watch() (changed <-chan struct{}, deadline time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed.wait(), c.readDeadline, c.err
}

// overErr says why c is over; nil: it is not.
func (c *bridgeConn) overErr() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// answerErr says why no answer can be written, or why not now.
func (c *bridgeConn) answerErr() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.writeDeadline; c.err == nil && !d.IsZero() && !time.Now().Before(d) {
		return os.ErrDeadlineExceeded
	}
	return c.err
}

// awaitOpen waits for the answer.
func (c *bridgeConn) awaitOpen() error {
	for !c.opened.Load() {
		changed, deadline, err := c.watch()
		if c.opened.Load() {
			break
		}
		if err != nil {
			return err
		}
		var passed <-chan time.Time
		if !deadline.IsZero() {
			passed = time.After(time.Until(deadline))
		}
		select {
		case <-changed:
		case <-c.gone:
			c.fail(errGaveUp)
		case <-passed:
			return os.ErrDeadlineExceeded
		}
	}
	return nil
}

var errGaveUp = errors.New("weft: Bridge: the client gave up before the answer")

func (c *bridgeConn) Read(p []byte) (int, error) {
	if err := c.awaitOpen(); err != nil {
		return 0, err
	}
	n, err := c.streamConn.Read(p)
	c.noteEnd(err)
	return n, err
}

// noteEnd leaves the server when err says that the tunnel is lost.
func (c *bridgeConn) noteEnd(err error) {
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.server.leave(c.place)
	}
}

// WriteTo implements io.WriterTo: io.Copy, as proxies use it, needs no buffer.
func (c *bridgeConn) WriteTo(w io.Writer) (n int64, err error) {
	if err := c.awaitOpen(); err != nil {
		return 0, err
	}
	c.reading.lock(context.Background())
	defer c.reading.unlock()
	for {
		p := c.rest
		if len(p) == 0 {
			p, err = c.stream.Receive()
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			c.noteEnd(err)
			return n, err
		}
		written, err := w.Write(p)
		n += int64(written)
		c.rest = p[written:]
		if err != nil {
			return n, err
		}
	}
}

func (c *bridgeConn) Write(p []byte) (int, error) {
	if c.opened.Load() {
		return c.writeFrames(p)
	}
	return c.writeAnswer(p)
}

// beforeOpen calls f, unless c is open or over; only one such call runs at a time. It reports whether c is open.
func (c *bridgeConn) beforeOpen(f func()) (open bool, err error) {
	if c.opened.Load() {
		return true, nil
	}
	c.answering.lock(context.Background())
	defer c.answering.unlock()
	if c.opened.Load() {
		return true, nil
	}
	if err := c.overErr(); err != nil {
		return false, err
	}
	f()
	return false, nil
}

// Close is streamConn's, or ends the answer.
func (c *bridgeConn) Close() error {
	if open, _ := c.beforeOpen(c.conclude); open {
		c.server.leave(c.place)
		return c.streamConn.Close()
	}
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	return nil
}

// CloseWrite is streamConn's, or ends the answer.
func (c *bridgeConn) CloseWrite() error {
	open, err := c.beforeOpen(c.conclude)
	if open {
		return c.streamConn.CloseWrite()
	}
	return err
}

func (c *bridgeConn) LocalAddr() net.Addr {
	if c.opened.Load() {
		return c.streamConn.LocalAddr()
	}
	return addrOr(c.local)
}

func (c *bridgeConn) RemoteAddr() net.Addr {
	if c.opened.Load() {
		return c.streamConn.RemoteAddr()
	}
	return addrOr(c.remote)
}

func (c *bridgeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *bridgeConn) SetReadDeadline(t time.Time) error {
	if c.setEarly(&c.readDeadline, t) {
		return nil
	}
	return c.streamConn.SetReadDeadline(t)
}

func (c *bridgeConn) SetWriteDeadline(t time.Time) error {
	if c.setEarly(&c.writeDeadline, t) {
		return nil
	}
	return c.streamConn.SetWriteDeadline(t)
}

// setEarly sets a deadline that the stream gets when it opens. It reports false if it is open.
func (c *bridgeConn) setEarly(deadline *time.Time, t time.Time) bool {
	if c.opened.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened.Load() {
		return false
	}
	*deadline = t
	c.changed.ring()
	return true
}
