package simnet

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A PacketConn is a UDP socket: a net.PacketConn and, where DialContext made it, a net.Conn, as *net.UDPConn is.
type PacketConn struct {
	net           *Network
	local, remote *net.UDPAddr // remote: of a connected socket, or nil
	client        bool
	opened        time.Time
	rng           *rand.Rand // Invariant: used with net.mu only

	mu      sync.Mutex
	changed signal

	flying  []packet // on their way here, by their arrival
	arrived []packet // Invariant: at most receiveQueue

	readDeadline, writeDeadline time.Time
	closed                      bool
}

type packet struct {
	at   time.Time
	from *net.UDPAddr
	data []byte
	err  error // of ICMP, instead of data
}

// ReadFrom implements net.PacketConn. It blocks for the next datagram; what has no room in p is cut off.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		next, due, err := c.tryRead(time.Now())
		if next != nil || err != nil {
			c.mu.Unlock()
			if err == nil {
				err = next.err
			}
			if err != nil {
				return 0, nil, c.opError("read", err)
			}
			return copy(p, next.data), next.from, nil
		}
		changed := c.changed.wait()
		c.mu.Unlock()
		await(changed, due)
	}
}

// tryRead takes what has arrived at now, or returns when to look again.
func (c *PacketConn) tryRead(now time.Time) (next *packet, due time.Time, err error) {
	switch {
	case c.closed:
		return nil, due, net.ErrClosed
	case passed(c.readDeadline, now):
		return nil, due, os.ErrDeadlineExceeded
	}
	c.land(now)
	if len(c.arrived) > 0 {
		next, c.arrived = &c.arrived[0], c.arrived[1:]
		return next, due, nil
	}
	due = c.readDeadline
	if len(c.flying) > 0 {
		due = earliest(due, c.flying[0].at)
	}
	return nil, due, nil
}

// land moves what has arrived at now to the receive queue. Nothing was read since it was called last, so the queue is
// as full as it was at each arrival.
func (c *PacketConn) land(now time.Time) {
	for len(c.flying) > 0 && passed(c.flying[0].at, now) {
		if len(c.arrived) < receiveQueue {
			c.arrived = append(c.arrived, c.flying[0])
		} else {
			c.net.count(func(s *Stats) { s.PacketsLost++ })
		}
		c.flying = c.flying[1:]
	}
}

// WriteTo implements net.PacketConn; addr is a *net.UDPAddr. It never blocks, and a datagram that does not arrive is no
// error.
func (c *PacketConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	switch {
	case !ok:
		return 0, c.opError("write", errors.New("the address is no *net.UDPAddr"))
	case c.remote != nil:
		return 0, c.opError("write", net.ErrWriteToConnected)
	}
	return c.send(p, to)
}

// Read is ReadFrom without the address.
func (c *PacketConn) Read(p []byte) (int, error) {
	n, _, err := c.ReadFrom(p)
	return n, err
}

// Write sends p to the address that was dialed.
func (c *PacketConn) Write(p []byte) (int, error) {
	if c.remote == nil {
		return 0, c.opError("write", os.NewSyscallError("write", syscall.EDESTADDRREQ))
	}
	return c.send(p, c.remote)
}

func (c *PacketConn) send(p []byte, addr *net.UDPAddr) (int, error) {
	now := time.Now()
	c.mu.Lock()
	closed, late := c.closed, passed(c.writeDeadline, now)
	c.mu.Unlock()
	switch {
	case closed:
		return 0, c.opError("write", net.ErrClosed)
	case late:
		return 0, c.opError("write", os.ErrDeadlineExceeded)
	}
	dst := addr.AddrPort()
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	w := c.net.way(c, dst, len(p))
	switch {
	case w.to != nil:
		data := slices.Clone(p)
		if w.damaged >= 0 {
			data[w.damaged/8] ^= 1 << (w.damaged % 8)
		}
		w.to.arrive(packet{at: now.Add(w.delay), from: c.local, data: data})
		if w.again > 0 {
			w.to.arrive(packet{at: now.Add(w.delay + w.again), from: c.local, data: slices.Clone(data)})
		}
	case w.refused && c.remote != nil:
		// Only connected sockets hear of ICMP.
		c.arrive(packet{at: now.Add(w.delay), err: os.NewSyscallError("read", syscall.ECONNREFUSED)})
	}
	return len(p), nil
}

// arrive puts a packet on its way here.
func (c *PacketConn) arrive(p packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || p.err == nil && c.remote != nil && p.from.AddrPort() != c.remote.AddrPort() {
		c.net.count(func(s *Stats) { s.PacketsLost++ })
		return
	}
	c.land(time.Now())
	i := len(c.flying)
	for i > 0 && c.flying[i-1].at.After(p.at) {
		i--
	}
	c.flying = slices.Insert(c.flying, i, p)
	if i == 0 {
		c.changed.fire()
	}
}

// Close ends every Read on this socket with net.ErrClosed; what is under way to it is lost.
func (c *PacketConn) Close() error {
	c.net.mu.Lock()
	if a := c.local.AddrPort(); c.net.sockets[a] == c {
		delete(c.net.sockets, a)
	}
	c.net.mu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.net.count(func(s *Stats) { s.PacketsLost += len(c.flying) })
	c.flying, c.arrived = nil, nil
	c.changed.fire()
	return nil
}

// LocalAddr implements net.PacketConn and net.Conn; a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn: a *net.UDPAddr, or nil where the socket is not connected.
func (c *PacketConn) RemoteAddr() net.Addr {
	if c.remote == nil {
		return nil
	}
	return c.remote
}

// SetDeadline implements net.PacketConn and net.Conn.
func (c *PacketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.PacketConn and net.Conn; it reaches a Read that is blocked now.
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readDeadline, t) }

// SetWriteDeadline implements net.PacketConn and net.Conn.
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeDeadline, t) }

func (c *PacketConn) setDeadline(deadline *time.Time, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	*deadline = t
	c.changed.fire()
	return nil
}

// SetReadBuffer does nothing; quic-go logs where it is missing.
func (c *PacketConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; quic-go logs where it is missing.
func (c *PacketConn) SetWriteBuffer(int) error { return nil }

func (c *PacketConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.local, Addr: c.RemoteAddr(), Err: err}
}

// receiveQueue is how many datagrams wait to be read, about what a socket buffer of 7 MB holds; more are dropped.
const receiveQueue = 4096
