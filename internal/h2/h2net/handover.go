package h2net

import (
	"time"

	"github.com/weftws/weft/internal/transport"
)

// watch notices that the reading goroutine is stuck in a callback or in a write, and lets another one take over:
//
//   - the events and the input that are left are the new one's; the old buffer stays with the callback;
//   - what arrives for the stuck stream is queued without giving credit, so that a window bounds it;
//   - when the callback returns, its goroutine gives it what was queued, in order, and ends.
//
// The timer is armed by the first input and then ticks as long as there is some, so that a busy connection does not set a
// timer for each callback. A quiet one has one tick more, which gives the engine's storage back.
type watch struct {
	timer *time.Timer
	armed bool
	quiet bool // not armed, but for the last tick

	stuckable bool    // the reading goroutine is in a callback or in a write
	callee    *stream // the callback's
	seq       uint32  // counts them, and batches of input

	seen      uint32 // seq at the last tick
	seenStuck bool   // stuckable with the same seq at the last tick
}

// watchBegin is called with the lock held when the reading goroutine is about to give it up for st's callback, or nil's write.
func (c *conn) watchBegin(st *stream) {
	w := &c.reading.watch
	w.stuckable, w.callee = true, st
	w.note(c)
}

// note says that something happens on the connection. Called with the lock held.
func (w *watch) note(c *conn) {
	w.seq++
	if !w.armed {
		w.armed, w.quiet, w.seen, w.seenStuck = true, false, w.seq, false
		if w.timer == nil {
			w.timer = time.AfterFunc(watchTick, c.tick)
		} else {
			w.timer.Reset(watchTick)
		}
	}
}

func (c *conn) watchEnd() { c.reading.watch.stuckable, c.reading.watch.callee = false, nil }

func (c *conn) tick() {
	c.f.Lock()
	w := &c.reading.watch
	same := w.seq == w.seen
	if same && !w.stuckable {
		c.rest()
		c.f.Unlock()
		return
	}
	if same && w.seenStuck {
		w.armed = false
		gen := c.takeOver()
		c.run(gen)
		return
	}
	w.seen, w.seenStuck = w.seq, same
	w.timer.Reset(watchTick)
	// A batch that lasts so long must not hold back what was queued.
	if c.reading.inBatch && c.eng.HasOutput() {
		c.f.FlushNow()
		return
	}
	c.f.Unlock()
}

// rest is called by a tick that has found nothing going on.
func (c *conn) rest() {
	w := &c.reading.watch
	if w.armed {
		w.armed, w.quiet = false, true
		w.timer.Reset(restAfter)
	} else if w.quiet && !c.reading.dispatching {
		w.quiet = false
		c.trim()
		c.smallerBuffer()
	}
}

// trim gives back what a quiet connection does not need.
func (c *conn) trim() {
	c.eng.Trim()
	c.fields, c.names = nil, nil
	c.role.trim()
	if len(c.reading.wakes) == 0 {
		c.reading.wakes = nil
	}
	if len(c.ending) == 0 {
		c.ending = nil
	}
	if len(c.awaitingEnd) == 0 {
		c.awaitingEnd = nil
	}
}

// smallerBuffer makes the reading goroutine, which waits for input, come back for a smaller buffer. Called with the lock held.
func (c *conn) smallerBuffer() {
	r := &c.reading
	if r.inBatch || r.resting.Load() || r.last == quiet || c.failure != nil || c.err != nil || c.closing {
		return
	}
	r.resting.Store(true)
	if c.nc.SetReadDeadline(time.Unix(1, 0)) != nil {
		r.resting.Store(false)
	}
}

// takeOver makes the caller's goroutine, or one that it starts, the reading one: what it returns is for run. Called
// with the lock held, and keeps it.
func (c *conn) takeOver() (gen uint32) {
	r := &c.reading
	r.gen++
	c.watchEnd()
	// Events that are left still point into the old buffer, and so may the callback's argument: it is the garbage collector's.
	rest := r.in[r.took:]
	transport.DropBuffer(r.in)
	r.in = append(transport.GetBuffer(max(2*len(rest), minReadBuffer)), rest...)
	r.took = 0
	if !r.inBatch {
		r.inBatch = true
		c.f.BeginLocked()
	}
	return r.gen
}

// releaseReading lets another goroutine read at once where a callback of the reading one is about to wait on its own stream.
// Called with the lock held, and keeps it.
func (c *conn) releaseReading(st *stream) {
	if w := &c.reading.watch; w.stuckable && w.callee == st {
		gen := c.takeOver()
		go func() {
			c.f.Lock()
			c.run(gen)
		}()
	}
}

const (
	// watchTick: a callback that is still running after two ticks is stuck, 5 to 10 ms.
	watchTick = 5 * time.Millisecond
	// restAfter is how long a connection has to be quiet before it shrinks.
	restAfter = 100 * time.Millisecond
)
