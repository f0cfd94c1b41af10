package h2net

import (
	"testing"
	"unsafe"
)

func TestStreamIsSmall(t *testing.T) {
	// Size classes of the allocator. A handler that goes on beside its WebSocket keeps the exchange.
	const limit, exchangeLimit = 208, 256
	size := unsafe.Sizeof(stream{})
	t.Logf("a stream is %d bytes, an exchange %d, a conn %d", size, unsafe.Sizeof(exchange{}), unsafe.Sizeof(conn{}))
	if size > limit {
		t.Errorf("a stream with the engine's is %d bytes, want at most %d", size, limit)
	}
	if size := unsafe.Sizeof(exchange{}); size > exchangeLimit {
		t.Errorf("an exchange is %d bytes, want at most %d", size, exchangeLimit)
	}
}
