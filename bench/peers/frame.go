package peers

import (
	"bufio"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
)

const opClose = 8

// readFrame reads a masked frame (RFC 6455, Section 5.2) and unmasks it; its payload lies in buf if that is large enough.
func readFrame(br *bufio.Reader, buf []byte) (op byte, p []byte, err error) {
	h, err := br.Peek(6)
	if err != nil {
		return 0, nil, err
	}
	op = h[0]
	size := int(h[1] & 127)
	n := 2
	switch size {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if h, err = br.Peek(n + 4); err != nil {
		return 0, nil, err
	}
	switch n {
	case 4:
		size = int(binary.BigEndian.Uint16(h[2:]))
	case 10:
		size = int(binary.BigEndian.Uint64(h[2:]))
	}
	if h[1]&0x80 == 0 || uint(size) > maxMessageBytes {
		return 0, nil, errors.New("bad frame")
	}
	var key [keyBytes]byte
	for i := 0; i < len(key); i += 4 {
		copy(key[i:], h[n:n+4])
	}
	br.Discard(n + 4)
	p = resize(buf, size)
	if _, err := io.ReadFull(br, p); err != nil {
		return 0, nil, err
	}
	for q := p; len(q) > 0; q = q[min(len(q), len(key)):] {
		subtle.XORBytes(q, q, key[:])
	}
	return op, p, nil
}

// keyBytes is how far a masking key is repeated, so that XORBytes works on whole vectors.
const keyBytes = 128

func appendFrame(b []byte, op byte, p []byte) []byte {
	b = append(b, op)
	switch n := len(p); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, p...)
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
