package negotiate

import (
	"errors"
	"slices"
)

func (d *dice) connectQUIC(o Connect, c *diceConn) {
	p, f := d.policy, d.m.facts
	d.quics++
	if len(d.m.offer(d.now)) > 0 {
		d.alone, d.until = c, d.now.Add(p.headStart())
	}
	said := o.Alt != nil || f.Known.Verdict(H3, d.now) == Yes || slices.ContainsFunc(f.Live, overQUIC)
	switch {
	case f.Proxied || !f.Secure || !p.allows(H3):
		d.t.Errorf("%v under %+v", o, p)
	case p.allowsTCP() && (f.QUIC == QUICBlocked || f.Known.Verdict(H3, d.now) == No):
		d.t.Errorf("%v against what is known", o)
	case p.Rungs == nil && !said:
		d.t.Errorf("%v although nobody has said so", o)
	case o.Early && (!p.EarlyConnect || p.Once || p.Strict || !f.EarlySession):
		d.t.Errorf("%v under %+v", o, p)
	case p.allowsTCP() && d.quics > 1:
		d.t.Errorf("%v: QUIC was tried before", o)
	}
}

func (d *dice) quicOutcome(id int, c *diceConn) Outcome {
	switch d.r.IntN(8) {
	case 0, 1:
		c.at = "over"
		return d.quicFailed(id)
	case 2, 3, 4:
		return Reached{Attempt: id, RTT: d.rtt}
	}
	c.at, c.alpn, c.took = "connected", alpnH3, d.now.Sub(c.ordered)
	c.ticket = c.zero && d.r.IntN(4) > 0
	return Connected{Attempt: id, ALPN: alpnH3, Early: c.ticket}
}

func (d *dice) quicFailed(id int) Outcome {
	step := []Step{StepResolve, StepQUIC, StepQUIC, StepQUIC, StepCertificate}[d.r.IntN(5)]
	return ConnectFailed{Attempt: id, Step: step, Heard: step == StepQUIC && d.r.IntN(2) == 0, Err: errors.New("no")}
}

func (d *dice) code(c *diceConn) uint64 {
	if c.quic {
		return 0x100 + d.r.Uint64N(17)
	}
	return d.r.Uint64N(15)
}
