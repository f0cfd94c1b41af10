package proto

import (
	"strings"
	"unsafe"
)

// unzeroed returns n > 0 bytes of the garbage collector's that hold anything. The caller writes all of them before anybody sees them.
//
// Choice: to zero a large message first costs as much as to copy it, and a Builder's Grow is the one way to do without.
func unzeroed(n int) []byte {
	if n < zeroedSize {
		return make([]byte, n)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// zeroedSize is from how many bytes on it pays.
const zeroedSize = 4 << 10
