package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A tally counts what comes on some of the WebSockets. Several keep them from waiting for each other.
type tally struct {
	mu       sync.Mutex
	messages int64
	bytes    int64
	latency  *hdrhistogram.Histogram // since it was taken last
}

func (t *tally) message(size int, latency time.Duration) {
	t.mu.Lock()
	t.messages++
	t.bytes += int64(size)
	if latency > 0 {
		record(t.latency, latency)
	}
	t.mu.Unlock()
}

// take adds what there is to messages, bytes and h, and begins anew.
func (t *tally) take(messages, bytes *int64, h *hdrhistogram.Histogram) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*messages += t.messages
	*bytes += t.bytes
	h.Merge(t.latency)
	t.messages, t.bytes = 0, 0
	t.latency.Reset()
}
