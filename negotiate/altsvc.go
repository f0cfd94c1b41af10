package negotiate

import "time"

// altSvc goes to the alternative service that an earlier response named (RFC 7838). It is a hint: what the service then is, its
// ALPN protocol decides, and where it does not do, the dial goes to the origin. Not behind a proxy.
type altSvc struct{}

func (altSvc) tokens() []string { return nil }

func (altSvc) speaks(string) bool { return false }

func (altSvc) assumes() bool { return false }

func (altSvc) connected(*Machine, time.Time, *attempt) {}

func (altSvc) settings(*Machine, time.Time, *attempt, SettingsReceived) {}

// alternative is the service to try first.
func (m *Machine) alternative(now time.Time) (Alternative, bool) {
	if !m.policy.allows(AltSvc) || m.policy.Strict || m.facts.Proxied || !m.facts.Secure || m.triedAlt || m.fellBack {
		return Alternative{}, false
	}
	for _, alt := range m.facts.Alternatives {
		switch {
		case alt.ALPN == tokenALPN && m.facts.Known.Verdict(Token, now) != No,
			alt.ALPN == h21ALPN && m.facts.Known.Verdict(H21, now) != No,
			alt.ALPN == h2ALPN:
			return alt, true
		}
	}
	return Alternative{}, false
}

// connectAlt connects to alt, with its ALPN protocol alone: "a different ALPN protocol on the alternative" is a failure.
func (m *Machine) connectAlt(alt Alternative) {
	m.triedAlt = true
	a := m.newAttempt(AltSvc)
	a.tls, a.alt, a.offer = true, &alt, []string{alt.ALPN}
	m.order(Connect{Attempt: a.ID, TLS: true, ALPN: a.offer, Alt: &alt})
}

// leaveAlt goes on at the origin.
func (m *Machine) leaveAlt(now time.Time, a *attempt) {
	m.order(DropAlternative{Alt: *a.alt})
	m.order(Discard{Attempt: a.ID, How: CloseConn})
	m.choose(now)
}

// altRung is the rung by which a connection to an alternative is used.
func (m *Machine) altRung(now time.Time, alpn string) Rung {
	switch {
	case alpn == tokenALPN:
		return Token
	case alpn == h21ALPN:
		return H21
	case m.mayAssume(now):
		return Assume
	}
	return Settings
}
