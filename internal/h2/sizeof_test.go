package h2

import (
	"testing"
	"unsafe"
)

func TestStreamIsSmall(t *testing.T) {
	const limit = 96 // a size class of the allocator
	size := unsafe.Sizeof(Stream{})
	t.Logf("a Stream is %d bytes, an Event %d, a Conn %d", size, unsafe.Sizeof(Event{}), unsafe.Sizeof(Conn{}))
	if size > limit {
		t.Errorf("a Stream is %d bytes, want at most %d", size, limit)
	}
}
