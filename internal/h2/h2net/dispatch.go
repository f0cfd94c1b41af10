package h2net

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/semantics"
)

// dispatch tells everybody what came of the input, with the lock held but around callbacks. It returns true with the lock
// held when nothing is left, and false without the lock when the goroutine of gen was replaced.
func (c *conn) dispatch(gen uint32) bool {
	r := &c.reading
	for {
		if ev := c.eng.NextEvent(); ev != nil {
			if st, p := c.handle(ev); st != nil && !st.call(p, gen) {
				return false
			}
			if r.begun >= maxBegun {
				c.letBegin()
			}
			continue
		}
		if c.eng.More() {
			r.took += c.eng.Recv(time.Now(), r.in[r.took:])
			continue
		}
		if r.advanceDue {
			r.advanceDue = false
			r.dispatching = true
			c.eng.Advance(time.Now())
			continue
		}
		if n := len(c.ending); n > 0 {
			st := c.ending[n-1]
			c.ending[n-1] = nil
			c.ending = c.ending[:n-1]
			if st.owes() && !st.busy && !st.call(nil, gen) {
				return false
			}
			continue
		}
		r.dispatching = false
		return true
	}
}

// quietEvents takes events that come up outside a batch: EventWritable while writing, and those of Advance. Called with
// the lock held.
func (c *conn) quietEvents() {
	failed := c.failure != nil
	for ev := c.eng.NextEvent(); ev != nil; ev = c.eng.NextEvent() {
		if st, _ := c.handle(ev); st != nil {
			c.ending = append(c.ending, st)
		}
	}
	for _, st := range c.ending {
		st.tellSoon()
	}
	clear(c.ending)
	c.ending = c.ending[:0]
	for _, st := range c.reading.wakes {
		st.wait.Done()
	}
	clear(c.reading.wakes)
	c.reading.wakes = c.reading.wakes[:0]
	if c.failure != nil && !failed {
		c.nc.SetReadDeadline(time.Unix(1, 0)) // the reading goroutine does the rest
	}
}

// handle does what an event asks for. If a callback is due it returns its stream and the bytes for it; they have been
// consumed. Called with the lock held.
func (c *conn) handle(ev *h2.Event) (*stream, []byte) {
	st := streamOf(ev.Stream)
	switch ev.Kind {
	case h2.EventData:
		if st != nil {
			return st.recvData(ev)
		}
		c.eng.Consume(ev.Stream, ev.Size)
	case h2.EventHeaders:
		c.role.recvHeaders(ev)
		if st != nil && ev.End {
			return st.recvEnd(), nil
		}
	case h2.EventTrailers:
		if st != nil {
			st.rarely().trailers = semantics.HeaderOf(ev.Fields)
			return st.recvEnd(), nil
		}
	case h2.EventReset:
		if ev.Violation != nil {
			c.role.violated(ev.Violation, ev.Detail)
		}
		if st != nil {
			return st.recvReset(c.resetReason(ev)), nil
		}
		c.eng.Release(ev.Stream)
	case h2.EventWritable:
		if st != nil {
			st.wakeSenders()
		}
	case h2.EventSettings:
		c.role.recvSettings(ev)
	case h2.EventPong:
		if ch, ok := c.pings[ev.Ping]; ok {
			delete(c.pings, ev.Ping)
			ch <- ev.RTT // it has room for one
		}
		c.role.pong(ev)
	case h2.EventFrameAccepted:
		if st != nil && st.request != nil {
			close(st.request.accepted)
		}
	case h2.EventFrameUnsupported:
		if st != nil {
			return st.recvReset(frameUnsupported(ev.Stream.ID)), nil
		}
	case h2.EventAltSvc, h2.EventOrigin:
		c.role.recvAdvert(ev)
	case h2.EventGoAway:
		c.recvGoAway(ev)
	case h2.EventConnFailed:
		if ev.Violation != nil {
			c.role.violated(ev.Violation, ev.Detail)
		}
		if c.failure == nil {
			c.failure = connFailed(ev)
		}
	}
	return nil, nil
}

// resetReason is what ends a stream. A GOAWAY with an error that did not count the stream is the end of the connection
// rather than a refusal of one stream: whoever tries again has to know.
func (c *conn) resetReason(ev *h2.Event) error {
	if ev.Unprocessed && c.goAway != nil && c.goAway.Code != noError {
		return c.goAway
	}
	return streamReset(ev)
}

func (c *conn) recvGoAway(ev *h2.Event) {
	c.goAway = goAwayReceived(ev)
	if c.goneAway != nil {
		close(c.goneAway)
		c.goneAway = nil
	}
	if c.side == h2.Client {
		// "Once the GOAWAY is sent, the sender will ignore frames sent on streams initiated by the receiver if the
		// stream has an identifier higher than the included last stream identifier." RFC 9113, Section 6.8. A client
		// has no more use for the connection when its streams are done.
		c.draining = true
		if c.nstreams == 0 {
			c.closeSoon()
		}
	}
	c.role.streamsChanged()
}

// call gives p to st's callback, then what came up for it meanwhile. It is called with the lock held by the goroutine
// of gen, returns true with the lock held if that is still the reading one, and else false without the lock.
func (st *stream) call(p []byte, gen uint32) bool {
	c := st.c
	st.busy = true
	c.watchBegin(st)
	c.f.Unlock()
	ok := len(p) == 0 || st.invoke(p, nil)
	c.f.Lock()
	if st.owes() || !ok {
		st.callMore(ok, gen)
	}
	st.busy = false
	st.settle()
	if c.reading.gen != gen {
		c.f.Flush() // credit
		return false
	}
	c.watchEnd()
	return true
}

// callMore gives the callback what is queued, until nothing is. Called with the lock held, and returns with it.
func (st *stream) callMore(ok bool, gen uint32) {
	c := st.c
	for {
		if !ok {
			st.told = true
			st.abort(internalError)
			return
		}
		p, err := st.owed()
		if p == nil && err == nil {
			return
		}
		if c.reading.gen != gen && c.eng.HasOutput() {
			c.f.Flush()
		} else {
			c.f.Unlock()
		}
		ok = st.invoke(p, err)
		c.f.Lock()
		st.lent.free()
		st.lent = nil
	}
}

// tellSoon has st's callback called by a goroutine of its own, if something is owed and nobody is at it. Called with the
// lock held.
func (st *stream) tellSoon() {
	if !st.owes() || st.busy {
		return
	}
	st.busy = true
	go func() {
		st.c.f.Lock()
		st.callMore(true, noGen)
		st.busy = false
		st.settle()
		st.c.f.Flush()
		st.c.role.hooks()
	}()
}

// invoke calls the callback. A panic in it is logged, as http.Server does for handlers, and costs the stream.
func (st *stream) invoke(p []byte, err error) (ok bool) {
	defer func() {
		if !ok {
			v := recover()
			st.c.role.logf("http2: panic in the callback of stream %d, %v: %v\n%s", st.s.ID, st.c.remote, v, debug.Stack())
		}
	}()
	st.recv(p, err)
	return true
}

// letBegin lets the handlers that were started run. A batch of requests would otherwise make as many goroutines, and the
// runtime never gives their descriptors back. Called with the lock held, and returns with it.
func (c *conn) letBegin() {
	c.reading.begun = 0
	c.f.Unlock()
	runtime.Gosched()
	c.f.Lock()
}

// maxBegun is how many handlers are started before they may run.
const maxBegun = 8

// maxEvents is how many events the engine makes at once: 8 KiB of them, where a batch may have hundreds.
const maxEvents = 31

// noGen is no reading goroutine's.
const noGen = ^uint32(0)
