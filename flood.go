package weft

import (
	"fmt"
	"time"
)

// A controlBudget is how many Pings and Pongs a peer may send: a burst, and a rate at which it grows back. Without one a
// peer could keep us busy answering with frames that cost it nothing. Guarded by Conn.reading.
type controlBudget struct {
	spent int32
	since uint32 // when spent was last brought up to date, in ticks; the count may wrap around
}

const (
	controlBurst = 1000
	controlRate  = 100 // a second
)

// spend takes one frame off the budget; false: there is none left.
func (b *controlBudget) spend(now time.Time) bool {
	tick := uint32(now.Sub(firstTick) / (time.Second / controlRate))
	if b.spent > 0 {
		b.spent = int32(max(int64(b.spent)-int64(tick-b.since), 0))
	}
	b.since = tick
	if b.spent >= controlBurst {
		return false
	}
	b.spent++
	return true
}

var firstTick = time.Now()

// recvFlood ends a Conn whose peer sends Pings and Pongs without measure.
func (c *Conn) recvFlood() error {
	err := &ProtocolError{
		Side: c.peerName(), Name: "control-flood", Code: StatusPolicyViolation, Section: "RFC 6455, Section 7.4.1",
		Detail: fmt.Sprintf("%s sent more than %d Pings and Pongs at over %d a second (1008, RFC 6455, Section 7.4.1)", c.peerName(), controlBurst, controlRate),
	}
	c.endWith(err, err.Code, err.Name)
	return c.terminal()
}
