package deflate

import "testing"

// In steady state nothing is allocated, with one exception that klauspost's StatelessDeflate forces: it joins history and
// message in a buffer of its own.
func TestSteadyStateAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops items on purpose")
	}
	for _, tt := range []struct {
		name     string
		size     int
		takeover bool
		want     float64 // of compression; inflating wants 0
	}{
		{"125 B", 125, false, 0},
		{"125 B, takeover", 125, true, 1},
		{"4 KiB", 4096, false, 0},
		{"4 KiB, takeover", 4096, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, d := NewCompressor(15, tt.takeover), NewDecompressor(15, tt.takeover)
			msg := jsonText(1, tt.size)
			payload, out := make([]byte, 0, 8192), make([]byte, 0, 8192)
			for range 20 { // fills the windows and the pools
				payload = c.AppendMessage(payload[:0], msg)
				out, _ = d.AppendMessage(out[:0], payload, 0)
			}
			// Repeated, the message refers to itself: what c said last fits d's window every time.
			if got := testing.AllocsPerRun(200, func() { out, _ = d.AppendMessage(out[:0], payload, 0) }); got > 0 {
				t.Errorf("inflating: %v allocations", got)
			}
			if got := testing.AllocsPerRun(200, func() { payload = c.AppendMessage(payload[:0], msg) }); got > tt.want {
				t.Errorf("compressing: %v allocations, want %v", got, tt.want)
			}
		})
	}
}
