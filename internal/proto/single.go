package proto

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/weftws/weft/internal/frame"
)

// Single is the short way for what nearly all frames of small messages are: at the beginning of p, between messages, a whole
// uncompressed text or binary message of at most 65535 bytes in one frame. It needs no Receiver; with one, it is a part of
// Recv. It returns n == 0 for anything else, also for anything wrong, and p is as it was. side is ours, limit MaxMessageBytes.
// payload lies in p, unmasked; with own it is a copy, and p is as it was.
func Single(side frame.Side, limit int64, p []byte, own bool) (op frame.Opcode, payload []byte, n int) {
	op, at, n := single(side, limit, p)
	if n == 0 {
		return 0, nil, 0
	}
	lies := p[at:n:n]
	payload = lies
	if own {
		payload = unzeroed(len(lies))
	}
	ascii := false
	var key [4]byte
	switch {
	case side == frame.Server && own:
		ascii = frame.MaskTo(payload, lies, [4]byte(p[at-4:]), 0)
	case side == frame.Server:
		key = [4]byte(p[at-4:])
		ascii = frame.Mask(payload, key, 0)
	case own:
		copy(payload, lies)
	}
	if op == frame.Text && !ascii && !utf8.Valid(payload) {
		if !own {
			frame.Mask(lies, key, 0)
		}
		return 0, nil, 0
	}
	return op, payload, n
}

// single is Single as far as the header goes: the payload is p[at:n].
func single(side frame.Side, limit int64, p []byte) (op frame.Opcode, at, n int) {
	const fin, mask = 0x80, 0x80
	if len(p) < 2 || p[0] != fin|byte(frame.Text) && p[0] != fin|byte(frame.Binary) {
		return 0, 0, 0
	}
	length, at := int(p[1]), 2
	if side == frame.Server {
		length ^= mask // what is left of it now is a violation
	}
	if length >= 126 {
		if length != 126 || len(p) < 4 {
			return 0, 0, 0
		}
		if length, at = int(binary.BigEndian.Uint16(p[2:])), 4; length < 126 {
			return 0, 0, 0
		}
	}
	if side == frame.Server {
		at += 4
	}
	if n = at + length; n > len(p) || limit > 0 && int64(length) > limit {
		return 0, 0, 0
	}
	return frame.Opcode(p[0] &^ fin), at, n
}
