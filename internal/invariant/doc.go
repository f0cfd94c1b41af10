// Package invariant checks in tests what the code relies on, and costs nothing elsewhere. It is switched on by the race
// detector and by the build tag "invariants".
package invariant

import "fmt"

// Check panics when it is switched on and ok is false. A condition that is dear to evaluate stands behind Enabled. Where it
// is switched on its arguments are allocated, so tests that count allocations skip.
func Check(ok bool, format string, args ...any) {
	if Enabled && !ok {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}

// Scribble overwrites b when it is switched on: called on a buffer that goes back to its pool, it exposes whoever kept
// a reference.
func Scribble(b []byte) {
	if Enabled {
		b = b[:cap(b)]
		for i := range b {
			b[i] = 0xdb
		}
	}
}
