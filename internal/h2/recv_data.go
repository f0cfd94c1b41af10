package h2

import "github.com/weftws/weft/internal/h2/wire"

func (c *Conn) recvData(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID == 0 {
		return connBreach(streamZero, "sent DATA on stream 0")
	}
	// "The entire DATA frame payload is included in flow control, including the Pad Length and Padding fields if
	// present." RFC 9113, Section 6.1.
	counted := len(p)
	if br := c.takeWindow(counted); br != nil {
		return br
	}
	data, err := wire.ParseData(h.Flags, p)
	if err != nil {
		return payloadBreach(h, err)
	}
	s := c.lookup(h.StreamID)
	if s == nil || s.recvEnd || c.isIgnored(h.StreamID) {
		return c.recvLostData(s, h, counted)
	}
	if br := c.checkData(s, counted, len(data)); br != nil {
		c.creditConn(counted)
		return br
	}
	s.recvWindow -= int32(counted)
	end := h.Flags.Has(wire.FlagEndStream)
	if end && s.contentLeft > int64(len(data)) {
		c.creditConn(counted)
		return c.streamBreach(s.ID, contentLengthMismatch, "ended the content %d bytes before its content-length",
			s.contentLeft-int64(len(data)))
	}
	if s.contentLeft >= 0 {
		s.contentLeft -= int64(len(data))
	}
	consumed := counted - len(data) // padding
	if s.autoConsume {
		consumed = counted
	} else {
		s.unconsumed += int32(len(data))
		c.buffered += int64(len(data))
	}
	if consumed > 0 && !end {
		c.creditStream(s, consumed)
	}
	c.creditConn(counted)
	if len(data) == 0 && !end {
		return c.chargeControl("empty DATA", 1)
	}
	ev := c.addEvent(EventData, s)
	ev.Data, ev.Size, ev.End = data, len(data), end
	if end {
		c.endRecv(s)
	}
	return nil
}

// checkData says why an open stream cannot take a DATA frame: counted bytes with padding, n without.
func (c *Conn) checkData(s *Stream, counted, n int) *breach {
	switch {
	case c.cfg.Side == Client && !s.recvHeaders:
		return c.streamBreach(s.ID, dataBeforeHeaders, "sent DATA before its response's HEADERS")
	case counted > 0 && counted > int(s.recvWindow):
		return c.streamBreach(s.ID, streamWindowExceeded, "exceeded stream window by %d bytes",
			counted-max(0, int(s.recvWindow)))
	case s.contentLeft >= 0 && int64(n) > s.contentLeft:
		// "A request or response is also malformed if the value of a content-length header field does not equal the sum
		// of the DATA frame payload lengths that form the content". RFC 9113, Section 8.1.1.
		return c.streamBreach(s.ID, contentLengthMismatch, "sent %d bytes more than its content-length", int64(n)-s.contentLeft)
	}
	return nil
}

// recvLostData handles DATA that no stream is open for. s is nil, or half-closed by the peer.
func (c *Conn) recvLostData(s *Stream, h wire.FrameHeader, counted int) *breach {
	id := h.StreamID
	if s == nil && c.isIdle(id) && !c.isIgnored(id) {
		return connBreach(frameOnIdle, "sent DATA on idle stream %d", id)
	}
	// "A receiver that receives a flow-controlled frame MUST always account for its contribution against the connection
	// flow-control window, unless the receiver treats this as a connection error". RFC 9113, Section 6.9.
	c.creditConn(counted)
	if br := c.chargeLostData(counted); br != nil {
		return br
	}
	// "The peer might have sent or enqueued for sending these frames before processing the RST_STREAM frame. An endpoint
	// MUST minimally process and then discard any frames it receives in this state." RFC 9113, Section 5.1.
	if c.isIgnored(id) || s == nil && c.closedIDs.how(id) == closedByUs {
		return nil
	}
	// "If a DATA frame is received whose stream is not in the "open" or "half-closed (local)" state, the recipient MUST
	// respond with a stream error (Section 5.4.2) of type STREAM_CLOSED." RFC 9113, Section 6.1.
	return c.streamBreach(id, frameOnClosed, "sent DATA on a closed stream")
}

// chargeLostData: what was under way when a stream was reset is bounded by its window; beyond that, small frames are as
// cheap for the peer as empty ones.
func (c *Conn) chargeLostData(counted int) *breach {
	if counted >= bytesPerUpdate {
		return nil
	}
	return c.chargeControl("DATA on a closed stream", 1)
}
