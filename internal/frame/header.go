package frame

import (
	"encoding/binary"
	"math"
)

// A Header is everything of a frame but its payload. RFC 6455, Section 5.2.
type Header struct {
	Fin              bool
	RSV1, RSV2, RSV3 bool
	Masked           bool
	Opcode           Opcode
	Key              [4]byte // the masking key; zero if not Masked
	Length           int64   // of the payload, in bytes
}

const (
	// MaxHeaderLen is the length of the longest header: 2 bytes, a 64-bit length, a masking key.
	MaxHeaderLen = 2 + 8 + 4

	// MaxControlPayload is the most that a control frame can carry, in bytes. RFC 6455, Section 5.5.
	MaxControlPayload = 125
)

// A Fault is what is wrong with a header in itself, whoever sent it and whatever came before.
type Fault uint8

const (
	NoFault Fault = iota
	// ReservedOpcode: the opcode has no meaning.
	ReservedOpcode
	// FragmentedControl: a control frame without FIN.
	FragmentedControl
	// LongControl: a control frame whose length is in more than the 7 bits that hold the 125 bytes it may have.
	LongControl
	// NonMinimal16: a length of less than 126 in 16 bits. Header.Length holds it.
	NonMinimal16
	// NonMinimal64: a length of less than 65536 in 64 bits.
	NonMinimal64
	// LengthTopBit: a 64-bit length with the most significant bit set.
	LengthTopBit
)

// ParseHeader parses the header at the beginning of p and returns the number of bytes it takes. It returns n == 0 while
// p holds only a part of it, and a fault with n == 0 as soon as the bytes show one: faults in earlier bytes first, so that
// the answer is the same however p grew.
//
// With n == 0, h holds the fields that p determines; Length is -1 where it is not known yet.
func ParseHeader(p []byte) (h Header, n int, fault Fault) {
	h.Length = -1
	if len(p) == 0 {
		return h, 0, NoFault
	}
	b := p[0]
	h.Fin, h.RSV1, h.RSV2, h.RSV3 = b&finBit != 0, b&rsv1Bit != 0, b&rsv2Bit != 0, b&rsv3Bit != 0
	h.Opcode = Opcode(b & opcodeMask)
	// "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
	// RFC 6455, Section 5.2.
	if h.Opcode.IsReserved() {
		return h, 0, ReservedOpcode
	}
	// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
	// RFC 6455, Section 5.5.
	if h.Opcode.IsControl() && !h.Fin {
		return h, 0, FragmentedControl
	}
	if len(p) == 1 {
		return h, 0, NoFault
	}
	h.Masked = p[1]&maskBit != 0
	short := p[1] &^ maskBit
	if h.Opcode.IsControl() && short > MaxControlPayload {
		return h, 0, LongControl
	}
	if h.Length, n, fault = parseLength(short, p[2:]); fault != NoFault || h.Length < 0 {
		return h, 0, fault
	}
	n += 2
	if h.Masked {
		if len(p) < n+len(h.Key) {
			return h, 0, NoFault
		}
		n += copy(h.Key[:], p[n:])
	}
	return h, n, NoFault
}

// parseLength reads the extended payload length, if short announces one, from the bytes after the first two. It returns
// -1 when p is too short, and how many bytes of p the length takes.
func parseLength(short byte, p []byte) (length int64, n int, fault Fault) {
	switch short {
	default:
		return int64(short), 0, NoFault
	case length16:
		if len(p) < 2 {
			return -1, 0, NoFault
		}
		length = int64(binary.BigEndian.Uint16(p))
		// "Note that in all cases, the minimal number of bytes MUST be used to encode the length." RFC 6455, Section 5.2.
		if length < length16 {
			return length, 0, NonMinimal16
		}
		return length, 2, NoFault
	case length64:
		// "If 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0) are
		// the payload length." RFC 6455, Section 5.2.
		if len(p) > 0 && p[0]&0x80 != 0 {
			return -1, 0, LengthTopBit
		}
		if len(p) >= 6 && p[0]|p[1]|p[2]|p[3]|p[4]|p[5] == 0 {
			return -1, 0, NonMinimal64
		}
		if len(p) < 8 {
			return -1, 0, NoFault
		}
		return int64(binary.BigEndian.Uint64(p)), 8, NoFault
	}
}

// AppendHeader appends h to dst with the length in as few bytes as possible. A Length below zero panics.
func AppendHeader(dst []byte, h Header) []byte {
	b0, b1 := byte(h.Opcode)&opcodeMask, byte(0)
	if h.Fin {
		b0 |= finBit
	}
	if h.RSV1 {
		b0 |= rsv1Bit
	}
	if h.RSV2 {
		b0 |= rsv2Bit
	}
	if h.RSV3 {
		b0 |= rsv3Bit
	}
	if h.Masked {
		b1 = maskBit
	}
	switch {
	case h.Length < 0:
		panic("frame: negative payload length")
	case h.Length < length16:
		dst = append(dst, b0, b1|byte(h.Length))
	case h.Length <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, b0, b1|length16), uint16(h.Length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, b0, b1|length64), uint64(h.Length))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

const (
	finBit     = 0x80
	rsv1Bit    = 0x40
	rsv2Bit    = 0x20
	rsv3Bit    = 0x10
	opcodeMask = 0x0f
	maskBit    = 0x80

	length16 = 126 // a 16-bit length follows
	length64 = 127 // a 64-bit length follows
)
