package proto

import (
	"fmt"
	"slices"

	"github.com/weftws/weft/internal/frame"
)

// A Violation is a rule that a peer can break. All of them end the connection: Code belongs in our Close frame.
type Violation struct {
	Name    string // "unmasked-frame"
	Code    frame.CloseCode
	Section string // "RFC 6455, Section 5.1"
}

// The rules that a peer can break, in the order of the bytes that show it.
var (
	ReservedBit            = &Violation{"reserved-bit", frame.ProtocolError, "RFC 6455, Section 5.2"}
	CompressedControl      = &Violation{"compressed-control", frame.ProtocolError, "RFC 7692, Section 6"}
	CompressedContinuation = &Violation{"compressed-continuation", frame.ProtocolError, "RFC 7692, Section 6"}
	ReservedOpcode         = &Violation{"reserved-opcode", frame.ProtocolError, "RFC 6455, Section 5.2"}
	FragmentedControl      = &Violation{"fragmented-control", frame.ProtocolError, "RFC 6455, Section 5.5"}
	UnexpectedContinuation = &Violation{"unexpected-continuation", frame.ProtocolError, "RFC 6455, Section 5.4"}
	InterleavedMessage     = &Violation{"interleaved-message", frame.ProtocolError, "RFC 6455, Section 5.4"}
	UnmaskedFrame          = &Violation{"unmasked-frame", frame.ProtocolError, "RFC 6455, Section 5.1"}
	MaskedFrame            = &Violation{"masked-frame", frame.ProtocolError, "RFC 6455, Section 5.1"}
	LongControl            = &Violation{"long-control", frame.ProtocolError, "RFC 6455, Section 5.5"}
	NonMinimalLength       = &Violation{"non-minimal-length", frame.ProtocolError, "RFC 6455, Section 5.2"}
	LengthTopBit           = &Violation{"length-top-bit", frame.ProtocolError, "RFC 6455, Section 5.2"}
	MessageTooBig          = &Violation{"message-too-big", frame.MessageTooBig, "RFC 6455, Section 10.4"}
	TooManyFragments       = &Violation{"too-many-fragments", frame.PolicyViolation, "RFC 6455, Section 10.4"}
	TooManyEmptyFragments  = &Violation{"too-many-empty-fragments", frame.PolicyViolation, "RFC 6455, Section 10.4"}

	InvalidUTF8 = &Violation{"invalid-utf8", frame.InvalidPayload, "RFC 6455, Section 8.1"}
	// Choice: RFC 7692 names no code for a payload that does not inflate. Like text that is no UTF-8 it is "data within a
	// message that was not consistent with the type of the message" (RFC 6455, Section 7.4.1).
	CorruptDeflate = &Violation{"corrupt-deflate", frame.InvalidPayload, "RFC 7692, Section 7.2.2"}

	ShortClose         = &Violation{"short-close", frame.ProtocolError, "RFC 6455, Section 5.5.1"}
	InvalidCloseCode   = &Violation{"invalid-close-code", frame.ProtocolError, "RFC 6455, Section 7.4"}
	InvalidCloseReason = &Violation{"invalid-close-reason", frame.InvalidPayload, "RFC 6455, Section 5.5.1"}
)

// Violations returns all rules that a peer can break.
func Violations() []*Violation { return slices.Clone(violations) }

var violations = []*Violation{
	ReservedBit, CompressedControl, CompressedContinuation, ReservedOpcode, FragmentedControl, UnexpectedContinuation,
	InterleavedMessage, UnmaskedFrame, MaskedFrame, LongControl, NonMinimalLength, LengthTopBit, MessageTooBig,
	TooManyFragments, TooManyEmptyFragments, InvalidUTF8, CorruptDeflate, ShortClose, InvalidCloseCode, InvalidCloseReason,
}

// fail ends the receiving: "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame)
// from the remote endpoint after being instructed to _Fail the WebSocket Connection_." RFC 6455, Section 7.1.7. The detail
// says what the peer did; its subject is put before it.
func (r *Receiver) fail(v *Violation, detail string, args ...any) *Event {
	r.end()
	return &Event{
		Kind:      Failed,
		Violation: v,
		Detail:    fmt.Sprintf("%v %s (%d, %s)", r.side.Peer(), fmt.Sprintf(detail, args...), int(v.Code), v.Section),
	}
}
