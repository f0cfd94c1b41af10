package weft

import (
	"fmt"
	"net"
	"time"

	"github.com/weftws/weft/internal/transport"
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

// account tells the server's memory budget what a message under way holds. Where all hold too much together, a WebSocket whose
// message grows is ended, unless its part is small. Called with reading held, or where callbacks are called.
func (c *Conn) account() error {
	reg := c.opt.registry
	if reg == nil || reg.memory == nil || c.in == nil {
		return nil
	}
	c.in.Release()
	held := int64(c.in.Held())
	if held < smallMessage {
		held = 0
	}
	if held == c.in.told {
		return nil
	}
	c.in.told = held
	was, finished := c.hold(held)
	over := reg.memory.Add(held - was)
	if finished {
		c.forget()
		return nil
	}
	if !over || held < was || held <= smallPart {
		return nil
	}
	err := overBudget(c.peerName(), fmt.Sprintf("began a message that holds %d bytes", held), reg.memory)
	c.endWith(err, err.Code, err.Name)
	return c.terminal()
}

// sendOverBudget ends a WebSocket whose peer reads nothing of what is sent, where all hold too much together.
func (c *Conn) sendOverBudget() {
	err := overBudget(c.peerName(), notRead, c.opt.registry.memory)
	c.endNow(err, err.Code, err.Name)
}

const notRead = "has not read more than 64 KiB that wait for it"

func overBudget(side, what string, b *transport.Budget) *ProtocolError {
	return &ProtocolError{
		Side: side, Name: "memory-exceeded", Code: StatusTryAgainLater, Section: "RFC 6455, Section 10.4",
		Detail: fmt.Sprintf("%s %s, while all connections hold more than %d (1013, RFC 6455, Section 10.4)", side, what, b.Max),
	}
}

// accountSending has the server's memory budget count what s holds for a peer that does not read. It also works on a nil registry.
func (g *registry) accountSending(s tunnelStream) {
	if g == nil || g.memory == nil {
		return
	}
	if s, ok := s.(transport.AccountedStream); ok {
		s.Account(g.memory)
	}
}

// overBudget tells that the WebSocket of another library's with remote has ended with ErrOverBudget.
func (g *registry) overBudget(remote net.Addr) {
	err := overBudget("client", notRead, g.memory)
	g.observer.violation(Violation{
		Side: err.Side, Protocol: "websocket", Name: err.Name, Section: err.Section, Detail: err.Detail, Limit: true, RemoteAddr: addrOr(remote).String(),
	})
}

// hold sets what account has told, and returns what that was.
func (c *Conn) hold(n int64) (was int64, finished bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare != nil {
		was = c.rare.held
	}
	if n != was {
		c.rarely().held = n
	}
	return was, c.finished
}

// forget gives back what the Conn holds, which is over.
func (c *Conn) forget() {
	if m := c.opt.registry.memory; m != nil {
		was, _ := c.hold(0)
		m.Add(-was)
	}
}

const (
	smallMessage = 4 << 10 // below it is not counted
	smallPart    = 64 << 10
)

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
