// Package bucket is a budget that refills: what a peer may do in excess, at once and in the long run. It is pure: time is an argument.
package bucket

import "time"

// A Bucket allows burst actions at once and rate a second in the long run.
type Bucket struct {
	burst, rate float64
	tokens      float64
	at          time.Time // tokens are right for this time
}

// New returns a Bucket that is full at now.
func New(now time.Time, burst, rate int) Bucket {
	return Bucket{burst: float64(burst), rate: float64(rate), tokens: float64(burst), at: now}
}

// Take reports whether n actions are allowed now, and counts them if they are.
func (b *Bucket) Take(now time.Time, n int) bool {
	if elapsed := now.Sub(b.at); elapsed > 0 {
		b.tokens = min(b.burst, b.tokens+elapsed.Seconds()*b.rate)
		b.at = now
	}
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}
