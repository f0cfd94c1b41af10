package negotiate

import (
	"slices"
	"time"
)

// altSvc is the rung of alternative services: the connection is made to where an earlier response said, and goes on as the rung does that
// speaks its protocol. It is a hint: what fails there is tried at the origin, and says nothing about the origin.
type altSvc struct{}

func (altSvc) speaks(string) bool                                       { return false }
func (altSvc) connected(*Machine, time.Time, *attempt)                  {}
func (altSvc) settings(*Machine, time.Time, *attempt, SettingsReceived) {}

// alternative returns the first alternative service that this dial can use; nil: there is none.
//
// "A client configured to use a proxy for a given request SHOULD NOT directly connect to an alternative service for this request".
// RFC 7838, Section 2.4. Choice: nor does ours ask the proxy for it.
func (m *Machine) alternative() *Alternative {
	if m.altTried || !m.allowed(AltSvc) || m.facts.Proxied || m.fellBack || m.renewed {
		return nil
	}
	for _, alt := range m.alternatives() {
		// h3 is raced: see quic.go.
		if r, ok := m.rungFor(alt.ALPN, m.allowedThere); ok && r != H3 && alt.ALPN != "" {
			return &alt
		}
	}
	return nil
}

// alternatives are those of earlier responses, then those of an HTTPS record.
func (m *Machine) alternatives() []Alternative {
	list := slices.Clone(m.facts.Alternatives)
	for _, alt := range m.facts.Hints {
		alt.Hint = true
		list = append(list, alt)
	}
	return list
}

// allowedThere is allowed on an alternative service. Choice: who allows alternative services allows what speaks the protocols that they are
// named for, so that the rung is of use without the others; Upgrade and what is assumed needs to be named all the same.
func (m *Machine) allowedThere(r Rung) bool {
	switch r {
	case Token, H21:
		return m.allowed(AltSvc) && !m.policy.Strict
	case Settings:
		return m.allowed(AltSvc)
	}
	return m.allowed(r)
}

// connectAlt makes a connection to the alternative, and with Eager one to the origin beside it.
func (m *Machine) connectAlt(now time.Time, alt Alternative) {
	m.altTried = true
	r, _ := m.rungFor(alt.ALPN, m.allowedThere)
	a := m.newAttempt(r)
	m.main = a
	a.tls, a.Alt, a.ordered = true, &alt, now
	a.offer = []string{alt.ALPN}
	if r == Token || r == H21 {
		a.offer = append(a.offer, http11) // see offer
	}
	m.order(Connect{Attempt: a.ID, TLS: true, ALPN: a.offer, Probe: alt.ALPN != http11, Alt: &alt})
	if m.policy.Spare == Eager && m.spareAllowed() {
		m.startSpare(now, a.began)
	}
}

// backToOrigin leaves the alternative and reports whether that is possible.
func (m *Machine) backToOrigin(now time.Time, a *attempt) bool {
	if a.Alt == nil || len(m.attempts) == maxAttempts && m.spare == nil {
		return false
	}
	m.altTried = true // it may have been a live connection
	if m.spare != nil {
		return m.fallBack(now)
	}
	m.choose(now)
	return true
}
