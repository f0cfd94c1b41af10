package weft

import (
	"net"
	"sync/atomic"
	"time"
)

// A guardedListener lets only so many connections of one address through, and keeps an eye on the others until they are ready.
type guardedListener struct {
	net.Listener
	table   *ipTable
	refused func(remote net.Addr, k ipKind)
	secure  bool // TLS is expected
}

// Accept implements net.Listener.
func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key, ok := l.table.keyOf(c.RemoteAddr())
		if !ok {
			return l.accepted(c, nil), nil
		}
		n := l.table.take(key, connections)
		if n == nil {
			c.Close()
			l.refused(c.RemoteAddr(), connections)
			continue
		}
		if l.table.take(key, handshakes) == nil {
			l.table.give(n, connections)
			c.Close()
			l.refused(c.RemoteAddr(), handshakes)
			continue
		}
		return l.accepted(c, n), nil
	}
}

func (l *guardedListener) accepted(c net.Conn, n *ipCount) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return &acceptedTCP{TCPConn: c, accepted: accepted{table: l.table, count: n, secure: l.secure}}
	case *net.UnixConn: // of a proxy on this machine
		return c
	}
	return &acceptedConn{Conn: c, accepted: accepted{table: l.table, count: n, secure: l.secure}}
}

// accepted is what a Server knows of a connection besides what http.Server does.
type accepted struct {
	table  *ipTable
	count  *ipCount // nil: its address is not counted
	secure bool     // TLS is expected
	// ready: a request has come, or HTTP/2; idle: one has been answered, and no other has begun. Both of http.Server's goroutine.
	ready, idle bool
	deadlines   uint8       // set while idle: the first one is for the next request's beginning, the second for its header
	open        atomic.Bool // is no handshake for table any more
	gone        atomic.Bool
	wrote       atomic.Bool
	// deadline of reading, in nanoseconds since epoch; 0: none.
	deadline atomic.Int64
	// received is how many bytes Read returned, of which begun came before the request that is awaited. One goroutine at a time reads.
	received, begun int64
}

var epoch = time.Now()

// opened says that the connection is no handshake any more.
func (a *accepted) opened() {
	if a.open.CompareAndSwap(false, true) && a.count != nil {
		a.table.give(a.count, handshakes)
	}
}

// closing is called before the connection is closed, and tells whether a word for TLS is still possible, and due.
func (a *accepted) closing() (alert bool) {
	if !a.gone.CompareAndSwap(false, true) {
		return false
	}
	alert = a.secure && !a.open.Load() && !a.wrote.Load() && a.late()
	a.opened()
	if a.count != nil {
		a.table.give(a.count, connections)
	}
	return alert
}

func (a *accepted) self() *accepted { return a }

// acceptedUnder finds what is known of the connection under c, and how many bytes have come from it; nil: no listener of ours accepted it.
func acceptedUnder(c net.Conn) (a *accepted, received int64) {
	for c != nil {
		if r, ok := c.(interface{ Received() int64 }); ok {
			received += r.Received()
		}
		if s, ok := c.(interface{ self() *accepted }); ok {
			return s.self(), received
		}
		u, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = u.NetConn()
	}
	return nil, 0
}

// connOpened says that HTTP/2 has begun on c.
func connOpened(c net.Conn) {
	if a, _ := acceptedUnder(c); a != nil {
		a.ready = true
		a.opened()
	}
}

// Received returns how many bytes Read has returned.
func (a *accepted) Received() int64 { return a.received }

func (a *accepted) setDeadline(t time.Time) {
	if a.idle && a.deadlines < 2 {
		a.deadlines++
	}
	if t.IsZero() {
		a.deadline.Store(0)
	} else {
		a.deadline.Store(int64(t.Sub(epoch)))
	}
}

// late reports whether there is a deadline of reading, and it is over.
func (a *accepted) late() bool {
	d := a.deadline.Load()
	return d != 0 && int64(time.Since(epoch)) >= d
}

func (a *accepted) writes() {
	if a.secure && !a.wrote.Load() {
		a.wrote.Store(true)
	}
}

// An acceptedTCP can do whatever a TCP connection can.
type acceptedTCP struct {
	*net.TCPConn
	accepted
}

// NetConn returns what the listener accepted.
func (c *acceptedTCP) NetConn() net.Conn { return c.TCPConn }

// Read implements net.Conn.
func (c *acceptedTCP) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.received += int64(n)
	return n, err
}

// Write implements net.Conn.
func (c *acceptedTCP) Write(p []byte) (int, error) {
	c.writes()
	return c.TCPConn.Write(p)
}

// SetDeadline implements net.Conn.
func (c *acceptedTCP) SetDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.TCPConn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *acceptedTCP) SetReadDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.TCPConn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *acceptedTCP) Close() error {
	if c.closing() {
		sendAlert(c.TCPConn)
	}
	return c.TCPConn.Close()
}

// An acceptedConn is a connection of another kind.
type acceptedConn struct {
	net.Conn
	accepted
}

// NetConn returns what the listener accepted.
func (c *acceptedConn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *acceptedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received += int64(n)
	return n, err
}

// Write implements net.Conn.
func (c *acceptedConn) Write(p []byte) (int, error) {
	c.writes()
	return c.Conn.Write(p)
}

// SetDeadline implements net.Conn.
func (c *acceptedConn) SetDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *acceptedConn) SetReadDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.Conn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *acceptedConn) Close() error {
	if c.closing() {
		sendAlert(c.Conn)
	}
	return c.Conn.Close()
}

// CloseWrite closes our side, where the connection has such a thing, or else all of it.
func (c *acceptedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Close()
}
