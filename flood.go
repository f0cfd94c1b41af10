package weft

import (
	"fmt"
	"time"
)

// A controlBudget is how many Pings and Pongs a peer may send: a burst, and a rate at which it grows back. Without one a
// peer could keep us busy answering with frames that cost it nothing. Guarded by Conn.reading.
type controlBudget struct {
	spent int32
	since time.Time // when spent was last brought up to date
}

const (
	controlBurst = 1000
	controlRate  = 100 // a second
)

// spend takes one frame off the budget; false: there is none left.
func (b *controlBudget) spend(now time.Time) bool {
	if b.spent > 0 {
		if back := int64(now.Sub(b.since) / (time.Second / controlRate)); back > 0 {
			b.spent = int32(max(int64(b.spent)-back, 0))
			b.since = now
		}
	} else {
		b.since = now
	}
	if b.spent >= controlBurst {
		return false
	}
	b.spent++
	return true
}

// account tells the server's memory budget what a message under way holds. Where all hold too much together, a WebSocket whose
// message grows is ended, unless its part is small. Called where messages are read.
func (c *Conn) account() error {
	c.recv.Release()
	if c.registry == nil || c.registry.memory == nil {
		return nil
	}
	held := int64(c.recv.Held())
	if held < smallMessage {
		held = 0
	}
	was := c.held.Load()
	if held == was {
		return nil
	}
	m := c.registry.memory
	over := m.Add(held - c.held.Swap(held))
	c.mu.Lock()
	finished := c.finished
	c.mu.Unlock()
	if finished {
		c.forget()
		return nil
	}
	if !over || held < was || held <= smallPart {
		return nil
	}
	err := &ProtocolError{
		Side: c.peerName(), Name: "memory-exceeded", Code: StatusTryAgainLater, Section: "RFC 6455, Section 10.4",
		Detail: fmt.Sprintf("%s began a message that holds %d bytes, while all connections hold more than %d (1013, RFC 6455, Section 10.4)", c.peerName(), held, m.Max),
	}
	c.endWith(err, err.Code, err.Name)
	return c.terminal()
}

// forget gives back what the Conn holds, which is over.
func (c *Conn) forget() {
	if m := c.registry.memory; m != nil {
		m.Add(-c.held.Swap(0))
	}
}

const (
	smallMessage = 4 << 10 // below it is not counted
	smallPart    = 64 << 10
)

// recvFlood ends a Conn whose peer sends Pings and Pongs without measure.
func (c *Conn) recvFlood() error {
	err := &ProtocolError{
		Side: c.peerName(), Name: "control-flood", Code: StatusPolicyViolation, Section: "RFC 6455, Section 7.4.1",
		Detail: fmt.Sprintf("%s sent more than %d Pings and Pongs at over %d a second (1008, RFC 6455, Section 7.4.1)", c.peerName(), controlBurst, controlRate),
	}
	c.endWith(err, err.Code, err.Name)
	return c.terminal()
}
