package simnet

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Conn is one end of a connection: a net.Conn with CloseWrite, as *net.TCPConn is, and Reset.
type Conn struct {
	net           *Network
	in, out       *flow
	local, remote *net.TCPAddr
	client        bool
	opened        time.Time
	closeOnce     sync.Once
}

// Client reports whether this is the end that dialed.
func (c *Conn) Client() bool { return c.client }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.opError("read", err)
	}
	return n, err
}

// Write implements net.Conn. It blocks only where the link's SendBuffer is full.
func (c *Conn) Write(p []byte) (int, error) {
	total := 0
	for {
		n, err := c.out.write(p[total:])
		if n > 0 {
			c.net.sent(c, p[total:total+n])
			c.strike()
		}
		total += n
		if err != nil {
			return total, c.opError("write", err)
		}
		if total == len(p) {
			return total, nil
		}
	}
}

// CloseWrite sends FIN: the other end reads EOF after what is under way. Later Writes fail with EPIPE.
func (c *Conn) CloseWrite() error {
	c.out.finish(errBrokenPipe)
	return nil
}

// Close sends FIN and ends every Read and Write on this end with net.ErrClosed. What the other end writes later is
// answered by RST.
func (c *Conn) Close() error {
	err := c.opError("close", net.ErrClosed)
	c.closeOnce.Do(func() {
		err = nil
		c.out.finish(net.ErrClosed)
		c.in.abandon()
		c.net.gone(c)
	})
	return err
}

// Reset closes with RST: after what is under way the other end's Reads and Writes fail with ECONNRESET.
func (c *Conn) Reset() {
	c.closeOnce.Do(func() {
		c.out.reset()
		c.in.refuse()
		c.net.gone(c)
	})
}

// Buffered returns the bytes that have arrived at this end and were not read yet.
func (c *Conn) Buffered() int { return c.in.arrived() }

// LocalAddr implements net.Conn; a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn; a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn; it reaches a Read that is blocked now.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if !c.in.setReadDeadline(t) {
		return c.opError("set", net.ErrClosed)
	}
	return nil
}

// SetWriteDeadline implements net.Conn; it reaches a Write that is blocked now.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if !c.out.setWriteDeadline(t) {
		return c.opError("set", net.ErrClosed)
	}
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
