package h2net

import (
	"testing"
	"unsafe"
)

func TestStreamIsSmall(t *testing.T) {
	const limit = 208 // a size class of the allocator
	size := unsafe.Sizeof(stream{})
	t.Logf("a stream is %d bytes, an exchange %d, a conn %d", size, unsafe.Sizeof(exchange{}), unsafe.Sizeof(conn{}))
	if size > limit {
		t.Errorf("a stream with the engine's is %d bytes, want at most %d", size, limit)
	}
}
