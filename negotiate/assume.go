package negotiate

import "time"

// assume sends the Extended CONNECT in the first flight of a fresh HTTP/2 connection, and accepts what comes of it only if the
// server's first SETTINGS then allow it. New servers save a round trip; old ones cost one with a spare and three without,
// once per origin and expiry.
//
// Only on a fresh connection that carries nothing else: some servers end the whole connection over a :protocol that they do
// not know. On a live one SETTINGS are known, so that assuming could only lose.
type assume struct{}

func (assume) tokens() []string { return []string{h2ALPN} }

func (assume) speaks(alpn string) bool { return alpn == h2ALPN }

func (assume) assumes() bool { return true }

func (assume) connected(m *Machine, now time.Time, a *attempt) {
	a.state, a.assumed = sent, true
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
}

func (assume) settings(*Machine, time.Time, *attempt, SettingsReceived) {}

// mayAssume: not where the policy forbids it, where the handshake may be seen only once, or where memory warns.
func (m *Machine) mayAssume(now time.Time) bool {
	return m.policy.allows(Assume) && !m.policy.Strict && !m.policy.Once && m.facts.Known.Verdict(Assume, now) != No
}

// mayExperiment: whether the experimental rung r may be tried.
func (m *Machine) mayExperiment(now time.Time, r Rung) bool {
	return !m.policy.Strict && !(m.policy.Once && r == H21) && m.facts.Secure && m.facts.Known.Verdict(r, now) != No
}

// wantsHTTP2 reports whether p has a rung that needs HTTP/2.
func (p Policy) wantsHTTP2() bool {
	for _, r := range []Rung{Settings, Assume, Token, H21, Frame, AltSvc} {
		if p.allows(r) {
			return true
		}
	}
	return false
}

const h2ALPN = "h2"
