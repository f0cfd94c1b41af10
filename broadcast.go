package weft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/weftws/weft/internal/transport"
)

// SlowPeer says what happens to a message for a connection whose peer takes messages more slowly than they come.
type SlowPeer int

const (
	// Drop drops the message for that connection when [Broadcaster.Queue] messages wait for it. What it gets is in order, with
	// gaps.
	Drop SlowPeer = iota
	// Latest lets one message wait, and a newer one take its place: for states, of which only the newest matters.
	Latest
	// Close closes the connection with StatusPolicyViolation when [Broadcaster.Queue] messages wait for it: for messages of which none
	// may be missing. Its Reads return ErrSlowPeer.
	Close
)

// ErrSlowPeer is what errors.Is finds when a Broadcaster closed a Conn because its peer was too slow.
var ErrSlowPeer = errors.New("weft: peer too slow")

// A Broadcaster sends messages to many connections. [Broadcaster.Send] never waits: what a connection cannot take at once waits in a queue of
// its own, so that no peer delays another one. The zero value works; fields are set before the first Add, and it is safe for
// concurrent use.
//
// A connection may be in several Broadcasters, and be written to by others as well. Those that are over leave by themselves.
type Broadcaster struct {
	// SlowPeer says what happens when the queue of a connection is full; 0: Drop.
	SlowPeer SlowPeer
	// Queue is how many messages may wait for one connection, beside up to 68 KiB that are with the network; 0: 64.
	Queue int

	mu      sync.Mutex
	members []*member
	byConn  map[*Conn]*member
	crew    transport.Crew
	stats   BroadcastStats
}

// BroadcastStats counts deliveries: one message to one connection.
type BroadcastStats struct {
	Conns   int   // that are members now
	Sent    int64 // deliveries that were made, or wait
	Dropped int64 // that were not made because the peer was slow
	Closed  int64 // connections that were closed because the peer was slow
}

// A member is a connection of a Broadcaster. All but conn and drain is guarded by Broadcaster.mu.
type member struct {
	conn *Conn
	at   int // in Broadcaster.members; -1: not there any more

	// waiting[first:] and then waiting[:first] are count messages that wait; made for the first one.
	waiting      []*Prepared
	first, count int
	draining     bool   // a goroutine is in drain
	drain        func() // a field, so that starting it does not allocate
	dropped      int64
}

// Add makes c a member. A second time changes nothing.
func (b *Broadcaster) Add(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byConn[c] != nil {
		return
	}
	if b.byConn == nil {
		b.byConn = make(map[*Conn]*member)
	}
	m := &member{conn: c, at: len(b.members)}
	m.drain = func() { b.drain(m) }
	b.members = append(b.members, m)
	b.byConn[c] = m
}

// Remove ends the membership of c. What waits for it is not sent.
func (b *Broadcaster) Remove(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.byConn[c]; m != nil {
		b.remove(m)
	}
}

// remove is called with mu held.
func (b *Broadcaster) remove(m *member) {
	if m.at < 0 {
		return
	}
	last := b.members[len(b.members)-1]
	b.members[m.at], last.at = last, m.at
	b.members[len(b.members)-1] = nil
	b.members = b.members[:len(b.members)-1]
	delete(b.byConn, m.conn)
	m.at = -1
	b.stats.Sent -= int64(m.count)
	m.waiting, m.count = nil, 0
}

// Send sends m to every member and returns at once. Messages of one Send after the other arrive in that order.
func (b *Broadcaster) Send(m *Prepared) {
	var slow []*Conn
	b.mu.Lock()
	for i := 0; i < len(b.members); {
		to := b.members[i]
		switch {
		case b.deliver(to, m):
		case to.conn.sendEnded.Load():
			b.remove(to)
		case b.SlowPeer == Close:
			slow = append(slow, to.conn)
			b.stats.Dropped++
			b.stats.Closed++
			b.remove(to)
		default:
			b.stats.Dropped++
			to.dropped++
		}
		if i < len(b.members) && b.members[i] == to {
			i++
		}
	}
	b.mu.Unlock()
	b.crew.Go()
	for _, c := range slow {
		err := fmt.Errorf("%w: %d messages waited for the %s", ErrSlowPeer, b.queue(), c.peerName())
		c.endWith(err, StatusPolicyViolation, "too slow")
	}
}

// deliver sends m to a member or lets it wait; false: that is not possible. Called with mu held.
func (b *Broadcaster) deliver(to *member, m *Prepared) bool {
	if !to.draining && to.conn.tryWritePrepared(m, &b.crew) {
		b.stats.Sent++
		return true
	}
	if to.conn.sendEnded.Load() {
		return false
	}
	if to.waiting == nil {
		to.waiting = make([]*Prepared, b.queue())
	}
	if to.count == len(to.waiting) {
		if b.SlowPeer != Latest {
			return false
		}
		to.waiting[to.first] = m
		b.stats.Dropped++
		to.dropped++
		return true
	}
	to.waiting[(to.first+to.count)%len(to.waiting)] = m
	to.count++
	b.stats.Sent++
	if !to.draining {
		to.draining = true
		go to.drain()
	}
	return true
}

func (b *Broadcaster) queue() int {
	switch {
	case b.SlowPeer == Latest:
		return 1
	case b.Queue > 0:
		return b.Queue
	}
	return defaultQueue
}

const defaultQueue = 64

// drain writes what waits for m, until nothing does.
func (b *Broadcaster) drain(m *member) {
	for {
		b.mu.Lock()
		if m.count == 0 {
			m.draining = false
			b.mu.Unlock()
			return
		}
		p := m.waiting[m.first]
		m.waiting[m.first] = nil
		m.first = (m.first + 1) % len(m.waiting)
		m.count--
		b.mu.Unlock()
		if err := m.conn.WritePrepared(context.Background(), p); err != nil {
			b.mu.Lock()
			b.stats.Sent--
			m.draining = false
			b.remove(m)
			b.mu.Unlock()
			return
		}
	}
}

// Stats returns what has happened so far.
func (b *Broadcaster) Stats() BroadcastStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Conns = len(b.members)
	return s
}

// Dropped returns how many messages c has not got because its peer was slow, as long as c is a member.
func (b *Broadcaster) Dropped(c *Conn) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.byConn[c]; m != nil {
		return m.dropped
	}
	return 0
}

// Conns returns the members, in no order.
func (b *Broadcaster) Conns() []*Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	conns := make([]*Conn, 0, len(b.members))
	for _, m := range b.members {
		conns = append(conns, m.conn)
	}
	return slices.Clip(conns)
}
