package fuzzing

import (
	"io"
	"net"
	"time"
)

// A Conn is a net.Conn whose peer says In, in pieces of at most Step bytes, and then ends its side. It takes whatever is written.
// Deadlines mean nothing to it.
type Conn struct {
	In      []byte // what is still to be read
	Step    int    // 0: no limit
	Written []byte
	Closed  bool
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.In) == 0 || c.Closed {
		return 0, io.EOF
	}
	n := len(c.In)
	if c.Step > 0 {
		n = min(n, c.Step)
	}
	n = copy(p, c.In[:n])
	c.In = c.In[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.Written = append(c.Written, p...)
	return len(p), nil
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.Closed = true
	return nil
}

// The rest of net.Conn.
func (c *Conn) LocalAddr() net.Addr              { return addr{} }
func (c *Conn) RemoteAddr() net.Addr             { return addr{} }
func (c *Conn) SetDeadline(time.Time) error      { return nil }
func (c *Conn) SetReadDeadline(time.Time) error  { return nil }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "fuzzing" }
func (addr) String() string  { return "fuzzing" }
