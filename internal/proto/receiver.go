package proto

import (
	"math"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// A Receiver turns the peer's bytes into events. The zero value is not usable.
//
//	             header complete             payload complete
//	inHeader ───────────────────▶ inData ───────────────────▶ inHeader
//	         ───────────────────▶ inControl ────────────────▶ inHeader
//	                                        Close, violation: over
//
// Chunk law: however the bytes are cut into calls of Recv, the events are the same; those of kind Chunk are once the
// pieces between two other events are joined.
//
// Between messages, with nothing half received, a Receiver holds no buffer, except that the last event's payload is given
// back only when the next Recv begins. With context takeover the inflater keeps its window.
type Receiver struct {
	// Whole says that messages are delivered whole. It may be changed between any two calls of Recv. Switched off inside a
	// message, what was gathered comes as the first Chunk; switched on after a message's first Chunk, it counts from the next
	// message on.
	//
	// Choice: with Whole off a compressed message is still gathered, inflated at its end and delivered as one Chunk.
	Whole bool

	// Own says that a message which has to be gathered is gathered, where its length is known, in a buffer of the garbage
	// collector's that is the caller's afterwards: see Event.Owned. It may be changed between any two calls of Recv.
	Own bool

	// MaxMessageBytes is Config.MaxMessageBytes. It may be changed between any two calls of Recv and is applied to the
	// frames that begin after that; 0 or less: no limit.
	MaxMessageBytes int64

	side         frame.Side
	maxFragments int
	alloc        func(int) []byte
	free         func([]byte)
	params       *deflate.Params
	inflater     *deflate.Decompressor // made for the first compressed message

	// The frame.
	phase   phase
	headLen uint8                    // of head
	head    [frame.MaxHeaderLen]byte // the beginning of a header that is cut off
	key     [4]byte
	pos     uint8        // payload bytes of the frame that were taken, modulo 4
	fin     bool         // of a data frame
	control frame.Opcode // of a control frame
	// Invariant: remaining is the number of payload bytes of the frame that were not taken yet; 0 while inHeader.
	remaining int64

	// The message.
	message    frame.Opcode // Text or Binary; 0: none has begun
	compressed bool
	chunked    bool // a Chunk was delivered
	utf8       frame.UTF8
	fragments  int   // frames so far
	empty      int   // of them, those without payload
	size       int64 // payload bytes so far, as they came

	// Invariant: each of these is nil or came from alloc, or grew out of what did, and is given to free once; but gathered is
	// the garbage collector's where owned is set.
	gathered        []byte // of the message
	owned           bool
	gatheredControl []byte // of the control frame
	lent            []byte // the last event's payload
}

type phase uint8

const (
	inHeader phase = iota
	inData
	inControl
	over // after Close or Failed: nothing is looked at any more
)

// NewReceiver returns a Receiver in chunk mode (Whole off).
func NewReceiver(cfg Config) *Receiver {
	r := new(Receiver)
	r.Reset(cfg)
	return r
}

// Reset makes r, which must hold nothing, what NewReceiver returns.
func (r *Receiver) Reset(cfg Config) {
	*r = Receiver{
		MaxMessageBytes: cfg.MaxMessageBytes,
		side:            cfg.Side,
		params:          cfg.Deflate,
		maxFragments:    cfg.MaxFragments,
	}
	r.alloc, r.free = cfg.buffers()
	switch {
	case r.maxFragments == 0:
		r.maxFragments = DefaultMaxFragments
	case r.maxFragments < 0:
		r.maxFragments = math.MaxInt
	}
}

// Spare frees the last event's payload, and reports whether r knows nothing more of its connection, but what its inflater does: then
// Reset may give it to another one meanwhile, and a Receiver just made can go on in its place with that inflater.
func (r *Receiver) Spare() bool {
	r.giveBack(&r.lent)
	return r.Idle() && r.phase != over
}

// Inflater returns what inflates the peer's messages; nil: none was compressed.
func (r *Receiver) Inflater() *deflate.Decompressor { return r.inflater }

// SetInflater makes a Receiver just made or Reset go on with another one's inflater.
func (r *Receiver) SetInflater(d *deflate.Decompressor) { r.inflater = d }

// Recv takes bytes of p until there is an event, and returns it and how many bytes it took. NeedMore: all were taken. An
// event may take no bytes; call it again with the rest of p, even an empty one, until it says NeedMore.
//
// It changes p (unmasking in place), and events point into it: see [Event]. A message or control frame that lies in p
// whole is delivered where it lies, without copy or allocation. After Close and Failed everything is taken and discarded.
func (r *Receiver) Recv(p []byte) (ev Event, n int) {
	if r.lent != nil {
		r.giveBack(&r.lent)
	}
	if uint8(r.phase)|r.headLen|uint8(r.message) == 0 {
		if op, payload, n := Single(r.side, r.MaxMessageBytes, p, r.Own && r.Whole); n > 0 {
			if r.Whole {
				return Event{Kind: Message, Opcode: op, Payload: payload, Owned: r.Own}, n
			}
			return Event{Kind: Chunk, Opcode: op, Payload: payload, Last: true}, n
		}
	}
	return r.recv(p)
}

// Idle reports that nothing is half received: no frame header, no control frame, no message.
func (r *Receiver) Idle() bool {
	return r.message == 0 && r.headLen == 0 && (r.phase == inHeader || r.phase == over)
}

// Release gives back the buffer of the last event's payload, which is not valid any more. The next Recv would do it too.
func (r *Receiver) Release() {
	if r.lent != nil {
		r.giveBack(&r.lent)
	}
}

// Held is how large the buffers are that are held: of the message under way, and of the last event's payload.
func (r *Receiver) Held() int { return cap(r.gathered) + cap(r.lent) }

// Close frees what is held, the last event's payload included. Recv takes and discards everything from then on.
func (r *Receiver) Close() {
	r.end()
	r.giveBack(&r.lent)
}

// recv is Recv for every case.
func (r *Receiver) recv(p []byte) (ev Event, n int) {
	// Whole was switched off inside the message.
	if r.gathered != nil && !r.Whole && !r.compressed {
		return r.recvGathered(), 0
	}
	for {
		var took int
		switch r.phase {
		case inHeader:
			if n == len(p) {
				return Event{}, n
			}
			ev, took = r.recvHeader(p[n:])
		case inData:
			if n == len(p) && r.remaining > 0 {
				return Event{}, n
			}
			ev, took = r.recvData(p[n:])
		case inControl:
			if n == len(p) && r.remaining > 0 {
				return Event{}, n
			}
			ev, took = r.recvControl(p[n:])
		case over:
			// "After receiving a control frame indicating the connection should be closed, a peer discards any further data
			// received." RFC 6455, Section 1.4.
			return Event{}, len(p)
		}
		if n += took; ev.Kind != NeedMore {
			return ev, n
		}
	}
}

// take cuts the frame's next payload bytes off p and unmasks them. It reports whether they are known to be ASCII.
func (r *Receiver) take(p []byte) (piece []byte, ascii bool) {
	n := len(p)
	if int64(n) > r.remaining {
		n = int(r.remaining)
	}
	piece = p[:n:n]
	if r.side == frame.Server {
		ascii = frame.Mask(piece, r.key, int(r.pos))
	}
	return piece, ascii
}

// advance accounts for n payload bytes of the frame as taken.
func (r *Receiver) advance(n int) {
	r.remaining -= int64(n)
	r.pos = uint8(int(r.pos)+n) & 3
	if r.remaining == 0 {
		r.phase = inHeader
	}
}

// end stops the receiving and frees everything but the last event's payload.
func (r *Receiver) end() {
	r.phase, r.message, r.headLen, r.remaining = over, 0, 0, 0
	r.dropGathered()
	r.giveBack(&r.gatheredControl)
	if r.inflater != nil {
		r.inflater.Close()
		r.inflater = nil
	}
}

// dropGathered gives what was gathered of the message back.
func (r *Receiver) dropGathered() {
	if r.owned {
		r.gathered, r.owned = nil, false
	}
	r.giveBack(&r.gathered)
}

func (r *Receiver) giveBack(b *[]byte) {
	if *b != nil {
		r.free((*b)[:0])
		*b = nil
	}
}
