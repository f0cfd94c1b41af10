package weft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"time"
)

// NetConn makes a net.Conn of c: every Write is a message of type typ, and Read reads the messages' payloads one after the
// other. ctx ends it: when it is done, Reads and Writes fail and the WebSocket is closed.
//
// Read returns io.EOF when the peer closed with StatusNormalClosure or StatusGoingAway, and an error for a message of
// another type, which closes the WebSocket with StatusUnsupportedData. The read limit is switched off. A deadline that
// passes ends the Read or Write it is for; a Write in the middle of its message loses the connection. Close closes with
// StatusNormalClosure. Addresses are the connection's.
func NetConn(ctx context.Context, c *Conn, typ MessageType) net.Conn {
	c.SetReadLimit(math.MaxInt64)
	n := &netConn{c: c, typ: typ}
	n.ctx, n.cancel = context.WithCancel(ctx)
	n.read.init(n.ctx)
	n.write.init(n.ctx)
	context.AfterFunc(ctx, func() { c.CloseNow() })
	return n
}

type netConn struct {
	c      *Conn
	typ    MessageType
	ctx    context.Context
	cancel context.CancelFunc

	read, write netDeadline

	mu     gate // guards the message that is being read
	reader io.Reader
	ended  bool // the peer closed cleanly
}

func (n *netConn) Read(p []byte) (int, error) {
	n.mu.lock(context.Background())
	defer n.mu.unlock()
	if n.ended {
		return 0, io.EOF
	}
	ctx := n.read.context()
	for {
		if n.reader == nil {
			typ, r, err := n.c.Reader(ctx)
			if err != nil {
				return 0, n.readErr(ctx, err)
			}
			if typ != n.typ {
				err := fmt.Errorf("weft: NetConn of %v messages received a %v message", n.typ, typ)
				n.c.endWith(err, StatusUnsupportedData, "unexpected message type")
				return 0, err
			}
			n.reader = r
		}
		k, err := n.reader.(*messageReader).readWith(ctx, p)
		if err == io.EOF {
			n.reader, err = nil, nil
		}
		if err != nil {
			return k, n.readErr(ctx, err)
		}
		if k > 0 || len(p) == 0 {
			return k, nil
		}
	}
}

func (n *netConn) readErr(ctx context.Context, err error) error {
	switch CloseStatus(err) {
	case StatusNormalClosure, StatusGoingAway:
		n.ended = true
		return io.EOF
	}
	return deadlineErr(ctx, n.ctx, err)
}

// deadlineErr is os.ErrDeadlineExceeded where ctx ended by a deadline of SetDeadline's.
func deadlineErr(ctx, parent context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil && parent.Err() == nil {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (n *netConn) Write(p []byte) (int, error) {
	ctx := n.write.context()
	if err := n.c.Write(ctx, n.typ, p); err != nil {
		return 0, deadlineErr(ctx, n.ctx, err)
	}
	return len(p), nil
}

func (n *netConn) Close() error {
	n.cancel()
	return n.c.Close(StatusNormalClosure, "")
}

func (n *netConn) LocalAddr() net.Addr  { return addrOr(n.c.stream.Info().LocalAddr) }
func (n *netConn) RemoteAddr() net.Addr { return addrOr(n.c.stream.Info().RemoteAddr) }

func (n *netConn) SetDeadline(t time.Time) error {
	n.read.set(t)
	n.write.set(t)
	return nil
}

func (n *netConn) SetReadDeadline(t time.Time) error {
	n.read.set(t)
	return nil
}

func (n *netConn) SetWriteDeadline(t time.Time) error {
	n.write.set(t)
	return nil
}

// A netDeadline is a context that a timer cancels, and a new one when the deadline is moved after that.
type netDeadline struct {
	parent context.Context
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer
}

func (d *netDeadline) init(parent context.Context) {
	d.parent = parent
	d.ctx, d.cancel = context.WithCancel(parent)
}

func (d *netDeadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

func (d *netDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.ctx.Err() != nil {
		d.ctx, d.cancel = context.WithCancel(d.parent)
	}
	if t.IsZero() {
		return
	}
	cancel := d.cancel
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, cancel)
	} else {
		cancel()
	}
}

type noAddr struct{}

func (noAddr) Network() string { return "websocket" }
func (noAddr) String() string  { return "websocket/unknown-addr" }

func addrOr(a net.Addr) net.Addr {
	if a == nil {
		return noAddr{}
	}
	return a
}
