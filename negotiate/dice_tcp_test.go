package negotiate

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// A diceTCP is what is true of an attempt over TCP while it is connecting.
type diceTCP struct {
	first   bool // the main one, to the origin
	hangs   bool // it is never complete
	up      bool // its TCP is
	ordered time.Time
	since   time.Time     // when it was ordered, or its TCP was up
	took    time.Duration // until it was complete
}

func (d *dice) newTCP(o Connect) diceTCP {
	first := o.Probe && !o.QUIC && o.Alt == nil
	return diceTCP{first: first, hangs: d.r.IntN(8) == 0 || d.hangs && first, ordered: d.now, since: d.now}
}

func (d *dice) tcpOutcome(id int, c *diceConn) Outcome {
	switch what := d.r.IntN(8); {
	case c.hangs && (what == 0 || what > 3):
		return StreamReset{Attempt: -1}
	case what == 0:
		c.at = "over"
		return ConnectFailed{Attempt: id, Step: []Step{StepResolve, StepTCP, StepTLS, StepCertificate}[d.r.IntN(4)], Err: errors.New("no")}
	case what <= 3:
		if !c.up {
			c.up, c.since = true, d.now
		}
		return Reached{Attempt: id, RTT: d.rtt}
	}
	c.at, c.took = "connected", d.now.Sub(c.ordered)
	c.alpn = []string{"h2", "h2", "http/1.1", "", "h2.1", "wsoverh2", "h3"}[d.r.IntN(7)]
	return Connected{Attempt: id, ALPN: c.alpn}
}

// firstAndSpare returns the first connection and the spare, if that is connecting and this is ready.
func (d *dice) firstAndSpare() (first, spare *diceConn) {
	for _, c := range d.conns {
		switch {
		case c.first && c.at == "connect":
			first = c
		case c.spare && c.at == "connected":
			spare = c
		}
	}
	return first, spare
}

// patience is the least that first is given.
func (d *dice) patience(first, spare *diceConn) time.Duration {
	wait := max(500*time.Millisecond, 2*spare.took)
	if first.up || spare.up {
		wait = max(wait, 4*d.rtt)
	}
	return wait
}

// checkFirst checks that nobody waits for a first connection that hangs while a spare is ready.
func (d *dice) checkFirst() {
	first, spare := d.firstAndSpare()
	if first == nil || spare == nil || d.m.Done() {
		return
	}
	wait := d.patience(first, spare)
	for _, c := range d.conns {
		wait = max(wait, 2*c.took)
		if c.up || c.quic {
			wait = max(wait, 4*d.rtt)
		}
	}
	if at := first.since.Add(wait); d.timer.IsZero() || d.timer.After(at) {
		d.t.Errorf("the first connection hangs at %v, the timer is set to %v", at, d.timer)
	}
}

// checkGivenUp checks that a first connection which gives way to the spare has had its time.
func (d *dice) checkGivenUp(id int) {
	if !strings.HasSuffix(d.m.Attempts()[id-1].Reason, "; "+otherWasFaster) {
		return
	}
	d.overtaken++
	first, spare := d.firstAndSpare()
	if first == nil || first != d.conns[id] || spare == nil || d.now.Sub(first.since) < d.patience(first, spare) {
		d.t.Errorf("attempt %d, %+v, is given up at %v for %+v", id, d.conns[id], d.now, spare)
	}
}

// checkUpgrade checks that no other connection over TCP is left when the Upgrade leaves.
func (d *dice) checkUpgrade(o SendUpgrade) {
	for id, c := range d.conns {
		if id != o.Attempt && !c.quic && (c.at == "connect" || c.at == "connected") {
			d.t.Errorf("%v, and attempt %d is at %s", o, id, c.at)
		}
	}
}

// beside checks that o, over TCP, is not one connection too many: there is the spare, and if that hangs when it is needed, one more.
func (d *dice) beside(o Connect) {
	if o.QUIC {
		return
	}
	others, hangs := 0, false
	for _, c := range d.conns {
		if !c.quic && !c.live && slices.Contains([]string{"connect", "connected", "settings", "response"}, c.at) {
			others++
			hangs = c.spare && c.at == "connect"
		}
	}
	switch {
	case others > 1:
		d.t.Errorf("%v beside %d others", o, others)
	case others == 0 || o.Spare || o.Probe:
	case !hangs:
		d.t.Errorf("%v: there is one that does not hang", o)
	default:
		d.relieved++
	}
}

func (d *dice) lost(id int, c *diceConn) ConnLost {
	c.at = "over"
	return ConnLost{
		Attempt: id, GoAway: d.r.IntN(2) == 0, Code: d.code(c), CloseNotify: d.r.IntN(3) == 0, Unprocessed: d.r.IntN(3) == 0,
		Local: d.r.IntN(5) == 0, Err: errors.New("EOF"),
	}
}
