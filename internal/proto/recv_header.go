package proto

import (
	"github.com/weftws/weft/internal/frame"
)

// recvHeader takes bytes of a frame header. As soon as they show a violation, that is the event, whatever is still missing.
func (r *Receiver) recvHeader(p []byte) (ev Event, n int) {
	head := p
	if r.headLen > 0 {
		head = r.head[:int(r.headLen)+copy(r.head[r.headLen:], p)]
	}
	h, took, fault := frame.ParseHeader(head)
	failed := r.checkOpcode(h, fault)
	if failed == nil && len(head) > 1 {
		failed = r.checkLength(h, fault)
	}
	if failed == nil && h.Length >= 0 && !h.Opcode.IsControl() {
		failed = r.checkMessage(h)
	}
	if failed != nil {
		return *failed, 0
	}
	if took == 0 {
		if r.headLen == 0 {
			copy(r.head[:], p)
		}
		r.headLen = uint8(len(head))
		return Event{}, len(p)
	}
	took -= int(r.headLen)
	r.headLen = 0
	r.beginFrame(h)
	return Event{}, took
}

// beginFrame notes what a complete header says.
func (r *Receiver) beginFrame(h frame.Header) {
	r.remaining, r.key, r.pos = h.Length, h.Key, 0
	if h.Opcode.IsControl() {
		r.phase, r.control = inControl, h.Opcode
		return
	}
	r.phase, r.fin = inData, h.Fin
	if h.Opcode != frame.Continuation {
		r.message, r.compressed, r.chunked = h.Opcode, h.RSV1, false
		r.fragments, r.empty, r.size = 0, 0, 0
		r.utf8.Reset()
	}
	r.fragments++
	if h.Length == 0 {
		r.empty++
	}
}

// checkOpcode judges the first byte of a header.
func (r *Receiver) checkOpcode(h frame.Header, fault frame.Fault) *Event {
	// "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value,
	// the receiving endpoint MUST _Fail the WebSocket Connection_." RFC 6455, Section 5.2.
	switch {
	case h.RSV1 && r.params == nil:
		return r.fail(ReservedBit, "set RSV1 on a %v frame, which no agreed extension defines", h.Opcode)
	case h.RSV2:
		return r.fail(ReservedBit, "set RSV2 on a %v frame, which no agreed extension defines", h.Opcode)
	case h.RSV3:
		return r.fail(ReservedBit, "set RSV3 on a %v frame, which no agreed extension defines", h.Opcode)
	}
	// "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data
	// message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_." RFC 7692, Section 6.
	switch {
	case h.RSV1 && h.Opcode.IsControl():
		return r.fail(CompressedControl, "set RSV1 (compressed) on a %v frame", h.Opcode)
	case h.RSV1 && h.Opcode == frame.Continuation:
		return r.fail(CompressedContinuation, "set RSV1 (compressed) on a continuation frame")
	}
	switch fault {
	case frame.ReservedOpcode:
		return r.fail(ReservedOpcode, "sent a frame with the reserved opcode %#x", uint8(h.Opcode))
	case frame.FragmentedControl:
		return r.fail(FragmentedControl, "sent a %v frame without FIN", h.Opcode)
	}
	// "The fragments of one message MUST NOT be interleaved between the fragments of another message." RFC 6455,
	// Section 5.4.
	switch {
	case h.Opcode.IsControl():
	case r.message == 0 && h.Opcode == frame.Continuation:
		return r.fail(UnexpectedContinuation, "sent a continuation frame with no message to continue")
	case r.message != 0 && h.Opcode != frame.Continuation:
		return r.fail(InterleavedMessage, "began a %v message inside a %v message", h.Opcode, r.message)
	}
	return nil
}

// checkLength judges the mask bit and the length.
func (r *Receiver) checkLength(h frame.Header, fault frame.Fault) *Event {
	// "The server MUST close the connection upon receiving a frame that is not masked." "A client MUST close a connection
	// if it detects a masked frame." RFC 6455, Section 5.1.
	switch {
	case r.side == frame.Server && !h.Masked:
		return r.fail(UnmaskedFrame, "sent an unmasked frame")
	case r.side == frame.Client && h.Masked:
		return r.fail(MaskedFrame, "sent a masked frame")
	}
	switch fault {
	case frame.LongControl:
		// Too long, or "the minimal number of bytes" (Section 5.2) was not used: the bytes that tell need not be awaited.
		return r.fail(LongControl, "sent a %v frame with its length in more than 7 bits, which hold the %d bytes that it may have",
			h.Opcode, frame.MaxControlPayload)
	case frame.NonMinimal16:
		return r.fail(NonMinimalLength, "sent a payload length of %d in 16 bits", h.Length)
	case frame.NonMinimal64:
		return r.fail(NonMinimalLength, "sent a payload length below 65536 in 64 bits")
	case frame.LengthTopBit:
		return r.fail(LengthTopBit, "sent a payload length of 2^63 or more")
	}
	return nil
}

// checkMessage judges what a data frame would make of its message, before any of its payload is here.
//
// "Implementations that have implementation- and/or platform-specific limitations regarding the frame size or total
// message size after reassembly from multiple frames MUST protect themselves against exceeding those limits." RFC 6455,
// Section 10.4.
func (r *Receiver) checkMessage(h frame.Header) *Event {
	var size int64
	fragments, empty, compressed := 1, 0, h.RSV1
	if h.Opcode == frame.Continuation {
		size, fragments, empty, compressed = r.size, r.fragments+1, r.empty, r.compressed
	}
	if h.Length == 0 {
		empty++
	}
	if limit := r.MaxMessageBytes; limit > 0 {
		switch {
		case compressed && h.Length > compressedLimit(limit, fragments)-size:
			return r.fail(MessageTooBig, "sent a message of %d compressed bytes or more; the limit is %d bytes inflated",
				uint64(size)+uint64(h.Length), limit)
		case !compressed && h.Length > limit-size:
			return r.fail(MessageTooBig, "sent a message of %d bytes or more, %d over the limit of %d",
				uint64(size)+uint64(h.Length), uint64(size)+uint64(h.Length)-uint64(limit), limit)
		}
	}
	switch {
	case fragments > r.maxFragments:
		return r.fail(TooManyFragments, "sent a message in more than %d frames", r.maxFragments)
	case empty > maxEmptyFragments:
		return r.fail(TooManyEmptyFragments, "sent a message with more than %d empty frames", maxEmptyFragments)
	}
	return nil
}
