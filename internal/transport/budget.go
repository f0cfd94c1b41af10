package transport

import "sync/atomic"

// A Budget is how many bytes many connections may hold together. Max is not changed once it is in use.
type Budget struct {
	Max  int64
	held atomic.Int64
}

// Add counts n more bytes, less where n is negative, and reports whether all is more than Max now.
func (b *Budget) Add(n int64) (over bool) { return b.held.Add(n) > b.Max }

// Held is what is counted now.
func (b *Budget) Held() int64 { return b.held.Load() }
