package frame

import "unicode/utf8"

// A UTF8 checks that text which comes in pieces is valid UTF-8 (RFC 3629). It fails at the first byte that no valid text
// could have in its place: overlong forms, surrogates and what lies above U+10FFFF fail at their second byte at the
// latest. The zero value is at the beginning of a text.
type UTF8 struct {
	// Invariant: need is the number of bytes the character begun still lacks; the next of them lies in lo to hi.
	need, lo, hi byte
}

// Check takes the next piece of the text and returns the index of its first impossible byte, or -1. After a failure only
// Reset makes u usable again.
func (u *UTF8) Check(p []byte) (bad int) {
	if u.need == 0 && len(p) > 0 && p[len(p)-1] < 0x80 && utf8.Valid(p) {
		return -1 // most texts begin and end with a whole character
	}
	i := 0
	for ; u.need > 0 && i < len(p); i++ {
		if !u.step(p[i]) {
			return i
		}
	}
	// The library checks the whole characters, some bytes at a time; only the last one, if it is cut off, goes through step.
	cut := len(p) - cutOff(p[i:])
	if utf8.Valid(p[i:cut]) {
		i = cut
	}
	for ; i < len(p); i++ {
		if !u.step(p[i]) {
			return i
		}
	}
	return -1
}

// Complete reports whether the text so far ends with a whole character.
func (u *UTF8) Complete() bool { return u.need == 0 }

// Reset begins a new text.
func (u *UTF8) Reset() { *u = UTF8{} }

// step takes one byte. The ranges are those of RFC 3629, Section 4.
func (u *UTF8) step(c byte) bool {
	if u.need > 0 {
		if c < u.lo || c > u.hi {
			return false
		}
		u.need--
		u.lo, u.hi = 0x80, 0xbf
		return true
	}
	u.lo, u.hi = 0x80, 0xbf
	switch {
	case c < 0x80:
		return true
	case c < 0xc2: // a continuation byte, or an overlong form of ASCII
		return false
	case c < 0xe0:
		u.need = 1
	case c < 0xf0:
		u.need = 2
		switch c {
		case 0xe0:
			u.lo = 0xa0 // below: overlong
		case 0xed:
			u.hi = 0x9f // above: a surrogate
		}
	case c < 0xf5:
		u.need = 3
		switch c {
		case 0xf0:
			u.lo = 0x90 // below: overlong
		case 0xf4:
			u.hi = 0x8f // above: beyond U+10FFFF
		}
	default:
		return false
	}
	return true
}

// cutOff returns how many bytes at the end of p belong to a character that p does not finish.
func cutOff(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		switch c := p[len(p)-n]; {
		case c < 0x80:
			return 0
		case c < 0xc0:
			continue
		case c >= 0xf0 || c >= 0xe0 && n < 3 || n < 2:
			return n
		default:
			return 0
		}
	}
	return 0
}
