package proto

import (
	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// Config is what one endpoint of a connection is set to.
type Config struct {
	Side    frame.Side      // ours
	Deflate *deflate.Params // as agreed; nil: no compression. Not copied

	// MaxMessageBytes bounds the payload of a received message in bytes, counted after inflating; 0: no limit.
	MaxMessageBytes int64

	// MaxFragments bounds the frames of a received message; 0: DefaultMaxFragments; below 0: no limit.
	MaxFragments int

	// Alloc returns a buffer of length 0 and a capacity of n bytes or more. Free takes back what Alloc returned, and
	// larger buffers of the garbage collector's that replaced such a one. nil: make, and the garbage collector.
	Alloc func(n int) []byte
	Free  func([]byte)
}

const (
	// DefaultMaxFragments is the number of frames that a received message may have unless configured: twice what 4 MiB in
	// fragments of 64 bytes need.
	DefaultMaxFragments = 1 << 17

	// maxEmptyFragments is the number of frames without payload that a received message may have. They cost the peer next to
	// nothing and count against no size; a sender that flushes has reason for a few.
	maxEmptyFragments = 1024
)

// compressedLimit is the number of compressed bytes that a message of limit bytes in some frames can take, generously:
// zlib's bound for any setting of its compressor, and a flush in each frame.
func compressedLimit(limit int64, frames int) int64 {
	const most = 1 << 62
	if limit >= most/2 {
		return most
	}
	return limit + limit>>3 + limit>>6 + 64 + 16*int64(frames)
}

// buffers returns alloc and free, or their defaults.
func (c *Config) buffers() (alloc func(int) []byte, free func([]byte)) {
	alloc, free = c.Alloc, c.Free
	if alloc == nil {
		alloc = func(n int) []byte { return make([]byte, 0, n) }
	}
	if free == nil {
		free = func([]byte) {}
	}
	return alloc, free
}
