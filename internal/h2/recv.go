package h2

import (
	"errors"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// Recv takes whole frames (and the preface) from b and returns how many bytes it took; the driver keeps the rest and
// gives it again with more behind it. Data of events points into b. After EventConnFailed it takes everything and
// does nothing. Where More says so, it wants to be called again with the rest as soon as the events were fetched.
func (c *Conn) Recv(now time.Time, b []byte) (n int) {
	c.now = now
	c.more = false
	c.resetEvents()
	if len(b) > 0 {
		c.heardAt = now
	}
	if !c.prefaceDone && !c.failed {
		n = c.recvPreface(b)
		if !c.prefaceDone {
			return n
		}
	}
	for !c.failed {
		if c.cfg.MaxEvents > 0 && len(c.events) >= c.cfg.MaxEvents {
			c.more = true
			return n
		}
		h, ok := wire.ParseFrameHeader(b[n:])
		if !ok {
			return n
		}
		if br := c.checkHeader(h); br != nil {
			c.punish(br)
			continue
		}
		end := n + wire.HeaderLen + int(h.Length)
		if end > len(b) {
			return n
		}
		if br := c.recvFrame(h, b[n+wire.HeaderLen:end]); br != nil {
			c.punish(br)
		}
		n = end
	}
	return len(b)
}

// More reports whether the latest Recv stopped at MaxEvents.
func (c *Conn) More() bool { return c.more }

// recvPreface returns how many bytes it took: none until the whole preface is there.
//
// "Clients and servers MUST treat an invalid connection preface as a connection error (Section 5.4.1) of type
// PROTOCOL_ERROR." RFC 9113, Section 3.4.
func (c *Conn) recvPreface(b []byte) int {
	have := min(len(b), len(wire.ClientPreface))
	if string(b[:have]) != wire.ClientPreface[:have] {
		c.punish(connBreach(prefaceInvalid, "sent something else than the HTTP/2 preface"))
		return len(b)
	}
	if have < len(wire.ClientPreface) {
		return 0
	}
	c.prefaceDone = true
	return have
}

// checkHeader says what is wrong with a frame by its header alone, before its payload is there.
func (c *Conn) checkHeader(h wire.FrameHeader) *breach {
	switch {
	case h.Length > c.recvMax:
		// "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size defined in
		// SETTINGS_MAX_FRAME_SIZE". RFC 9113, Section 4.2. Choice: always the connection; skipping the payload of a
		// frame that nobody may send is not worth the code.
		return connBreach(frameTooLarge, "sent a %v frame of %d bytes, %d are allowed", h.Type, h.Length, c.recvMax)
	case !c.peer.Received && (h.Type != wire.Settings || h.Flags.Has(wire.FlagAck)):
		// "This sequence MUST be followed by a SETTINGS frame (Section 6.5), which MAY be empty." RFC 9113, Section 3.4.
		return connBreach(settingsNotFirst, "sent %v before SETTINGS", h.Type)
	case c.block.open && (h.Type != wire.Continuation || h.StreamID != c.block.streamID):
		// "Each field block is processed as a discrete unit. Field blocks MUST be transmitted as a contiguous sequence of
		// frames, with no interleaved frames of any other type or from any other stream." RFC 9113, Section 4.3.
		return connBreach(blockInterrupted, "sent %v inside the field block of stream %d", h.Type, c.block.streamID)
	case !c.block.open && h.Type == wire.Continuation:
		return connBreach(continuationUnexpected, "sent CONTINUATION without an open field block")
	}
	return nil
}

func (c *Conn) recvFrame(h wire.FrameHeader, p []byte) *breach {
	switch h.Type {
	case wire.Data:
		return c.recvData(h, p)
	case wire.Headers:
		return c.recvHeaders(h, p)
	case wire.Priority:
		return c.recvPriority(h, p)
	case wire.RSTStream:
		return c.recvRSTStream(h, p)
	case wire.Settings:
		return c.recvSettings(h, p)
	case wire.PushPromise:
		// "A client that has both set this parameter to 0 and had it acknowledged MUST treat the receipt of a PUSH_PROMISE
		// frame as a connection error (Section 5.4.1) of type PROTOCOL_ERROR." RFC 9113, Section 6.5.2. "A client cannot
		// push. Thus, servers MUST treat the receipt of a PUSH_PROMISE frame as a connection error". RFC 9113, Section 8.4.
		// Choice: a client of ours does not wait for the ack; its SETTINGS came first on the connection.
		return connBreach(pushPromiseForbidden, "sent PUSH_PROMISE")
	case wire.Ping:
		return c.recvPing(h, p)
	case wire.GoAway:
		return c.recvGoAway(h, p)
	case wire.WindowUpdate:
		return c.recvWindowUpdate(h, p)
	case wire.Continuation:
		return c.recvContinuation(h, p)
	}
	return c.recvExtension(h, p)
}

// recvPriority checks a PRIORITY frame and forgets it: the scheme is deprecated (RFC 9113, Section 5.3.2).
func (c *Conn) recvPriority(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID == 0 {
		return connBreach(streamZero, "sent PRIORITY on stream 0")
	}
	pp, err := wire.ParsePriority(p)
	if err != nil {
		return c.streamBreach(h.StreamID, prioritySize, "sent a PRIORITY frame of %d bytes", h.Length)
	}
	if pp.DependsOn == h.StreamID && !c.isForgotten(h.StreamID) {
		return c.streamBreach(h.StreamID, selfDependency, "made a stream depend on itself")
	}
	return c.chargeControl("PRIORITY", 1)
}

// isForgotten reports whether the stream is closed, so that nothing about it matters any more.
func (c *Conn) isForgotten(id uint32) bool { return c.lookup(id) == nil && !c.isIdle(id) }

func (c *Conn) recvRSTStream(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID == 0 {
		return connBreach(streamZero, "sent RST_STREAM on stream 0")
	}
	code, err := wire.ParseRSTStream(p)
	if err != nil {
		return connBreach(frameSize, "sent a RST_STREAM frame of %d bytes", h.Length)
	}
	s := c.lookup(h.StreamID)
	if s == nil {
		if c.isIdle(h.StreamID) && !c.isIgnored(h.StreamID) {
			return connBreach(frameOnIdle, "sent RST_STREAM on idle stream %d", h.StreamID)
		}
		return c.chargeControl("RST_STREAM", 1)
	}
	c.closeStream(s, closedByPeer)
	ev := c.addEvent(EventReset, s)
	ev.Code, ev.Initiator = code, Peer
	ev.Unprocessed = c.cfg.Side == Client && code == wire.RefusedStream
	ev.Detail = detailText("reset the stream", code, s.ID)
	return c.chargeReset()
}

// payloadBreach says what a payload parser's error means for the connection.
func payloadBreach(h wire.FrameHeader, err error) *breach {
	if errors.Is(err, wire.ErrPadding) {
		return connBreach(paddingTooLong, "sent %v with padding that exceeds its payload of %d bytes", h.Type, h.Length)
	}
	return connBreach(frameSize, "sent a %v frame of %d bytes", h.Type, h.Length)
}
