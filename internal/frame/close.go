package frame

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A CloseCode is the reason in a Close frame, or one of the two codes that stand for the lack of one. RFC 6455,
// Section 7.4, and the IANA registry it set up.
type CloseCode uint16

const (
	NormalClosure      CloseCode = 1000
	GoingAway          CloseCode = 1001
	ProtocolError      CloseCode = 1002
	UnsupportedData    CloseCode = 1003
	NoStatus           CloseCode = 1005 // never sent: the Close frame had no code
	AbnormalClosure    CloseCode = 1006 // never sent: there was no Close frame
	InvalidPayload     CloseCode = 1007
	PolicyViolation    CloseCode = 1008
	MessageTooBig      CloseCode = 1009
	MandatoryExtension CloseCode = 1010
	InternalError      CloseCode = 1011
	ServiceRestart     CloseCode = 1012
	TryAgainLater      CloseCode = 1013
	BadGateway         CloseCode = 1014
	TLSHandshake       CloseCode = 1015 // never sent: the TLS handshake failed
)

// Valid reports whether c may stand in a Close frame: 1000 to 1003, 1007 to 1014, 3000 to 4999.
//
// Choice: of 1000 to 2999, which are "reserved for definition by this protocol, its future revisions, and extensions"
// (RFC 6455, Section 7.4.2), those pass that are registered with IANA today, as in other endpoints.
func (c CloseCode) Valid() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014:
		return true
	default:
		return c >= 3000 && c <= 4999
	}
}

// Name returns the registered meaning in lower case, "" if c has none.
func (c CloseCode) Name() string {
	switch c {
	case NormalClosure:
		return "normal closure"
	case GoingAway:
		return "going away"
	case ProtocolError:
		return "protocol error"
	case UnsupportedData:
		return "unsupported data"
	case NoStatus:
		return "no status received"
	case AbnormalClosure:
		return "abnormal closure"
	case InvalidPayload:
		return "invalid payload data"
	case PolicyViolation:
		return "policy violation"
	case MessageTooBig:
		return "message too big"
	case MandatoryExtension:
		return "mandatory extension"
	case InternalError:
		return "internal error"
	case ServiceRestart:
		return "service restart"
	case TryAgainLater:
		return "try again later"
	case BadGateway:
		return "bad gateway"
	case TLSHandshake:
		return "TLS handshake failed"
	}
	return ""
}

// String returns the number and, if c has one, the name: "1002 (protocol error)", "4000".
func (c CloseCode) String() string {
	s := strconv.Itoa(int(c))
	if name := c.Name(); name != "" {
		s += " (" + name + ")"
	}
	return s
}

// MaxCloseReason is the length of the longest reason, in bytes: a control frame's payload without the code.
const MaxCloseReason = MaxControlPayload - 2

// A CloseFault is what is wrong with the payload of a Close frame.
type CloseFault uint8

const (
	NoCloseFault CloseFault = iota
	// CloseTooShort: one byte, which is no code.
	CloseTooShort
	// CloseBadCode: a code that may not stand in a Close frame.
	CloseBadCode
	// CloseBadReason: the reason is not UTF-8.
	CloseBadReason
)

// ParseClose parses the payload of a Close frame. An empty one has code NoStatus. reason points into p. With a fault,
// code is what p holds, 0 if it holds none.
func ParseClose(p []byte) (code CloseCode, reason []byte, fault CloseFault) {
	// "If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is considered to be
	// 1005." RFC 6455, Section 7.1.5.
	if len(p) == 0 {
		return NoStatus, nil, NoCloseFault
	}
	// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order)
	// representing a status code." RFC 6455, Section 5.5.1.
	if len(p) < 2 {
		return 0, nil, CloseTooShort
	}
	code, reason = CloseCode(binary.BigEndian.Uint16(p)), p[2:]
	switch {
	case !code.Valid():
		return code, nil, CloseBadCode
	case !utf8.Valid(reason):
		return code, nil, CloseBadReason
	}
	return code, reason, NoCloseFault
}

// AppendClose appends the payload of a Close frame. The reason is made valid UTF-8 and cut at the end of a character to
// fit MaxCloseReason. A code that may not stand in a Close frame, NoStatus among them, leaves the payload empty: "1005 is
// a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint." RFC 6455, Section 7.4.1.
func AppendClose(dst []byte, code CloseCode, reason string) []byte {
	if !code.Valid() {
		return dst
	}
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if len(reason) > MaxCloseReason {
		end := MaxCloseReason
		for !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), reason...)
}
