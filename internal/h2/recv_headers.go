package h2

import (
	"strings"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// blockFactor: a field block may be so many times MaxHeaderListSize on the wire before the connection is ended. Up to
// there only the stream is lost, and the compression state stays in step.
const blockFactor = 4

// A fieldBlock is the field block that is arriving: HEADERS and its CONTINUATION frames. There is at most one.
type fieldBlock struct {
	open     bool // END_HEADERS has not come
	streamID uint32
	stream   *Stream // nil: a request that opens its stream, or nobody's
	kind     blockKind
	plain    bool      // the fields are those of a WS_OPEN
	end      bool      // END_STREAM
	sin      *breach   // of the stream, found before the fields were read; punished at the end
	deadline time.Time // for END_HEADERS

	encoded       int // bytes on the wire
	continuations int
	section       fieldSection
}

type blockKind uint8

const (
	blockRequest blockKind = iota + 1
	blockResponse
	blockTrailers
	blockDiscard // decoded for the compression state alone
)

func (c *Conn) recvHeaders(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID == 0 {
		return connBreach(streamZero, "sent HEADERS on stream 0")
	}
	hp, err := wire.ParseHeaders(h.Flags, p)
	if err != nil {
		return payloadBreach(h, err)
	}
	b := &c.block
	*b = fieldBlock{
		open:     true,
		streamID: h.StreamID,
		end:      h.Flags.Has(wire.FlagEndStream),
		deadline: c.now.Add(c.cfg.HeadersTimeout),
		section:  fieldSection{crumbs: b.section.crumbs[:0]},
	}
	if br := c.classifyBlock(b); br != nil {
		return br
	}
	if hp.HasPriority && hp.Priority.DependsOn == h.StreamID && b.sin == nil {
		b.sin = c.streamBreach(h.StreamID, selfDependency, "made a stream depend on itself")
	}
	b.section.begin(c, b.kind)
	return c.recvFragment(hp.Fragment, h.Flags.Has(wire.FlagEndHeaders))
}

func (c *Conn) recvContinuation(h wire.FrameHeader, p []byte) *breach {
	b := &c.block
	b.continuations++
	if b.continuations > c.cfg.MaxContinuations {
		return connBreach(tooManyContinuations, "sent more than %d CONTINUATION frames in the field block of stream %d",
			c.cfg.MaxContinuations, h.StreamID)
	}
	return c.recvFragment(p, h.Flags.Has(wire.FlagEndHeaders))
}

// classifyBlock finds out whose block begins. The breach that it returns is the connection's.
func (c *Conn) classifyBlock(b *fieldBlock) *breach {
	id := b.streamID
	s := c.lookup(id)
	if s != nil {
		b.stream = s
		c.classifyOnOpen(b, s)
		return nil
	}
	b.kind = blockDiscard
	switch {
	case c.isIgnored(id):
		return nil
	case c.isIdle(id):
		// "Streams initiated by a client MUST use odd-numbered stream identifiers; those initiated by the server MUST use
		// even-numbered stream identifiers." RFC 9113, Section 5.1.1. A server can open none: nothing is pushed.
		if c.cfg.Side == Client || id%2 == 0 {
			return connBreach(streamIDInvalid, "sent HEADERS on idle stream %d", id)
		}
		b.kind = blockRequest
		c.maxPeerID = id
		return nil
	}
	switch c.closedIDs.how(id) {
	case closedByUs:
		return nil
	case closedByPeer:
		b.sin = c.streamBreach(id, frameOnClosed, "sent HEADERS on a stream that it has reset")
		return nil
	case closedByEnd:
		return connBreach(headersOnClosed, "sent HEADERS on closed stream %d", id)
	}
	if c.cfg.Side == Client {
		b.sin = c.streamBreach(id, frameOnClosed, "sent HEADERS on a closed stream")
		return nil
	}
	// "The identifier of a newly established stream MUST be numerically greater than all streams that the initiating
	// endpoint has opened or reserved. [...] An endpoint that receives an unexpected stream identifier MUST respond with a
	// connection error (Section 5.4.1) of type PROTOCOL_ERROR." RFC 9113, Section 5.1.1.
	return connBreach(streamIDInvalid, "sent HEADERS on stream %d after stream %d", id, c.maxPeerID)
}

// classifyOnOpen is classifyBlock for a stream that is not closed.
func (c *Conn) classifyOnOpen(b *fieldBlock, s *Stream) {
	switch {
	case s.recvEnd:
		// "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or RST_STREAM, for a stream that
		// is in this state, it MUST respond with a stream error (Section 5.4.2) of type STREAM_CLOSED." RFC 9113, Section
		// 5.1.
		b.kind = blockDiscard
		b.sin = c.streamBreach(s.ID, frameOnClosed, "sent HEADERS after END_STREAM")
	case s.tunnel:
		// "Frame types other than DATA or stream management frames (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be
		// sent on a connected stream and MUST be treated as a stream error (Section 5.4.2) if received." RFC 9113, Section
		// 8.5.
		b.kind = blockDiscard
		b.sin = c.streamBreach(s.ID, headersOnTunnel, "sent HEADERS on a connected stream")
	case c.cfg.Side == Client && !s.recvHeaders:
		b.kind = blockResponse
	default:
		b.kind = blockTrailers
		if !b.end {
			// "An endpoint that receives a HEADERS frame without the END_STREAM flag set after receiving the HEADERS frame
			// that opens a request or after receiving a final (non-informational) status code MUST treat the corresponding
			// request or response as malformed". RFC 9113, Section 8.1.
			b.sin = c.streamBreach(s.ID, trailersWithoutEnd, "sent trailers without END_STREAM")
		}
	}
}

// recvFragment decodes a part of the field block. What is incomplete at its end waits in the decoder.
func (c *Conn) recvFragment(p []byte, last bool) *breach {
	b := &c.block
	b.encoded += len(p)
	if limit := blockFactor * int64(c.cfg.MaxHeaderListSize); int64(b.encoded) > limit {
		return connBreach(headerBlockTooLarge, "sent a field block of more than %d bytes", limit)
	}
	// "A receiver MUST terminate the connection with a connection error (Section 5.4.1) of type COMPRESSION_ERROR if it
	// does not decompress a field block." RFC 9113, Section 4.3.
	if _, err := c.dec.Write(p); err != nil {
		return connBreach(compression, "sent a field block that cannot be decoded: %s", hpackText(err))
	}
	if !last {
		return nil
	}
	if err := c.dec.Close(); err != nil {
		return connBreach(compression, "sent a field block that cannot be decoded: %s", hpackText(err))
	}
	b.open = false
	return c.endBlock(b)
}

func hpackText(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "decoding error: "), "hpack: ")
}

