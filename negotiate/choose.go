package negotiate

import (
	"fmt"
	"slices"
	"time"
)

// choose decides how to begin, or to go on after a failure, with the facts as they are.
func (m *Machine) choose(now time.Time) {
	if len(m.attempts) == maxAttempts {
		m.fail(0, Refused, fmt.Sprintf("gave up after %d attempts", maxAttempts), nil)
		return
	}
	if c, r, ok := m.usableLive(now); ok {
		m.useLive(now, c, r)
		return
	}
	offer := m.offer(now)
	alt, quic := m.quicTarget(now)
	switch {
	case m.quic == nil && (quic || len(offer) > 0 && offer[0] != http11) && m.worthAwaiting():
		m.awaitsRace = m.awaitsRace || quic
		m.awaitProbe(now)
	case quic:
		m.startQUIC(now, alt)
	case len(offer) == 0 && !m.policy.allowsTCP() && (!m.facts.Secure || m.facts.Proxied):
		m.fail(0, Disallowed, "policy has no rung but h3, which needs TLS and goes through no proxy", nil)
	case len(offer) == 0 && !m.policy.allowsTCP():
		m.fail(0, Version, noConnectProtocolH3+withoutUpgrade, nil)
	case len(offer) == 0 && !m.facts.Secure && !m.facts.PriorKnowledge:
		m.fail(0, Disallowed, "policy has no rung for ws without prior knowledge of HTTP/2: it needs upgrade", nil)
	case len(offer) == 0:
		// What the server said on a live connection holds for the next one, too.
		m.fail(0, Version, noConnectProtocol+withoutUpgrade, nil)
	default:
		if alt := m.alternative(); alt != nil {
			m.connectAlt(now, *alt)
			return
		}
		m.connect(now, offer)
	}
}

func (m *Machine) useLive(now time.Time, c LiveConn, r Rung) {
	a := m.newAttempt(r)
	m.main = a
	a.Conn, a.ALPN, a.Alt = c.ID, c.ALPN, c.Alt
	a.live, a.coalesced = true, c.Coalesced
	a.connectAllowed = c.ConnectProtocol
	a.assumed = r == Frame
	a.awaitsAccept = r == Frame
	m.send(a, sent)
	m.order(UseLive{Attempt: a.ID, Conn: c.ID, Frame: r == Frame})
	m.watch(now, a)
}

// connect makes a new connection to the origin, and the spare beside it.
func (m *Machine) connect(now time.Time, offer []string) {
	a := m.newAttempt(m.first(now, offer))
	m.main = a
	a.tls, a.offer, a.ordered = m.facts.Secure, offer, now
	m.order(Connect{Attempt: a.ID, TLS: a.tls, ALPN: a.offer, Probe: offer[0] != http11})
	if m.policy.Spare == Eager && m.wantsSpare(now, a) {
		m.startSpare(now, a.began)
	}
	m.watchFirst(now)
}

// offer returns the ALPN protocols for a new connection to the origin, the best first; without TLS, where nothing is negotiated,
// the only one. Nil: this dial has no way left.
func (m *Machine) offer(now time.Time) []string {
	h2 := m.may(Frame, now) || m.may(Assume, now) || m.may(Settings, now)
	var list []string
	switch {
	case !m.facts.Secure && h2:
		return []string{"h2"}
	case !m.facts.Secure:
	case m.may(Token, now):
		// Never beside h2, which old servers take if they can, and never alone, which some answer with an alert.
		return []string{wsoverh2, http11}
	case m.may(H21, now):
		list = []string{h2dot1, "h2"}
	case h2:
		list = []string{"h2"}
	}
	if m.policy.allows(Upgrade) {
		list = append(list, http11)
	}
	return list
}

// first returns the rung that a connection with this offer is made for.
func (m *Machine) first(now time.Time, offer []string) Rung {
	if r, ok := m.rungFor(offer[0], func(r Rung) bool { return m.may(r, now) }); ok {
		return r
	}
	return Upgrade
}

// rungFor returns the best rung that may be used on a connection on which alpn was selected.
func (m *Machine) rungFor(alpn string, may func(Rung) bool) (Rung, bool) {
	for _, r := range preference {
		if strategies[r].speaks(alpn) && may(r) {
			return r, true
		}
	}
	return "", false
}

// allowed reports whether r is open to this dial, whatever is known of the origin.
func (m *Machine) allowed(r Rung) bool {
	switch {
	case !m.policy.allows(r) || m.excluded[r]:
		return false
	case r == Upgrade:
		return true
	case m.fellBack:
		return false
	case r == H3:
		return m.facts.Secure && !m.facts.Proxied
	case r == Token || r == H21 || r == AltSvc:
		return m.facts.Secure
	}
	return m.facts.Secure || m.facts.PriorKnowledge
}

// may reports whether r is to be used on a new connection to the origin, after what its live connections and the memory say.
func (m *Machine) may(r Rung, now time.Time) bool {
	return m.allowed(r) && !m.liveSaysNo(r) && !m.memorySaysNo(r, now)
}

