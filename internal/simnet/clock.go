package simnet

import (
	"time"
	"unsafe"
)

// SetWall returns what the clock would say in the place of t if the wall clock had been set by so much, or the machine had slept so long where
// the monotonic clock stands still in sleep. The monotonic reading, which t must have, is t's.
func SetWall(t time.Time, by time.Duration) time.Time {
	set := t.Add(by) // both
	(*struct {
		wall uint64
		ext  int64 // monotonic, where wall says so
	})(unsafe.Pointer(&set)).ext -= int64(by)
	if set.Sub(t) != 0 || set.Round(0).Sub(t.Round(0)) != by {
		panic("simnet: time.Time is not what it was, or has no monotonic reading")
	}
	return set
}