// endBlock does what a whole field block asks for.
func (c *Conn) endBlock(b *fieldBlock) *breach {
	sec := &b.section
	if b.sin != nil {
		return b.sin
	}
	if b.kind == blockDiscard {
		return nil
	}
	sec.finish(c, b)
	if sec.sin != nil {
		return c.streamBreach(b.streamID, sec.sin, "%s", sec.detail)
	}
	switch b.kind {
	case blockRequest:
		return c.recvRequest(b)
	case blockResponse:
		return c.recvResponse(b)
	}
	return c.recvTrailers(b)
}

func (c *Conn) recvRequest(b *fieldBlock) *breach {
	sec := &b.section
	if uint64(len(c.streams)) >= uint64(c.cfg.MaxConcurrentStreams) {
		// "An endpoint that receives a HEADERS frame that causes its advertised concurrent stream limit to be exceeded MUST
		// treat this as a stream error (Section 5.4.2) of type PROTOCOL_ERROR or REFUSED_STREAM." RFC 9113, Section 5.1.2.
		return c.streamBreach(b.streamID, streamLimit, "opened more than %d streams", c.cfg.MaxConcurrentStreams)
	}
	if b.end && sec.ContentLength > 0 {
		return c.streamBreach(b.streamID, contentLengthMismatch, "ended the content %d bytes before its content-length",
			sec.ContentLength)
	}
	if uint64(c.slotsUsed) >= uint64(c.cfg.MaxConcurrentStreams) {
		return c.refuse(b.streamID)
	}
	s := c.newStream(b.streamID)
	c.slotsUsed++
	s.recvHeaders = true
	s.head = sec.Pseudo.Method == "HEAD"
	s.connect = sec.Pseudo.Method == "CONNECT"
	if !s.connect {
		s.contentLeft = sec.ContentLength
	}
	c.addHeadersEvent(EventHeaders, s, b)
	return nil
}

// refuse turns a request away because handlers of closed streams are still at work: Rapid Reset must not pile them up. It
// is no sin of the peer, which cannot know, and no event.
func (c *Conn) refuse(id uint32) *breach {
	c.closedIDs.add(id, closedByUs)
	c.out = wire.AppendRSTStream(c.out, id, wire.RefusedStream)
	if br := c.chargeControl("HEADERS without a slot", 1); br != nil {
		return br
	}
	return c.countReply()
}

func (c *Conn) recvResponse(b *fieldBlock) *breach {
	s, sec := b.stream, &b.section
	status := sec.Pseudo.Status
	switch {
	case status == 101:
		// "HTTP/2 does not support the 101 (Switching Protocols) informational status code". RFC 9113, Section 8.6.
		return c.streamBreach(s.ID, switchingProtocols, "answered with status 101")
	case status < 200 && b.end:
		// "A HEADERS frame with the END_STREAM flag set that carries an informational status code is malformed". RFC 9113,
		// Section 8.1.
		return c.streamBreach(s.ID, interimWithEnd, "ended the stream with status %d", status)
	case status < 200:
		c.addHeadersEvent(EventHeaders, s, b)
		return nil
	}
	s.recvHeaders = true
	switch {
	case s.connect && status < 300:
		s.tunnel = true // content-length means nothing here: RFC 9110, Section 9.3.6
	case s.head || status == 204 || status == 304:
		// "A response that is defined to have no content, as described in Section 6.4.1 of [HTTP], MAY have a non-zero
		// content-length header field, even though no content is included in DATA frames." RFC 9113, Section 8.1.1.
		s.contentLeft = 0
	default:
		s.contentLeft = sec.ContentLength
		if b.end && sec.ContentLength > 0 {
			return c.streamBreach(s.ID, contentLengthMismatch, "ended the content %d bytes before its content-length",
				sec.ContentLength)
		}
	}
	c.addHeadersEvent(EventHeaders, s, b)
	return nil
}

func (c *Conn) recvTrailers(b *fieldBlock) *breach {
	s := b.stream
	if s.contentLeft > 0 {
		return c.streamBreach(s.ID, contentLengthMismatch, "ended the content %d bytes before its content-length", s.contentLeft)
	}
	c.addHeadersEvent(EventTrailers, s, b)
	return nil
}

func (c *Conn) addHeadersEvent(kind EventKind, s *Stream, b *fieldBlock) {
	sec := &b.section
	ev := c.addEvent(kind, s)
	ev.Pseudo, ev.End = sec.Pseudo, b.end
	ev.Fields = c.fields[sec.start:len(c.fields):len(c.fields)]
	if b.end {
		c.endRecv(s)
	}
}