// liveSaysNo: a server that has been asked on a live connection is not asked again on a new one.
func (m *Machine) liveSaysNo(r Rung) bool {
	is := func(f func(LiveConn) bool) bool { return slices.ContainsFunc(m.facts.Live, f) }
	switch r {
	case H3:
		return !m.knownGood(overQUIC) && is(func(c LiveConn) bool { return overQUIC(c) && c.SettingsReceived && !c.Draining })
	case Settings, Assume, H21:
		return !m.knownGood(overTCP) && is(func(c LiveConn) bool {
			return overTCP(c) && c.SettingsReceived && !c.Draining && c.Alt == nil
		})
	case Frame:
		return is(func(c LiveConn) bool { return c.NoFrames && !c.Draining && c.Alt == nil })
	}
	return false
}

// knownGood reports whether a live connection of the server's allows Extended CONNECT, one of those for which is holds.
func (m *Machine) knownGood(is func(LiveConn) bool) bool {
	return slices.ContainsFunc(m.facts.Live, func(c LiveConn) bool { return c.ConnectProtocol && is(c) })
}

func overQUIC(c LiveConn) bool { return c.ALPN == alpnH3 }
func overTCP(c LiveConn) bool  { return c.ALPN != alpnH3 }
func anyConn(LiveConn) bool    { return true }

// usableLive returns the first live connection that this dial may use, and the rung for it. Those that need no proposal come first.
func (m *Machine) usableLive(now time.Time) (LiveConn, Rung, bool) {
	if m.renewed || m.fellBack || m.quic != nil {
		return LiveConn{}, "", false
	}
	for _, r := range []Rung{Token, H21, H3, Settings, Frame} {
		for _, c := range m.facts.Live {
			if c.Slots <= 0 || c.Draining || !strategies[r].speaks(c.ALPN) {
				continue
			}
			usable := m.allowed(r) && !m.memoryForbidsLive(r, now)
			switch {
			case c.Alt != nil && r == H3:
				usable = usable && !m.quicAltTried
			case c.Alt != nil:
				usable = m.allowed(AltSvc) && !m.altTried && m.allowedThere(r)
			}
			if usable && (r == Frame && c.SettingsReceived && !c.NoFrames || r != Frame && c.ConnectProtocol) {
				return c, r, true
			}
		}
	}
	return LiveConn{}, "", false
}

// worthAwaiting: another dial's probe is worth waiting for once, while nothing is known; and again where it will carry
// WebSockets. If the origin turns out to have no HTTP/2, those who waited must not wait for one another. A dial that races QUIC and TCP has two
// probes, and the first to end may be the one that lost.
func (m *Machine) worthAwaiting() bool {
	switch {
	case m.facts.Probing == 0 || m.renewed:
		return false
	case m.awaits == 0 || m.awaits == 1 && m.awaitsRace:
		return true
	}
	return m.knownGood(anyConn) && m.awaits < maxAwaits
}

func (m *Machine) awaitProbe(now time.Time) {
	m.awaits++
	m.awaiting = true
	m.order(AwaitProbe{})
	m.setTimer(now)
}

// fallBack goes over to HTTP/1.1, on the spare if there is one, and reports whether that is possible.
func (m *Machine) fallBack(now time.Time) bool {
	if !m.canFallBack() {
		return false
	}
	m.fellBack = true
	if m.spare != nil {
		m.promoteSpare(now)
	} else {
		m.choose(now)
	}
	return true
}

func (m *Machine) canFallBack() bool {
	return m.policy.allows(Upgrade) && !m.fellBack && (m.spare != nil || len(m.attempts) < maxAttempts)
}

// goOn takes the next rung of a policy that does not allow upgrade, and reports whether there is one.
func (m *Machine) goOn(now time.Time) bool {
	if m.policy.allows(Upgrade) || len(m.attempts) == maxAttempts || len(m.offer(now)) == 0 {
		return false
	}
	m.choose(now)
	return true
}

// renew takes a new connection of the same version and reports whether that is possible.
func (m *Machine) renew(now time.Time) bool {
	if m.renewed || m.fellBack || len(m.attempts) == maxAttempts {
		return false
	}
	m.renewed = true
	m.choose(now)
	return true
}

// repeatHere sends the CONNECT again on its own connection, where it was answered with 425, and reports whether that is possible.
func (m *Machine) repeatHere(now time.Time, a *attempt) bool {
	if a.Rung == Upgrade || a.Rung == Frame || a.live || m.repeated {
		return false
	}
	m.repeated = true
	m.takeQUIC(a)
	a.early, a.answer = false, nil
	m.send(a, sent)
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
	return true
}

// repeat sends the request once more, on another connection.
//
// "A user agent SHOULD retry automatically, but any retries MUST NOT be sent in early data." RFC 8470, Section 5.2.
func (m *Machine) repeat(now time.Time) bool {
	if m.repeated || len(m.attempts) == maxAttempts {
		return false
	}
	m.repeated = true
	m.choose(now)
	return true
}

// ALPN protocol identifiers. wsoverh2 and h2dot1 are not registered.
const (
	http11   = "http/1.1"
	h2dot1   = "h2.1"
	wsoverh2 = "wsoverh2"
)

const withoutUpgrade = "; the policy does not allow rung upgrade"
