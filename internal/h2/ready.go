package h2

import (
	"slices"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/invariant"
)

// A readyQueue holds the streams that have DATA and a window of their own for it, in the order of their turns. They may
// still wait for the connection's window. Every step costs the same, however many streams are open.
type readyQueue struct {
	head, tail *Stream
}

// pushIf puts s at the end if it has something to send and is not queued yet.
func (q *readyQueue) pushIf(s *Stream) {
	if s.inReady || s.pending == nil || s.sendWindow <= 0 {
		return
	}
	s.inReady = true
	s.prev = q.tail
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
}

func (q *readyQueue) remove(s *Stream) {
	if !s.inReady {
		return
	}
	if s.prev == nil {
		q.head = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		q.tail = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.next, s.prev, s.inReady = nil, nil, false
}

// HasOutput reports whether AppendOutput would append something.
func (c *Conn) HasOutput() bool {
	return len(c.out) > c.outHead || c.sendWindow > 0 && c.ready.head != nil
}

// AppendOutput appends what is to be written now and returns it: limit bytes at most, and the first frame whatever limit is.
// It may give rise to EventWritable.
func (c *Conn) AppendOutput(dst []byte, limit int) []byte {
	start := len(dst)
	n := min(len(c.out)-c.outHead, limit)
	dst = append(dst, c.out[c.outHead:c.outHead+n]...)
	c.outHead += n
	if c.openData.start < c.outHead {
		c.openData = openData{}
	}
	if c.outHead < len(c.out) {
		c.compactOut()
		return dst
	}
	c.emptied(c.out)
	for c.sendWindow > 0 && c.ready.head != nil {
		room := limit - (len(dst) - start) - wire.HeaderLen
		if room < leastTurn && len(dst) > start {
			break
		}
		dst = c.appendTurn(dst, c.ready.head, max(room, leastTurn))
	}
	return dst
}

// SwapOutput returns all of the output buffer, and makes dst's storage the new one, where that spares a copy worth it: it is
// AppendOutput without one. nil: it is not. Small frames are better written where the cache has just had others.
func (c *Conn) SwapOutput(dst []byte) []byte {
	if c.outHead > 0 || !c.largeOut || cap(dst) < len(c.out) {
		return nil
	}
	out := c.out
	c.emptied(dst)
	return out
}

// emptied: all output was taken, and storage is for what comes next.
func (c *Conn) emptied(storage []byte) {
	c.out, c.outHead, c.largeOut = storage[:0], 0, false
	c.openData = openData{}
	c.replies = 0
}

// OutputSize is how many bytes AppendOutput and SwapOutput would like dst to have room for.
func (c *Conn) OutputSize() int { return len(c.out) - c.outHead }

const (
	// leastTurn is for how much payload a DATA frame is begun at the end of what is written at once.
	leastTurn = 1 << 10
	// worthSwapping is from how much payload in one go a copy of the output buffer is spared.
	worthSwapping = 4 << 10
)

// compactOut drops what is written from the front of the output buffer, if it is much.
func (c *Conn) compactOut() {
	if c.outHead < directLimit {
		return
	}
	c.out = c.out[:copy(c.out, c.out[c.outHead:])]
	if c.openData.streamID != 0 {
		c.openData.start -= c.outHead
		c.openData.end -= c.outHead
	}
	c.outHead = 0
}

// appendTurn appends one DATA frame of a ready stream with room bytes at most, and its trailers if that was all.
func (c *Conn) appendTurn(dst []byte, s *Stream, room int) []byte {
	c.ready.remove(s)
	n := min(s.Pending(), c.sendCredit(s), maxPayload, room)
	drained := n == s.Pending()
	q := s.pending
	end := drained && s.sendEnd && q.trailers == nil
	dst = wire.AppendData(dst, s.ID, q.data[q.head:q.head+n], end)
	q.head += n
	invariant.Check(n > 0, "stream %d has a turn and sends nothing", s.ID)
	c.spend(s, n)
	if s.full && s.Pending() <= c.cfg.MaxSendQueue/2 {
		s.full = false
		c.addEvent(EventWritable, s)
	}
	if !drained {
		c.ready.pushIf(s)
		return dst
	}
	trailers := q.trailers
	c.dropPending(s)
	if trailers != nil {
		dst = c.appendFieldBlock(dst, s, Pseudo{}, trailers, true)
		end = true
	}
	if end {
		c.endSend(s)
	}
	return dst
}

// A sendQueue is what waits on a stream: DATA, and trailers behind it.
type sendQueue struct {
	data     []byte // Invariant: head < len(data)
	head     int    // data[:head] is written
	trailers []Field
}

// Queues are kept for the next stream that has to wait.
const maxSpareBytes = 1 << 20

func (c *Conn) appendPending(s *Stream, head, body []byte) {
	q := s.pending
	if q == nil {
		q = c.takeSpare(len(head) + len(body))
		s.pending = q
	}
	if q.head > 0 && len(q.data)+len(head)+len(body) > cap(q.data) {
		q.data = q.data[:copy(q.data, q.data[q.head:])]
		q.head = 0
	}
	q.data = append(append(q.data, head...), body...)
}

// takeSpare returns a queue with room for n bytes.
func (c *Conn) takeSpare(n int) *sendQueue {
	for i := len(c.spare) - 1; i >= 0; i-- {
		if q := c.spare[i]; cap(q.data) >= n {
			c.spare = slices.Delete(c.spare, i, i+1)
			c.spareBytes -= cap(q.data)
			return q
		}
	}
	return &sendQueue{data: make([]byte, 0, n)}
}

func (c *Conn) dropPending(s *Stream) {
	q := s.pending
	if q == nil {
		return
	}
	s.pending = nil
	if n := cap(q.data); c.spareBytes+n <= maxSpareBytes {
		*q = sendQueue{data: q.data[:0]}
		c.spare = append(c.spare, q)
		c.spareBytes += n
	}
}
