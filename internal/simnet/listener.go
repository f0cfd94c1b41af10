package simnet

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A Listener is a net.Listener on a Network.
type Listener struct {
	net  *Network
	addr *net.TCPAddr

	mu      sync.Mutex
	backlog []arrival
	changed signal
	closed  bool
}

// An arrival is a connection that Accept may return from at on.
type arrival struct {
	conn *Conn
	at   time.Time
}

// Listen listens on addr, "10.0.0.2:443". It panics where addr is no address or in use: a test has no use for the error.
func (n *Network) Listen(addr string) *Listener {
	tcp := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		panic("simnet: " + addr + ": " + syscall.EADDRINUSE.Error())
	}
	l := &Listener{net: n, addr: tcp}
	n.listeners[addr] = l
	return l
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		now := time.Now()
		var due time.Time
		switch {
		case l.closed:
			l.mu.Unlock()
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
		case len(l.backlog) == 0:
		case now.Before(l.backlog[0].at):
			due = l.backlog[0].at
		default:
			c := l.backlog[0].conn
			l.backlog = l.backlog[1:]
			l.mu.Unlock()
			return c, nil
		}
		changed := l.changed.wait()
		l.mu.Unlock()
		await(changed, due)
	}
}

// Close ends Accept. Connections that wait in the backlog are reset.
func (l *Listener) Close() error {
	l.net.mu.Lock()
	if l.net.listeners[l.addr.String()] == l {
		delete(l.net.listeners, l.addr.String())
	}
	l.net.mu.Unlock()

	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	l.closed = true
	backlog := l.backlog
	l.backlog = nil
	l.changed.fire()
	l.mu.Unlock()
	for _, a := range backlog {
		a.conn.Reset()
	}
	return nil
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.addr }

func (l *Listener) arrive(c *Conn, at time.Time) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.backlog = append(l.backlog, arrival{c, at})
		l.changed.fire()
	}
	l.mu.Unlock()
	if closed {
		c.Reset()
	}
}
