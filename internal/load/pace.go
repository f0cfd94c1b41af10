package load

import "time"

// A pace says when messages are due: the k-th of all, counted from 0, k/rate seconds after the beginning. It is pure, so that no error
// adds up.
type pace struct {
	rate float64 // messages a second
	sent int64   // messages that were taken
}

// due returns how many more messages are due at t, and takes them.
func (p *pace) due(t time.Duration) (n int64) {
	n = int64(t.Seconds()*p.rate) + 1 - p.sent
	if t < 0 || n < 0 {
		return 0
	}
	p.sent += n
	return n
}

// at returns when message k is due.
func (p *pace) at(k int64) time.Duration {
	return time.Duration(float64(k) / p.rate * float64(time.Second))
}
