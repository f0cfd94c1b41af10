package transport

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A DeadlineWriter is what a Flusher writes to: a net.Conn, or a stream of a connection.
type DeadlineWriter interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// A Flusher writes what many goroutines queue on one connection with as few Writes as it can. Whoever queues and finds
// nobody flushing starts a goroutine that yields once, so that others can queue too, writes until nothing is left, and ends:
// who queues never waits for the network. While the reading goroutine works through a batch (Begin, End), nobody else
// flushes; what the batch caused leaves in one Write, by the reading goroutine.
//
//	f.Lock(); append to the queue; f.Flush()      // any goroutine; Flush unlocks
//	f.Begin(); dispatch the batch; f.End()        // the reading goroutine
//
// The mutex guards the owner's queue as well and is never held across I/O.
type Flusher struct {
	sync.Mutex

	// Take appends the next bytes to write to dst, which is empty, a bounded number of them, and returns it, or something in
	// exchange for it; nothing appended means nothing to write. Called with the mutex held.
	Take func(dst []byte) []byte
	// Size, if set, says for how many bytes Take would like to have room. Called with the mutex held.
	Size func() int
	// Failed is told the first write error, once, without the mutex. The owner tears the connection down.
	Failed func(error)
	// Wrote, if set, is called with the mutex held after each successful Write.
	Wrote func(n int)

	Conn DeadlineWriter

	// Handoff, if set, is asked with the mutex held before a goroutine is started. Where it returns true, the owner writes by
	// itself what is queued, or calls Flush again.
	Handoff func() bool

	// Timeout bounds one Write; 0 means none. A peer that reads nothing for so long fails the connection.
	Timeout time.Duration

	// Pooled says that Take hands over a buffer of the pool and keeps dst, which may be nil. Otherwise it appends to dst.
	Pooled bool

	// Try, if set, takes the first n bytes of p without waiting. clear says that the network has got them and may take more;
	// otherwise the rest of p goes to Conn, be it empty. It needs Pooled.
	Try func(p []byte) (n int, clear bool, err error)

	// Watch, if set, notices a batch that takes long, after one to two milliseconds. Then what is queued during a batch waits for its
	// end, unless it is large.
	Watch *Watch

	// Watched says that the owner itself notices a batch that takes long, and calls FlushNow. Otherwise a timer does,
	// after a millisecond.
	Watched bool

	// Invariant: flushing is true while exactly one goroutine is in flush.
	flushing bool
	// batches counts the reading goroutines between Begin and End; more than one only while one is being replaced.
	batches  int
	deferred bool // something was queued during a batch
	// turns counts the turns of the reading goroutine, times two, and one more where that is at the last of what it has read.
	turns    atomic.Uint32
	seen     uint32 // the turn that the next two are of
	turn     int32  // Flushes in it
	lastTurn int32  // ... and in the one before
	listed   bool   // a Crew will flush
	watched  bool   // a Watch has us in its list
	ticks    int    // of the Watch since something was queued during a batch
	rest     []byte // was taken and not written; not nil: Conn waits to write it, be it empty
	failed   bool
	watchdog *time.Timer
	deadline time.Time
	start    func()        // the goroutine of Flush; a field, so that starting it does not allocate
	ended    chan struct{} // closed when the flush under way ends; nil while nobody waits for that
}

// Begin starts a batch: until End, or for maxDeferral at most, Flush only queues.
func (f *Flusher) Begin() {
	f.Lock()
	f.batches++
	f.Unlock()
}

// End ends the batch and writes what it caused.
func (f *Flusher) End() {
	f.Lock()
	f.EndLocked()
}

// EndLocked is End for a caller that holds the mutex; it unlocks it.
func (f *Flusher) EndLocked() {
	f.batches--
	switch {
	case f.deferred:
		f.deferred = false
		f.stopWatching()
	case !f.Watched:
		f.Unlock()
		return
	}
	f.flush()
}

