package negotiate

import "time"

// roll chooses the dial.
func (d *dice) roll() {
	for d.policy = d.randomPolicy(); d.policy.Validate() != nil; d.policy = d.randomPolicy() {
	}
	d.facts = d.randomFacts()
	d.rtt = []time.Duration{0, 100 * time.Millisecond, time.Second}[d.r.IntN(3)]
	if d.r.IntN(4) == 0 {
		d.unknownAndHangs()
	}
}

func (d *dice) randomPolicy() Policy {
	p := Policy{Spare: SpareMode(d.r.IntN(3)), Once: d.r.IntN(5) == 0, Strict: d.r.IntN(5) == 0, EarlyConnect: d.r.IntN(2) == 0}
	p.HeadStart = []time.Duration{0, 0, -1, time.Second, time.Hour}[d.r.IntN(5)]
	if d.r.IntN(3) > 0 {
		p.Rungs = []Rung{}
		for _, r := range Rungs() {
			if r.Available() && d.r.IntN(2) == 0 {
				p.Rungs = append(p.Rungs, r)
			}
		}
	}
	return p
}

func (d *dice) randomFacts() Facts {
	one := func(list ...string) string { return list[d.r.IntN(len(list))] }
	f := Facts{Secure: d.r.IntN(4) > 0, PriorKnowledge: d.r.IntN(2) == 0, Proxied: d.r.IntN(6) == 0, Probing: max(0, d.r.IntN(4)-1)}
	f.QUIC, f.EarlySession, f.Addr = QUICState(d.r.IntN(3)), d.r.IntN(2) == 0, one("", "alt:443")
	if d.m != nil {
		f.Secure, f.PriorKnowledge, f.Proxied = d.facts.Secure, d.facts.PriorKnowledge, d.facts.Proxied
	}
	for range d.r.IntN(3) {
		c := LiveConn{
			ID: uint64(len(f.Live) + 1), ALPN: one("h2", "h2", "h2.1", "wsoverh2", "h3"), SettingsReceived: d.r.IntN(8) > 0,
			ConnectProtocol: d.r.IntN(2) == 0, NoFrames: d.r.IntN(3) == 0, Slots: d.r.IntN(3), Draining: d.r.IntN(4) == 0,
			Coalesced: d.r.IntN(4) == 0,
		}
		if d.r.IntN(5) == 0 {
			c.Alt = &Alternative{ALPN: c.ALPN, Host: "alt", Port: "443"}
		}
		f.Live = append(f.Live, c)
	}
	for range max(0, d.r.IntN(4)-1) {
		f.Alternatives = append(f.Alternatives, Alternative{ALPN: one("h2", "h3", "h2.1", "wsoverh2", "http/1.1", ""), Host: "alt", Port: "443"})
	}
	for range max(0, d.r.IntN(4)-2) {
		f.Hints = append(f.Hints, Alternative{ALPN: one("h2", "h3"), Host: "hint", Port: "443"})
	}
	for range max(0, d.r.IntN(4)-1) {
		kind := findingKind(d.r.IntN(len(findings)))
		o := Remember{Rung: Rungs()[d.r.IntN(8)], Verdict: findings[kind].verdict, Cause: findings[kind].cause, TTL: time.Minute}
		f.Known = f.Known.Remember(o, d.now.Add(-time.Duration(d.r.IntN(90))*time.Second))
	}
	if d.r.IntN(2) == 0 {
		f.Deadline = d.now.Add(30 * time.Second)
	}
	return f
}

// unknownAndHangs makes it a dial whose first connection hangs, with a spare.
func (d *dice) unknownAndHangs() {
	d.hangs = true
	d.policy.Spare, d.policy.Rungs, d.policy.Strict, d.policy.Once = d.policy.Spare%2, nil, false, false
	f := &d.facts
	f.Secure, f.Proxied, f.Probing, f.Live, f.Known = true, false, 0, nil, Entry{}
}
