package weft_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// A resetError is the end of a rawConn without END_STREAM or FIN.
type resetError struct{ what string }

func (e *resetError) Error() string { return e.what }

// A rawFrame is a WebSocket frame as the test wants it on the wire, right or wrong. This codec shares nothing with
// internal/frame.
type rawFrame struct {
	fin     bool
	rsv     byte // RSV1 is 4, RSV2 is 2, RSV3 is 1
	opcode  byte
	payload string

	unlike    bool   // masked by a server, not masked by a client
	form      int    // bits of the length field, 7, 16 or 64; 0: the smallest that does
	announced uint64 // in the length field, if not 0, instead of the payload's length
}

func text(s string) rawFrame { return rawFrame{fin: true, opcode: 1, payload: s} }
func bin(s string) rawFrame  { return rawFrame{fin: true, opcode: 2, payload: s} }
func cont(s string) rawFrame { return rawFrame{fin: true, opcode: 0, payload: s} }
func ping(s string) rawFrame { return rawFrame{fin: true, opcode: 9, payload: s} }
func pong(s string) rawFrame { return rawFrame{fin: true, opcode: 10, payload: s} }

// shut is a Close frame; code 0 stands for no body.
func shut(code uint16, reason string) rawFrame {
	f := rawFrame{fin: true, opcode: 8}
	if code != 0 {
		f.payload = string(binary.BigEndian.AppendUint16(nil, code)) + reason
	}
	return f
}

func (f rawFrame) more() rawFrame               { f.fin = false; return f }
func (f rawFrame) bits(rsv byte) rawFrame       { f.rsv = rsv; return f }
func (f rawFrame) unlikeSide() rawFrame         { f.unlike = true; return f }
func (f rawFrame) in(bits int) rawFrame         { f.form = bits; return f }
func (f rawFrame) announcing(n uint64) rawFrame { f.announced = n; return f }

func (f rawFrame) String() string {
	s := fmt.Sprintf("opcode=%d fin=%t rsv=%03b len=%d", f.opcode, f.fin, f.rsv, len(f.payload))
	if len(f.payload) < 200 {
		s += fmt.Sprintf(" %q", f.payload)
	}
	return s
}

// append appends the frame as the client or the server sends it.
func (f rawFrame) append(b []byte, client bool) []byte {
	first := f.rsv<<4 | f.opcode
	if f.fin {
		first |= 0x80
	}
	length := uint64(len(f.payload))
	if f.announced != 0 {
		length = f.announced
	}
	form := f.form
	switch {
	case form != 0:
	case length < 126:
		form = 7
	case length < 1<<16:
		form = 16
	default:
		form = 64
	}
	mask := byte(0)
	if client != f.unlike {
		mask = 0x80
	}
	switch form {
	case 7:
		b = append(b, first, mask|byte(length))
	case 16:
		b = binary.BigEndian.AppendUint16(append(b, first, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, mask|127), length)
	}
	if mask == 0 {
		return append(b, f.payload...)
	}
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	for i := range len(f.payload) {
		b = append(b, f.payload[i]^key[i%4])
	}
	return b
}