// EndSoon is End for a reading goroutine that must not wait for the network: another one writes what the batch caused.
func (f *Flusher) EndSoon() {
	f.Lock()
	f.batches--
	if !f.deferred {
		f.Unlock()
		return
	}
	f.deferred = false
	f.stopWatching()
	f.FlushNow()
}

func (f *Flusher) stopWatching() {
	if f.watchdog != nil {
		f.watchdog.Stop()
	}
}

// startWatching begins when something is queued during a batch: one that takes long (a callback that blocks) must not hold it back.
func (f *Flusher) startWatching() {
	f.deferred = true
	switch {
	case f.Watch != nil:
		f.ticks = 0
		if !f.watched {
			f.watched = true
			f.Watch.add(f)
		}
	case f.watchdog == nil:
		f.watchdog = time.AfterFunc(maxDeferral, f.overdue)
	default:
		f.watchdog.Reset(maxDeferral)
	}
}

// watchTick is a Watch's. It reports whether to come again.
func (f *Flusher) watchTick() bool {
	f.Lock()
	f.ticks++
	switch {
	case f.deferred && f.ticks >= 2:
		f.deferred, f.watched = false, false
		f.FlushNow()
		return false
	case !f.deferred && f.ticks >= 2:
		f.watched = false
	}
	again := f.watched
	f.Unlock()
	return again
}

// Drained says that the reading goroutine is at the last of what it has read: if that is answered, nothing is gained by waiting for
// more. It holds until the next Turn.
func (f *Flusher) Drained() { f.turns.Or(1) }

// Turn says that the reading goroutine begins with what it has read, or goes to read.
func (f *Flusher) Turn() { f.turns.Store(f.turns.Load() | 1 + 1) }

// notice notices that there has been a Turn, or several. Called with the mutex held.
func (f *Flusher) notice() {
	t := f.turns.Load() / 2
	switch t - f.seen {
	case 0:
		return
	case 1:
		f.lastTurn = f.turn
	default:
		f.lastTurn = 0
	}
	f.seen, f.turn = t, 0
}

// BeginLocked is Begin for a caller that holds the mutex, and keeps it.
func (f *Flusher) BeginLocked() { f.batches++ }

// Flush sees to it that what was queued is written soon. Called with the mutex held; unlocks it.
func (f *Flusher) Flush() {
	if f.direct() && (f.Watch == nil || f.batches == 0) {
		f.turn++
		f.flushDirect()
		return
	}
	f.turn++
	if f.batches > 0 {
		if !f.Watched && !f.deferred && !f.flushing && !f.failed {
			f.startWatching()
		}
		f.Unlock()
		return
	}
	f.FlushNow()
}

// FlushNow is Flush that does not wait for the end of a batch. Called with the mutex held; unlocks it.
func (f *Flusher) FlushNow() {
	if f.flushing || f.failed || f.Handoff != nil && f.Handoff() {
		f.Unlock()
		return
	}
	f.flushing = true
	f.spawn()
}

// Busy reports whether somebody is writing, or nobody may any more. Called with the mutex held.
func (f *Flusher) Busy() bool { return f.flushing || f.failed }

// Finish writes what is queued and returns when that is done or has failed. Called without the mutex.
func (f *Flusher) Finish() {
	f.Lock()
	for f.flushing {
		if f.ended == nil {
			f.ended = make(chan struct{})
		}
		ended := f.ended
		f.Unlock()
		<-ended
		f.Lock()
	}
	f.flush()
}

func (f *Flusher) overdue() {
	f.Lock()
	f.deferred = false
	f.flush()
}

// flush is called with the mutex held and unlocks it.
func (f *Flusher) flush() {
	if f.flushing || f.failed {
		f.Unlock()
		return
	}
	f.flushing = true
	f.Unlock()
	f.run(false)
}

// size is how large the buffer of the first Write is to be.
func (f *Flusher) size() int {
	if f.Size == nil {
		return flushSize
	}
	return min(max(f.Size(), flushSize), maxFlushSize)
}

