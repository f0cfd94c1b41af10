package proto

import (
	"errors"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// recvData takes payload of a data frame: all there is in p, which may be nothing if the frame has none.
func (r *Receiver) recvData(p []byte) (ev Event, n int) {
	if r.gathers(p) {
		return r.recvGathering(p)
	}
	piece, ascii := r.take(p)
	last := r.fin && int64(len(piece)) == r.remaining
	if r.message == frame.Text && !r.compressed {
		whole := len(piece)
		var failed *Event
		if piece, failed = r.checkText(piece, ascii, last); failed != nil {
			return *failed, 0
		}
		last = last && len(piece) == whole
	}
	r.size += int64(len(piece))
	r.advance(len(piece))
	switch {
	case r.compressed:
		ev = r.recvCompressed(piece, last)
	case r.chunking():
		if len(piece) > 0 || last {
			ev = Event{Kind: Chunk, Opcode: r.message, Payload: piece, Last: last}
			r.chunked = true
		}
	default:
		ev = Event{Kind: Message, Opcode: r.message, Payload: piece}
	}
	if last && r.phase != over {
		r.message = 0
	}
	return ev, len(piece)
}

// gathers reports whether p is for an uncompressed message that is delivered whole and does not lie in p as a whole, or is to be owned.
func (r *Receiver) gathers(p []byte) bool {
	return !r.compressed && !r.chunking() && (r.Own || r.gathered != nil || !r.fin || int64(len(p)) < r.remaining)
}

// recvGathering is recvData where gathers says so. It unmasks while it copies; p does not change.
func (r *Receiver) recvGathering(p []byte) (ev Event, n int) {
	n = int(min(int64(len(p)), r.remaining))
	last := r.fin && int64(n) == r.remaining
	pos := int(r.pos)
	r.advance(n)
	piece, ascii := r.gatherMessage(n), false
	if r.side == frame.Server {
		ascii = frame.MaskTo(piece, p[:n], r.key, pos)
	} else {
		copy(piece, p)
	}
	if r.message == frame.Text {
		if _, failed := r.checkText(piece, ascii, last); failed != nil {
			return *failed, 0
		}
	}
	r.size += int64(n)
	if last {
		ev = Event{Kind: Message, Opcode: r.message, Payload: r.gathered, Owned: r.owned}
		r.lendGathered()
		r.message = 0
	}
	return ev, n
}

// chunking reports whether the message is delivered in chunks.
func (r *Receiver) chunking() bool { return !r.Whole || r.chunked }

// recvGathered delivers what was gathered of a message before Whole was switched off.
func (r *Receiver) recvGathered() Event {
	ev := Event{Kind: Chunk, Opcode: r.message, Payload: r.gathered}
	r.lendGathered()
	r.chunked = true
	return ev
}

// lendGathered makes what was gathered the event's payload.
func (r *Receiver) lendGathered() {
	if !r.owned {
		r.lent = r.gathered
	}
	r.gathered, r.owned = nil, false
}

// checkText checks a piece of an uncompressed text message. While chunks are delivered, what stands before the byte that
// breaks the rule is delivered first: it returns that part, and the rest is as it was in p and will be judged by the next
// call. So the events do not depend on how the bytes came.
//
// "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid UTF-8
// stream, that endpoint MUST _Fail the WebSocket Connection_." RFC 6455, Section 8.1.
func (r *Receiver) checkText(piece []byte, ascii, last bool) ([]byte, *Event) {
	if ascii && r.utf8.Complete() {
		return piece, nil
	}
	before := r.utf8
	bad := r.utf8.Check(piece)
	cutOff := bad < 0 && last && !r.utf8.Complete()
	if cutOff {
		bad = len(piece) - 1
	}
	switch {
	case bad < 0 && !cutOff:
		return piece, nil
	case bad > 0 && r.chunking():
		r.utf8 = before
		r.utf8.Check(piece[:bad])
		if r.side == frame.Server {
			frame.Mask(piece[bad:], r.key, int(r.pos)+bad)
		}
		return piece[:bad:bad], nil
	case cutOff:
		return nil, r.fail(InvalidUTF8, "ended a text message of %d bytes inside a character", r.size+int64(len(piece)))
	default:
		return nil, r.fail(InvalidUTF8, "sent text that is no UTF-8: 0x%02x at byte %d of the message", piece[bad], r.size+int64(bad))
	}
}

// recvCompressed takes payload of a compressed message, and inflates it at the end.
//
// "At the receiver, the payload data portion after decompression is subject to the constraints for the original data type
// again." RFC 7692, Section 6.
func (r *Receiver) recvCompressed(piece []byte, last bool) (ev Event) {
	payload := piece
	if !last || r.gathered != nil {
		r.gather(&r.gathered, piece, r.fin)
		if payload = r.gathered; !last {
			return Event{}
		}
	}
	if failed := r.inflate(payload); failed != nil {
		return *failed
	}
	r.dropGathered()
	if r.message == frame.Text {
		var u frame.UTF8
		switch bad := u.Check(r.lent); {
		case bad >= 0:
			return *r.fail(InvalidUTF8, "sent text that is no UTF-8: 0x%02x at byte %d of the message", r.lent[bad], bad)
		case !u.Complete():
			return *r.fail(InvalidUTF8, "ended a text message of %d bytes inside a character", len(r.lent))
		}
	}
	if r.Whole {
		return Event{Kind: Message, Opcode: r.message, Payload: r.lent}
	}
	return Event{Kind: Chunk, Opcode: r.message, Payload: r.lent, Last: true}
}

// inflate inflates a message into r.lent.
func (r *Receiver) inflate(payload []byte) *Event {
	if r.inflater == nil {
		bits, noTakeover := r.params.ClientMaxWindowBits, r.params.ClientNoContextTakeover
		if r.side == frame.Client {
			bits, noTakeover = r.params.ServerMaxWindowBits, r.params.ServerNoContextTakeover
		}
		r.inflater = deflate.NewDecompressor(bits, !noTakeover)
	}
	limit := max(r.MaxMessageBytes, 0)
	guess := int64(max(minBuffer, 4*len(payload)))
	if limit > 0 {
		guess = min(guess, limit)
	}
	r.lent = r.alloc(int(guess))
	out, err := r.inflater.AppendMessage(r.lent, payload, limit)
	if cap(out) != cap(r.lent) {
		r.free(r.lent)
	}
	r.lent = out
	switch {
	case err == nil:
		return nil
	case errors.Is(err, deflate.ErrTooBig):
		return r.fail(MessageTooBig, "sent a message that inflates to more than the limit of %d bytes", limit)
	default:
		return r.fail(CorruptDeflate, "sent a message of %d compressed bytes that is no valid DEFLATE data", len(payload))
	}
}

// gatherMessage makes n bytes more part of what is gathered of a message that is delivered whole, and returns them to be filled.
func (r *Receiver) gatherMessage(n int) []byte {
	at := len(r.gathered)
	if size := r.believed(at + n); r.Own && r.fin && !r.owned && size > 0 {
		b := unzeroed(size)[:at]
		copy(b, r.gathered)
		r.dropGathered()
		r.gathered, r.owned = b, true
	}
	r.reserve(&r.gathered, n, r.fin)
	r.gathered = r.gathered[:at+n]
	return r.gathered[at:]
}

// gather appends piece to a buffer. fin says that nothing follows the frame.
func (r *Receiver) gather(buf *[]byte, piece []byte, fin bool) {
	r.reserve(buf, len(piece), fin)
	*buf = append(*buf, piece...)
}

// reserve makes room for n bytes more in a buffer that grows with what has come, not with what a header announced: an announcement
// costs the peer nothing.
func (r *Receiver) reserve(buf *[]byte, n int, fin bool) {
	b := *buf
	need := len(b) + n
	if n == 0 || need <= cap(b) {
		return
	}
	want := 2 * need
	if size := r.believed(need); size > 0 && (fin || size <= announcedBuffer) {
		want = size
	}
	bigger := append(r.alloc(want), b...)
	r.giveBack(buf)
	*buf = bigger
}

// believed returns the size that the frame's header announces, with what was gathered before, if need bytes of that are
// enough to make room for all of it; else 0.
func (r *Receiver) believed(need int) int {
	if rest := int64(need) + r.remaining; rest <= announcedBuffer || rest <= believedTimes*int64(need) {
		return int(rest)
	}
	return 0
}

const (
	// minBuffer is the smallest buffer that is inflated into, in bytes.
	minBuffer = 512

	// announcedBuffer is the size of a frame up to which its announcement alone is enough for a buffer.
	announcedBuffer = 4096

	// believedTimes: a larger announcement is believed when one part in so many of it has come.
	believedTimes = 8
)
