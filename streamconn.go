package weft

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// A tunnelStream is what a streamConn needs of a transport.Stream.
type tunnelStream interface {
	Receive() ([]byte, error)
	Send(head, body []byte) (n int, err error)
	SetReadDeadline(t time.Time)
	SetWriteDeadline(t time.Time)
	Close(linger time.Duration)
	Abort()
	Done() <-chan struct{}
	Info() transport.Info
}

// A streamConn is the bytes of a stream as a net.Conn. Write returns when p is queued, not when the kernel has it.
type streamConn struct {
	stream tunnelStream
	closed atomic.Bool

	reading gate
	rest    []byte         // guarded by reading: received and not read
	seen    func(p []byte) // guarded by reading: told what arrives, as long as it is not nil
}

func (c *streamConn) Read(p []byte) (int, error) {
	c.reading.lock(context.Background())
	defer c.reading.unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.rest) == 0 {
		b, err := c.stream.Receive()
		if err != nil {
			return 0, err
		}
		if c.seen != nil {
			c.seen(b)
		}
		c.rest = b
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *streamConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.stream.Send(p, nil)
}

// Close ends both sides. What was written is still sent, for closeLinger at most; it does not wait for that.
func (c *streamConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.stream.Close(closeLinger)
	return nil
}

// CloseWrite ends our side when what was written has been sent: FIN, close_notify or END_STREAM. Reading goes on.
func (c *streamConn) CloseWrite() error {
	if s, ok := c.stream.(interface{ CloseWrite() error }); ok {
		return s.CloseWrite()
	}
	return fmt.Errorf("weft: CloseWrite over %s: %w", c.stream.Info().Proto, errors.ErrUnsupported)
}

func (c *streamConn) LocalAddr() net.Addr  { return addrOr(c.stream.Info().LocalAddr) }
func (c *streamConn) RemoteAddr() net.Addr { return addrOr(c.stream.Info().RemoteAddr) }

func (c *streamConn) SetDeadline(t time.Time) error {
	c.stream.SetReadDeadline(t)
	c.stream.SetWriteDeadline(t)
	return nil
}

func (c *streamConn) SetReadDeadline(t time.Time) error {
	c.stream.SetReadDeadline(t)
	return nil
}

func (c *streamConn) SetWriteDeadline(t time.Time) error {
	c.stream.SetWriteDeadline(t)
	return nil
}
