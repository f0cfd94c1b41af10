package weft

import (
	"context"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// A frameEnd follows the frames that are written to a tunnel, by their headers alone, to know where one ends.
type frameEnd struct {
	head   [frame.MaxHeaderLen]byte // of a frame whose header is not complete
	have   int                      // of head
	left   int64                    // of a frame's payload
	closed bool                     // a Close frame has begun
	lost   bool                     // what was written is no WebSocket's
}

// here reports whether no frame is under way.
func (e *frameEnd) here() bool { return e.have == 0 && e.left == 0 && !e.lost }

// pass notes p and returns its length; with stop, it returns at the first end of a frame how much of p that took.
func (e *frameEnd) pass(p []byte, stop bool) int {
	at := 0
	for at < len(p) && !e.lost {
		if e.left > 0 {
			n := min(e.left, int64(len(p)-at))
			e.left -= n
			at += int(n)
		} else {
			at += e.passHeader(p[at:])
		}
		if stop && e.here() {
			return at
		}
	}
	return len(p)
}

// passHeader takes what p has of a header.
func (e *frameEnd) passHeader(p []byte) int {
	n := copy(e.head[e.have:], p)
	h, size, fault := frame.ParseHeader(e.head[:e.have+n])
	switch {
	case fault != frame.NoFault:
		e.lost = true
		return n
	case size == 0:
		e.have += n
		return n
	}
	n = size - e.have
	e.have, e.left = 0, h.Length
	e.closed = e.closed || h.Opcode == frame.Close
	return n
}

// writeFrames writes bytes of the tunnel.
//
// Invariant: what was sent ends with a whole frame when the Close frame of Shutdown follows it, and nothing follows that.
func (c *bridgeConn) writeFrames(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.writing.lock(context.Background())
	whole := len(p)
	if c.leaving.Load() {
		ends := c.sent
		switch {
		case c.told:
			p = nil
		case !ends.here() && !ends.lost:
			p = p[:ends.pass(p, true)]
		}
	}
	var n int
	err := error(closedError("write after Shutdown"))
	if len(p) > 0 {
		if n, err = c.stream.Send(p, nil); n > 0 {
			c.sent.pass(p[:n], false)
		}
		if err == transport.ErrOverBudget {
			c.server.overBudget(c.stream.Info().RemoteAddr)
			c.stream.Abort()
		}
		c.noteEnd(err)
		if err == nil && n < whole {
			err = closedError("write after Shutdown")
		}
	}
	c.writing.unlock()
	if c.leaving.Load() {
		c.sayGoingAway() // it did not while we were writing
	}
	return n, err
}

// goAway closes the tunnel with StatusGoingAway: now, or when the frame that is being written has ended. It does not block.
func (c *bridgeConn) goAway() {
	c.leaving.Store(true)
	c.sayGoingAway()
}

// sayGoingAway leaves it to whoever is writing, if somebody is, and to the handler, if it has sent a Close frame.
func (c *bridgeConn) sayGoingAway() {
	if !c.writing.tryLock() {
		return
	}
	defer c.writing.unlock()
	if c.told || c.sent.closed || !c.sent.here() {
		return
	}
	c.told = true
	payload := frame.AppendClose(nil, frame.CloseCode(StatusGoingAway), goingAway)
	p := frame.AppendHeader(nil, frame.Header{Fin: true, Opcode: frame.Close, Length: int64(len(payload))})
	p = append(p, payload...)
	if !c.stream.(transport.Stream).TrySend(p) {
		go c.stream.Send(p, nil) // until Close below
	}
	// The handler gets the peer's Close frame, and ends.
	time.AfterFunc(closeTimeout, func() { c.Close() })
}
