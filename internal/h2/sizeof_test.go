package h2

import (
	"testing"
	"unsafe"
)

func TestStreamIsSmall(t *testing.T) {
	const limit = 200
	size := unsafe.Sizeof(Stream{})
	t.Logf("a Stream is %d bytes, an Event %d, a Conn %d", size, unsafe.Sizeof(Event{}), unsafe.Sizeof(Conn{}))
	if size > limit {
		t.Errorf("a Stream is %d bytes, want at most %d", size, limit)
	}
}
