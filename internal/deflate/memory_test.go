package deflate

import (
	"runtime"
	"testing"
)

// What a connection holds between messages, both directions together, by the window that was agreed on. With 15 bits it is what it
// has to be: the peer may refer to any of its last 32 KiB.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops items on purpose")
	}
	for _, tt := range []struct {
		name     string
		bits     int
		takeover bool
		messages int
		most     float64
	}{
		{"one message each way", 12, true, 1, 1 << 10},
		{"full windows", 12, true, 70, 6<<10 + 512},
		{"full windows of 32 KiB", 15, true, 300, 32<<10 + 4<<10},
		{"no takeover", 15, false, 70, 256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := heldEach(t, tt.bits, tt.takeover, tt.messages, 125); got > tt.most {
				t.Errorf("%.0f bytes a connection, want at most %.0f", got, tt.most)
			}
		})
	}
}

// An end is what one side of a connection has for both directions.
type end struct {
	c *Compressor
	d *Decompressor
}

func newEnds(n, bits int, takeover bool) []end {
	ends := make([]end, n)
	for i := range ends {
		ends[i] = end{NewCompressor(bits, takeover), NewDecompressor(bits, takeover)}
	}
	return ends
}

// heldEach is the heap in bytes that a connection takes after so many messages each way.
func heldEach(t testing.TB, bits int, takeover bool, messages, size int) float64 {
	const conns = 64
	var payload, out []byte
	exchange := func(e end, n int) {
		for i := range n {
			var err error
			payload = e.c.AppendMessage(payload[:0], jsonText(uint64(i), size))
			if out, err = e.d.AppendMessage(out[:0], payload, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange(newEnds(1, bits, takeover)[0], 10) // what the first connection makes for all
	before := heapInUse()
	ends := newEnds(conns, bits, takeover)
	for _, e := range ends {
		exchange(e, messages)
	}
	held := heapInUse() - before
	runtime.KeepAlive(ends)
	return float64(held) / conns
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // twice: a sync.Pool lets go in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
