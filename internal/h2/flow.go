package h2

import (
	"cmp"
	"slices"

	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/invariant"
)

// Consume says that n bytes of s's DATA are done with, and gives credit back.
func (c *Conn) Consume(s *Stream, n int) {
	n = min(n, int(s.unconsumed))
	if n <= 0 || c.failed {
		return
	}
	s.unconsumed -= int32(n)
	c.buffered -= int64(n)
	invariant.Check(c.buffered >= 0, "%d bytes are buffered", c.buffered)
	c.creditStream(s, n)
	c.creditConn(0)
}

// AutoConsume: from now on s's DATA counts as consumed when it arrives. What arrived before is still due for Consume.
func (c *Conn) AutoConsume(s *Stream, on bool) { s.autoConsume = on }

// takeWindow counts n bytes of DATA against the connection's receive window.
//
// "The sender MUST NOT send a flow-controlled frame with a length that exceeds the space available in either of the
// flow-control windows advertised by the receiver." RFC 9113, Section 6.9.1.
func (c *Conn) takeWindow(n int) *breach {
	if over := int64(n) - c.recvWindow; over > 0 {
		return connBreach(connWindowExceeded, "exceeded connection window by %d bytes", over)
	}
	c.recvWindow -= int64(n)
	return nil
}

// creditStream gives n bytes of a stream's window back, in WINDOW_UPDATE frames of half a window or more.
func (c *Conn) creditStream(s *Stream, n int) {
	if s.recvEnd || s.closed {
		return
	}
	s.owed += int32(n)
	if int64(s.owed)*2 < int64(c.recvInitial) {
		return
	}
	c.out = wire.AppendWindowUpdate(c.out, s.ID, uint32(s.owed))
	s.recvWindow += s.owed
	s.owed = 0
}

// creditConn gives n bytes of the connection's window back, likewise, unless too much is waiting to be consumed.
func (c *Conn) creditConn(n int) {
	c.owed += int64(n)
	if c.owed*2 < int64(c.cfg.ConnWindowSize) || c.buffered >= c.cfg.MaxBufferedBytes {
		return
	}
	c.out = wire.AppendWindowUpdate(c.out, 0, uint32(c.owed))
	c.recvWindow += c.owed
	c.owed = 0
}

// forgiveUnconsumed counts everything on s as consumed.
func (c *Conn) forgiveUnconsumed(s *Stream) {
	c.buffered -= int64(s.unconsumed)
	s.unconsumed = 0
	if !c.failed {
		c.creditConn(0)
	}
}

func (c *Conn) recvWindowUpdate(h wire.FrameHeader, p []byte) *breach {
	n, err := wire.ParseWindowUpdate(p)
	if err != nil {
		return payloadBreach(h, err)
	}
	if br := c.chargeUpdate(); br != nil {
		return br
	}
	if h.StreamID == 0 {
		return c.growConnWindow(n)
	}
	s := c.lookup(h.StreamID)
	if s == nil {
		if c.isIdle(h.StreamID) && !c.isIgnored(h.StreamID) {
			return connBreach(frameOnIdle, "sent WINDOW_UPDATE on idle stream %d", h.StreamID)
		}
		// "WINDOW_UPDATE can be sent by a peer that has sent a frame with the END_STREAM flag set. This means that a
		// receiver could receive a WINDOW_UPDATE frame on a stream in a "half-closed (remote)" or "closed" state. A
		// receiver MUST NOT treat this as an error". RFC 9113, Section 6.9.
		return nil
	}
	return c.growStreamWindow(s, n)
}

// "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a stream error
// (Section 5.4.2) of type PROTOCOL_ERROR; errors on the connection flow-control window MUST be treated as a connection
// error". RFC 9113, Section 6.9.
func (c *Conn) growConnWindow(n uint32) *breach {
	if n == 0 {
		return connBreach(connIncrementZero, "sent WINDOW_UPDATE with an increment of 0")
	}
	if over := c.sendWindow + int64(n) - wire.MaxWindow; over > 0 {
		return connBreach(connWindowOverflow, "raised connection window %d bytes above 2^31-1", over)
	}
	c.sendWindow += int64(n)
	return nil
}

func (c *Conn) growStreamWindow(s *Stream, n uint32) *breach {
	if n == 0 {
		return c.streamBreach(s.ID, streamIncrementZero, "sent WINDOW_UPDATE with an increment of 0")
	}
	if over := int64(s.sendWindow) + int64(n) - wire.MaxWindow; over > 0 {
		return c.streamBreach(s.ID, streamWindowOverflow, "raised stream window %d bytes above 2^31-1", over)
	}
	s.sendWindow += int32(n)
	c.ready.pushIf(s)
	return nil
}

// setInitialWindow applies the peer's SETTINGS_INITIAL_WINDOW_SIZE.
//
// "When the value of SETTINGS_INITIAL_WINDOW_SIZE changes, a receiver MUST adjust the size of all stream flow-control
// windows that it maintains by the difference between the new value and the old value. [...] An endpoint MUST treat a
// change to SETTINGS_INITIAL_WINDOW_SIZE that causes any flow-control window to exceed the maximum size as a connection
// error (Section 5.4.1) of type FLOW_CONTROL_ERROR." RFC 9113, Section 6.9.2.
func (c *Conn) setInitialWindow(v uint32) *breach {
	delta := int64(v) - int64(c.peer.InitialWindowSize)
	c.peer.InitialWindowSize = v
	if delta == 0 {
		return nil
	}
	var freed []*Stream
	for _, s := range c.streams {
		w := int64(s.sendWindow) + delta
		if w > wire.MaxWindow {
			return connBreach(windowOverflow, "raised a stream window above 2^31-1 by INITIAL_WINDOW_SIZE = %d", v)
		}
		s.sendWindow = int32(w)
		if w <= 0 {
			c.ready.remove(s)
		} else if s.pending != nil && !s.inReady {
			freed = append(freed, s)
		}
	}
	// In order of identifiers, so that the output does not hang on the order of a map.
	slices.SortFunc(freed, func(a, b *Stream) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range freed {
		c.ready.pushIf(s)
	}
	return nil
}
