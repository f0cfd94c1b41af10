package fuzzing

import (
	"math/rand/v2"
	"testing"
)

// Every outcome of a choice can be had.
func TestSource(t *testing.T) {
	for n := 2; n <= 20; n++ {
		seen := make(map[int]bool)
		for b := range 256 {
			seen[rand.New(Source([]byte{byte(b)})).IntN(n)] = true
		}
		if len(seen) != n {
			t.Errorf("of %d only %v", n, seen)
		}
	}
	a, b := rand.New(Source([]byte{1})), rand.New(Source([]byte{1}))
	for range 10 {
		if x, y := a.Uint64(), b.Uint64(); x != y {
			t.Fatalf("%d and %d", x, y)
		}
	}
}
