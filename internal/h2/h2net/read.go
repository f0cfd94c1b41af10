package h2net

import (
	"errors"
	"math/bits"
	"net"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// reading is the state of the goroutine that reads: it takes what the network has, gives it to the engine, tells
// everybody what came of it, writes what that caused, and reads again.
//
//	 ┌────────────▶ Read (no lock) ───────────┐
//	 │                                        ▼ lock, batch begins
//	End: write ◀── dispatch the events ◀── Recv
//	               unlocked around callbacks
//
// A callback or a write that takes long does not hold up the connection: another goroutine takes over (handover.go).
type reading struct {
	// gen counts the goroutines that have been the reading one. Who finds another value than its own after it has had
	// the lock back has been replaced and touches nothing of this any more.
	gen uint32

	in    []byte // what was read; only the reading goroutine's
	took  int    // how much of in the engine has taken
	last  int    // bytes of the last Read, or quiet
	fatal error  // what Read returned

	// resting says that the goroutine was woken to read into a smaller buffer. Set with the lock held.
	resting atomic.Bool

	inBatch     bool // between BeginLocked and EndLocked
	dispatching bool // events may be left: the engine's Advance has to wait
	advanceDue  bool // it does
	begun       int  // handlers that were started and have not had their turn

	wakes []*stream // whose Receives have something now; told at the end of the batch, without the lock

	watch watch
}

// run is the reading goroutine. It is entered with the lock held and a batch begun.
func (c *conn) run(gen uint32) {
	r := &c.reading
	for {
		if !c.dispatch(gen) {
			return
		}
		if c.err != nil {
			c.wake()
			linger := c.err == c.failure && r.fatal == nil && !c.closing
			c.f.Unlock()
			c.finish(linger)
			return
		}
		if c.failure != nil {
			c.lost(c.failure)
			continue
		}
		c.rearm()
		if !c.endBatch(gen) {
			return
		}
		c.role.hooks()

		n, err := c.readMore()

		now := time.Now()
		c.f.Lock()
		c.f.BeginLocked()
		r.inBatch = true
		r.in = r.in[:len(r.in)+n]
		if r.last != quiet || len(r.in) == cap(r.in) {
			r.last = n
		}
		if n > 0 {
			r.dispatching = true
			r.watch.note(c)
			r.took += c.eng.Recv(now, r.in[r.took:])
		}
		if err != nil {
			r.fatal = err
			if !c.dispatch(gen) {
				return
			}
			c.readFailed(err)
		}
	}
}

// readMore reads from the network. A quiet connection is made to come back for a smaller buffer: see rest.
func (c *conn) readMore() (int, error) {
	r := &c.reading
	for {
		c.makeRoom()
		n, err := c.nc.Read(r.in[len(r.in):cap(r.in)])
		if !r.resting.Load() {
			return n, err
		}
		c.f.Lock()
		r.resting.Store(false)
		over := c.failure != nil || c.err != nil
		if !over && !c.mute { // else the deadline is somebody else's by now
			c.nc.SetReadDeadline(time.Time{})
		}
		if ne, ok := errors.AsType[net.Error](err); over || n > 0 || !ok || !ne.Timeout() {
			c.f.Unlock()
			return n, err
		}
		r.last = quiet
		c.f.Unlock()
	}
}

// readFailed says why there is nothing more to read.
func (c *conn) readFailed(err error) {
	switch {
	case c.failure != nil: // somebody made Read fail
		c.reading.fatal = nil
		c.lost(c.failure)
	case c.closing:
		e := locallyClosed()
		if c.goAway != nil {
			e = networkError(err, c.goAway)
		}
		c.lost(e)
	default:
		c.lost(networkError(err, c.goAway))
	}
}

// endBatch writes what the batch has caused. Called with the lock held, returns without it; false means replaced.
func (c *conn) endBatch(gen uint32) bool {
	r := &c.reading
	c.wake()
	r.inBatch = false
	c.account()
	if !c.eng.HasOutput() {
		c.f.EndLocked()
		return true
	}
	// A peer that does not read while it waits for us to read must not stop us: this too is watched.
	c.watchBegin(nil)
	c.f.EndLocked()
	c.f.Lock()
	if r.gen != gen {
		c.f.Unlock()
		return false
	}
	c.watchEnd()
	c.f.Unlock()
	return true
}

// wake tells the Receives that wait. Called with the lock held, which it gives up meanwhile.
func (c *conn) wake() {
	wakes := c.reading.wakes
	if len(wakes) == 0 {
		return
	}
	c.reading.wakes = nil
	c.f.Unlock()
	for _, st := range wakes {
		st.wait.Done()
	}
	c.f.Lock()
	if c.reading.wakes == nil {
		clear(wakes)
		c.reading.wakes = wakes[:0]
	}
}

// makeRoom moves what the engine has left to the beginning of a buffer of the right size: twice the last Read, so that
// it grows when busy and shrinks when idle; twice of that where Reads end inside frames, so that not every rest is moved.
func (c *conn) makeRoom() {
	r := &c.reading
	rest := r.in[r.took:]
	if last := max(r.last, minReadBuffer); len(rest) > 0 && cap(r.in)-len(r.in) >= last && cap(r.in) <= 8*last {
		return
	}
	r.took = 0
	want := 2 * r.last
	if len(rest) > 0 {
		want = 4 * r.last
	}
	want = min(max(want, minReadBuffer), maxReadBuffer)
	if r.last == quiet {
		want = quietReadBuffer
	}
	want = max(want, 2*len(rest))
	if have := cap(r.in); have < want || have > 2*want {
		in := append(transport.GetBuffer(1<<bits.Len(uint(want-1))), rest...)
		transport.PutBuffer(r.in)
		r.in = in
		return
	}
	r.in = r.in[:copy(r.in, rest)]
}

// quiet, in the place of the last Read's bytes: the connection has been quiet, and what came since did not fill the buffer.
const quiet = -1

const (
	quietReadBuffer = 512
	minReadBuffer   = 4 << 10
	maxReadBuffer   = 256 << 10
)
