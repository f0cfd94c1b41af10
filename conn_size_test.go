package weft

import (
	"testing"
	"unsafe"
)

// An open WebSocket is a Conn and its stream: every word here is paid a million times.
func TestConnIsSmall(t *testing.T) {
	const limit = 288 // a size class of the allocator
	size := unsafe.Sizeof(Conn{})
	t.Logf("a Conn is %d bytes, a gate %d, an inflow %d", size, unsafe.Sizeof(gate{}), unsafe.Sizeof(inflow{}))
	if size > limit {
		t.Errorf("a Conn is %d bytes, want at most %d", size, limit)
	}
}

// What lies between the WebSockets while they are opened costs memory, too, when it is gone.
func TestCrossingIsSmall(t *testing.T) {
	const limit = 192 // a size class of the allocator
	if size := unsafe.Sizeof(crossing{}); size > limit {
		t.Errorf("a crossing is %d bytes, want at most %d", size, limit)
	}
}