// run writes until nothing is left. The caller has set flushing.
func (f *Flusher) run(yield bool) {
	if yield {
		// With a message from each of many goroutines on its way, a flusher that writes at once writes them one by one.
		runtime.Gosched()
	}
	f.Lock()
	var buf []byte
	if !f.Pooled {
		buf = GetBuffer(f.size())
	}
	var err error
	for err == nil {
		out := f.rest
		if f.rest = nil; out == nil {
			if out = f.Take(buf[:0]); len(out) == 0 {
				break
			}
		}
		buf = out
		f.Unlock()
		err = f.write(out)
		if !f.Pooled && len(out) > cap(buf)/4*3 && cap(buf) < maxFlushSize {
			n := min(4*cap(buf), maxFlushSize)
			PutBuffer(buf)
			buf = GetBuffer(n)
		}
		f.Lock()
		if err == nil && f.Wrote != nil {
			f.Wrote(len(out))
		}
	}
	f.finished(buf, err)
}

// finished ends what began with flushing. Called with the mutex held; unlocks it.
func (f *Flusher) finished(buf []byte, err error) {
	f.flushing = false
	if f.ended != nil {
		close(f.ended)
		f.ended = nil
	}
	if err != nil {
		f.failed = true
	}
	f.Unlock()
	PutBuffer(buf)
	if err != nil && f.Failed != nil {
		f.Failed(err)
	}
}

// write waits until the network has taken p.
func (f *Flusher) write(p []byte) error {
	if f.Try != nil {
		rest, clear, err := f.try(p)
		if err != nil || clear {
			return err
		}
		p = rest
	}
	if f.Timeout > 0 {
		// Renewed when half of it is gone: a deadline for every Write would cost as much as the rest of flush.
		if now := time.Now(); f.deadline.Sub(now) < f.Timeout/2 {
			f.deadline = now.Add(f.Timeout)
			f.Conn.SetWriteDeadline(f.deadline)
		}
	}
	_, err := f.Conn.Write(p)
	return err
}

// try writes p as far as that does not wait. clear says that the network has got all of it.
func (f *Flusher) try(p []byte) (rest []byte, clear bool, err error) {
	for {
		n, clear, err := f.Try(p)
		if p = p[n:]; err != nil || !clear || len(p) == 0 {
			return p, clear, err
		}
	}
}

// flushListed is a Crew's.
func (f *Flusher) flushListed() {
	f.Lock()
	f.listed = false
	if f.Busy() {
		f.Unlock()
		return
	}
	f.flushDirect()
}

// direct reports whether what is queued next is best written by who queues it: the first answer to the last of what was read, as
// far as can be told also the only one. Called with the mutex held.
func (f *Flusher) direct() bool {
	if f.Try == nil {
		return false
	}
	f.notice()
	return f.turn == 0 && f.lastTurn <= 1 && f.turns.Load()&1 != 0 && !f.Busy()
}

// flushDirect writes what the network takes at once, and leaves the rest to a goroutine. Called with the mutex held; unlocks it.
func (f *Flusher) flushDirect() {
	f.flushing = true
	out := f.Take(nil)
	if len(out) == 0 {
		f.finished(out, nil)
		return
	}
	f.Unlock()
	rest, clear, err := f.try(out)
	f.Lock()
	if err == nil && f.Wrote != nil {
		f.Wrote(len(out) - len(rest))
	}
	if err == nil && !clear {
		f.rest = out[:copy(out, rest)]
		f.spawn()
		return
	}
	if err == nil {
		if more := f.Take(nil); len(more) > 0 { // another goroutine has queued meanwhile
			f.rest = more
			f.spawn()
			PutBuffer(out)
			return
		}
	}
	f.finished(out, err)
}

// spawn starts the goroutine that flushes. Called with the mutex held and flushing set; unlocks it.
func (f *Flusher) spawn() {
	if f.start == nil {
		f.start = func() { f.run(true) }
	}
	start := f.start
	f.Unlock()
	go start()
}

const (
	// maxDeferral is how long a batch may hold back what others queue.
	maxDeferral = time.Millisecond
	// A flush takes flushSize at first, and up to maxFlushSize at a time where that was not enough.
	flushSize    = 32 << 10
	maxFlushSize = 128 << 10
)
