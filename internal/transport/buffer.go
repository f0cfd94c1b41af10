package transport

import (
	"math/bits"
	"sync"
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
	if v := buffers[c-minBufferBits].Get(); v != nil {
		b := v.(*[]byte)
		s := (*b)[:0]
		*b = nil
		boxes.Put(b)
		return s
	}
	return make([]byte, 0, 1<<c)
}

// PutBuffer gives b back. The caller keeps no reference to it.
func PutBuffer(b []byte) {
	c := bits.Len(uint(cap(b))) - 1
	if c < minBufferBits || c > maxBufferBits {
		return
	}
	p, _ := boxes.Get().(*[]byte)
	if p == nil {
		p = new([]byte)
	}
	*p = b[:0]
	buffers[c-minBufferBits].Put(p)
}

// A pool for each power of two. The slice headers travel in boxes that are reused too, so that neither call allocates.
var (
	buffers [maxBufferBits - minBufferBits + 1]sync.Pool
	boxes   sync.Pool
)

const (
	minBufferBits = 9  // 512 bytes
	maxBufferBits = 20 // 1 MiB
)
