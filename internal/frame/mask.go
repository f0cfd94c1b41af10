package frame

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Mask masks or unmasks p in place. pos is how many bytes of the frame's payload came before p; any pos and any length
// of p will do. It reports whether p is all ASCII afterwards, which costs nothing here and saves most text the UTF-8
// check.
//
// "Octet i of the transformed data is the XOR of octet i of the original data with octet at index i modulo 4 of the
// masking key." RFC 6455, Section 5.3.
func Mask(p []byte, key [4]byte, pos int) (ascii bool) {
	k32 := bits.RotateLeft32(binary.LittleEndian.Uint32(key[:]), -8*(pos&3))
	k := uint64(k32)<<32 | uint64(k32)
	var or uint64
	if len(p) < 8 {
		for i := range p {
			p[i] ^= byte(k)
			or |= uint64(p[i])
			k >>= 8
		}
		return or&nonASCII == 0
	}
	// The last 8 bytes overlap the whole words before them: masked first, written last, they leave no odd bytes.
	last := p[len(p)-8:]
	end := binary.LittleEndian.Uint64(last) ^ bits.RotateLeft64(k, -8*(len(p)&3))
	if len(p) >= 16 {
		n, more := maskBlocks(&p[0], p, k)
		if n == len(p) {
			return more&nonASCII == 0
		}
		p, or = p[n:], more
	}
	for ; len(p) >= 8; p = p[8:] {
		or |= xor64(p[:8], k)
	}
	binary.LittleEndian.PutUint64(last, end)
	return (or|end)&nonASCII == 0
}

// MaskTo is Mask with the result in dst, which is as long as p and does not overlap it. p does not change.
func MaskTo(dst, p []byte, key [4]byte, pos int) (ascii bool) {
	n, or := 0, uint64(0)
	if len(p) >= 16 {
		k32 := bits.RotateLeft32(binary.LittleEndian.Uint32(key[:]), -8*(pos&3))
		n, or = maskBlocks(&dst[:len(p)][0], p, uint64(k32)<<32|uint64(k32))
	}
	rest := dst[n:len(p)]
	copy(rest, p[n:])
	ascii = Mask(rest, key, pos) // n is a multiple of 4
	return ascii && or&nonASCII == 0
}

// AppendMasked appends p, masked as the payload of a frame from its first byte on, to dst. p does not change.
func AppendMasked(dst, p []byte, key [4]byte) []byte {
	n := len(dst)
	dst = append(dst, p...)
	Mask(dst[n:], key, 0)
	return dst
}

// maskWords masks whole words at the beginning of p into dst, which may be where p is, returns how many bytes these have, and what they
// are now, ORed word by word. The word of the key is k.
func maskWords(dst *byte, p []byte, k uint64) (n int, or uint64) {
	to := unsafe.Slice(dst, len(p))
	for ; len(p)-n >= 64; n += 64 {
		b := (*[64]byte)(to[n:])
		copy(b[:], p[n:])
		or |= xor64(b[0:8], k) | xor64(b[8:16], k) | xor64(b[16:24], k) | xor64(b[24:32], k) |
			xor64(b[32:40], k) | xor64(b[40:48], k) | xor64(b[48:56], k) | xor64(b[56:64], k)
	}
	return n, or
}

func xor64(b []byte, k uint64) uint64 {
	v := binary.LittleEndian.Uint64(b) ^ k
	binary.LittleEndian.PutUint64(b, v)
	return v
}

const nonASCII = 0x8080808080808080
