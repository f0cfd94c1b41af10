package proto

import "github.com/weftws/weft/internal/frame"

// EventKind says what a Receiver found.
type EventKind uint8

const (
	// NeedMore: nothing yet; all bytes were taken.
	NeedMore EventKind = iota
	// Message: a whole message (Whole mode). Opcode, Payload.
	Message
	// Chunk: a part of a message (Whole off): unmasked, inflated, and of a text valid UTF-8 so far, though perhaps cut
	// inside a character. Opcode, Payload, Last. Exactly one Chunk of a message is the Last; that one may be empty.
	Chunk
	// Ping: the peer wants a Pong with the same Payload.
	Ping
	// Pong: the peer's Pong with its Payload.
	Pong
	// Close: the peer's Close frame. Code, 1005 when it had none, and Reason. What follows is discarded.
	Close
	// Failed: the peer broke a rule. Violation, Detail. What follows is discarded.
	Failed
)

// String returns the kind's name.
func (k EventKind) String() string {
	switch k {
	case NeedMore:
		return "need more"
	case Message:
		return "message"
	case Chunk:
		return "chunk"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	case Close:
		return "close"
	default:
		return "failed"
	}
}

// An Event is what Recv found. The kinds say which fields they set; the others are zero.
//
// Payload points into Recv's argument or into a buffer of the Receiver's: it is valid until the next call of Recv or Close
// and no longer than the argument itself, unless Owned is set. It may be changed, not extended. Everything else stays valid.
type Event struct {
	Kind      EventKind
	Opcode    frame.Opcode // Text or Binary of the message
	Last      bool
	Owned     bool // Payload stays valid: it is the caller's. A Message's, with Receiver.Own
	Code      frame.CloseCode
	Payload   []byte
	Reason    string
	Violation *Violation
	Detail    string // "client sent an unmasked frame (1002, RFC 6455, Section 5.1)"
}
