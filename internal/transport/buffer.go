package transport

import (
	"math/bits"
	"sync"
	"unsafe"
)

// GetBuffer returns a buffer of length 0 and capacity n or more from a pool shared by all connections.
func GetBuffer(n int) []byte {
	c := max(bits.Len(uint(n-1)), minBufferBits)
	if n <= 0 {
		c = minBufferBits
	}
	if c > maxBufferBits {
		return make([]byte, 0, n)
	}
	if p, _ := buffers[c-minBufferBits].Get().(unsafe.Pointer); p != nil {
		return taken(unsafe.Slice((*byte)(p), 1<<c)[:0])
	}
	return taken(make([]byte, 0, 1<<c))
}

// PutBuffer gives b back. The caller keeps no reference to it.
func PutBuffer(b []byte) {
	c := bits.Len(uint(cap(b))) - 1
	if c < minBufferBits || c > maxBufferBits {
		return
	}
	given(b)
	buffers[c-minBufferBits].Put(unsafe.Pointer(unsafe.SliceData(b)))
}

// A pool for each power of two. It holds pointers to the first byte, which fit into an interface, so that neither call allocates.
var buffers [maxBufferBits - minBufferBits + 1]sync.Pool

const (
	minBufferBits = 9  // 512 bytes
	maxBufferBits = 20 // 1 MiB
)
