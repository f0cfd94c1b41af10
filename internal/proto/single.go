package proto

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/weftws/weft/internal/frame"
)

// Single is the short way for what nearly all frames of small messages are: at the beginning of p, between messages, a whole
// uncompressed text or binary message of at most 65535 bytes in one frame. It needs no Receiver; with one, it is a part of
// Recv. It returns n == 0 for anything else, also for anything wrong, and p is as it was. side is ours, limit MaxMessageBytes.
func Single(side frame.Side, limit int64, p []byte) (op frame.Opcode, payload []byte, n int) {
	const fin, mask = 0x80, 0x80
	if len(p) < 2 || p[0] != fin|byte(frame.Text) && p[0] != fin|byte(frame.Binary) {
		return 0, nil, 0
	}
	length, at := int(p[1]), 2
	if side == frame.Server {
		length ^= mask // what is left of it now is a violation
	}
	if length >= 126 {
		if length != 126 || len(p) < 4 {
			return 0, nil, 0
		}
		if length, at = int(binary.BigEndian.Uint16(p[2:])), 4; length < 126 {
			return 0, nil, 0
		}
	}
	if side == frame.Server {
		at += 4
	}
	if end := at + length; end > len(p) || limit > 0 && int64(length) > limit {
		return 0, nil, 0
	}
	op = frame.Opcode(p[0] &^ fin)
	payload = p[at : at+length : at+length]
	ascii := false
	var key [4]byte
	if side == frame.Server {
		key = [4]byte(p[at-4:])
		ascii = frame.Mask(payload, key, 0)
	}
	if op == frame.Text && !ascii && !utf8.Valid(payload) {
		frame.Mask(payload, key, 0)
		return 0, nil, 0
	}
	return op, payload, at + length
}
