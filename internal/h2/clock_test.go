package h2

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Time that goes back, or far ahead, ends an idle connection for want of a PING's ack at worst. It causes no panic, no timer that is due
// again at once, and no flood of PINGs.
func TestTimeJumps(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		now := start
		c := New(now, Config{Side: Client, PingInterval: 30 * time.Second})
		written := 0
		for range 100 {
			if rnd.IntN(2) == 0 && !c.NextTimeout().IsZero() {
				now = c.NextTimeout()
			} else {
				now = now.Add(time.Duration(rnd.Int64N(int64(96*time.Hour))) - 48*time.Hour)
			}
			c.Advance(now)
			for range 1000 {
				if c.NextEvent() == nil {
					break
				}
			}
			written += len(c.AppendOutput(nil, 1<<20))
			if next := c.NextTimeout(); !next.IsZero() && !next.After(now) {
				t.Fatalf("seed %d: at %v the next timeout is %v", seed, now.Sub(start), next.Sub(start))
			}
		}
		if written > 1000 {
			t.Errorf("seed %d: %d bytes were written", seed, written)
		}
	}
}
