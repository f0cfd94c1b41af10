package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// NewLatencies returns an empty histogram for [Fleet.PingPong] and [Fleet.Paced]: nanoseconds up to a minute, to three digits.
func NewLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// PingPong has one message in flight on the fleet's only WebSocket until the limit, and records in h how long each took from
// before its write until its echo was compared.
func (f *Fleet) PingPong(l Limit, h *hdrhistogram.Histogram) (n int64, err error) {
	if f.spec.WebSockets() != 1 {
		return 0, fmt.Errorf("one message in flight on %d WebSockets", f.spec.WebSockets())
	}
	if l.For == 0 && l.Count == 0 {
		return 0, errors.New("a limit is required")
	}
	c := f.conns[0]
	c.setDeadline(time.Now().Add(l.For + patience))
	once := &round{count: 1}
	began := time.Now()
	for at := began; (l.For == 0 || at.Sub(began) < l.For) && (l.Count == 0 || n < int64(l.Count)); n++ {
		if _, err := c.echo(once); err != nil {
			return n, fmt.Errorf("%w (%s)", err, c.describe())
		}
		now := time.Now()
		if err := h.RecordValue(int64(now.Sub(at))); err != nil {
			return n, err
		}
		at = now
	}
	return n, nil
}

// A pacer is a conn that can be told when to send.
type pacer interface {
	conn
	socket() net.Conn
	// ask puts one more message on the WebSocket ws of the connection into what flush sends.
	ask(ws int)
	flush() error
	// take reads once and reports how many echoes came on which WebSocket.
	take(heard func(ws, n int)) error
}

// Paced sends perSecond messages a second for l.For, at equal distances, on the fleet's WebSockets in turn, whether or not earlier
// echoes have come, and waits for all of them. h gets the time from when a message was due, not from when it was sent, until its
// echo was compared: a server (or load) that stops for a while is charged for every message that it kept waiting, not for
// one. To be on time it does not sleep: it uses a whole core.
func (f *Fleet) Paced(l Limit, perSecond int, h *hdrhistogram.Histogram) (int64, error) {
	p := &pace{
		all: f.spec.WebSockets(), streams: f.spec.Streams, interval: time.Second / time.Duration(perSecond),
		heard: make([]int, f.spec.WebSockets()), h: h,
	}
	p.total = int(l.For / p.interval)
	for _, c := range f.conns {
		pc, ok := c.(pacer)
		if !ok || pc.socket() == nil {
			return 0, errors.New("a rate over this protocol is not measured")
		}
		fd, err := descriptor(pc.socket())
		if err != nil {
			return 0, err
		}
		c.setDeadline(time.Now().Add(l.For + patience))
		p.conns = append(p.conns, pc)
		p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return p.run(time.Now().Add(l.For + patience))
}

// A pace is one [Fleet.Paced].
type pace struct {
	conns    []pacer
	fds      []unix.PollFd
	all      int // WebSockets
	streams  int // of them on a connection
	interval time.Duration
	total    int // messages

	began time.Time
	sent  int
	heard []int // echoes on each WebSocket
	got   int
	h     *hdrhistogram.Histogram
}

func (p *pace) run(end time.Time) (int64, error) {
	p.began = time.Now()
	for p.got < p.total {
		if time.Now().After(end) {
			return int64(p.got), fmt.Errorf("%d of %d messages echoed", p.got, p.total)
		}
		if err := p.send(); err != nil {
			return int64(p.got), err
		}
		if n, err := unix.Poll(p.fds, 0); err != nil && !errors.Is(err, unix.EINTR) {
			return int64(p.got), err
		} else if n <= 0 {
			continue
		}
		for i, fd := range p.fds {
			if fd.Revents == 0 {
				continue
			}
			if err := p.take(i); err != nil {
				return int64(p.got), fmt.Errorf("%w (%s)", err, p.conns[i].describe())
			}
		}
	}
	return int64(p.got), nil
}

// send sends what is due.
func (p *pace) send() error {
	due := min(p.total, int(time.Since(p.began)/p.interval)+1)
	for from := p.sent; p.sent < due; {
		ws := p.sent % p.all
		c := p.conns[ws/p.streams]
		c.ask(ws % p.streams)
		p.sent++
		// One write for all that is due on a connection, even if a pause has made that many.
		if next := p.sent % p.all; p.sent == due || next/p.streams != ws/p.streams || p.sent-from >= p.all {
			if err := c.flush(); err != nil {
				return err
			}
			from = p.sent
		}
	}
	return nil
}

func (p *pace) take(i int) (err error) {
	failed := p.conns[i].take(func(ws, n int) {
		now := time.Since(p.began)
		ws += i * p.streams
		for range n {
			due := time.Duration(p.heard[ws]*p.all+ws) * p.interval
			if e := p.h.RecordValue(int64(now - due)); e != nil {
				err = e
			}
			p.heard[ws]++
			p.got++
		}
	})
	return errors.Join(failed, err)
}

// descriptor is the socket's; it stays the runtime's.
func descriptor(c net.Conn) (fd uintptr, err error) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("a rate over %T is not measured", c)
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, err
	}
	return fd, errors.Join(err, raw.Control(func(f uintptr) { fd = f }))
}

// socket is the TCP connection; nil if a goroutine of its own writes, so that flush would not send.
func (p *pipe) socket() net.Conn {
	switch {
	case p == nil || p.wr != nil:
		return nil
	case p.bulk != nil:
		return p.bulk.Conn
	}
	return p.conn
}

func (c *h1conn) ask(int) { c.send() }

func (c *h1conn) take(heard func(ws, n int)) error {
	n, err := c.receive()
	if n > 0 {
		heard(0, n)
	}
	return err
}

func (c *h2conn) ask(ws int) {
	if c.heard == nil {
		c.round = &round{}
		c.round.stop.Store(true) // an echo makes no further message
	}
	c.send(c.streams[ws])
}

func (c *h2conn) take(heard func(ws, n int)) error {
	c.heard = func(s *h2stream, n int) { heard(int(s.id-1)/2, n) } // the fleet's streams are the connection's first
	if err := c.fill(); err != nil {
		return err
	}
	if err := c.parse(); err != nil {
		return err
	}
	return c.flush()
}
