package negotiate

import "time"

// A spare is a connection for HTTP/1.1 that is made beside one on which something is assumed, and on which nothing is sent
// unless the assumption turns out wrong. An old server then costs one round trip instead of three.
//
// Deviation: RFC 6455, Section 4.1, lets a client make one connection at a time. Policy.Strict keeps to that.

// wantsSpare: for an unknown origin that a is going to assume something about.
func (m *Machine) wantsSpare(now time.Time, a *attempt) bool {
	return m.spare == nil && !m.fellBack && a.alt == nil && !a.live && strategies[a.Rung].assumes() &&
		m.policy.Spare != Never && !m.policy.Strict && !m.facts.Proxied && m.facts.Secure && m.policy.allows(Upgrade) &&
		m.facts.Known.Verdict(Settings, now) != Yes && m.facts.Known.Verdict(a.Rung, now) != Yes && len(m.attempts) < maxAttempts
}

// recvReached: the spare starts when the first connection's TCP is up, and is ready when the verdict falls.
func (m *Machine) recvReached(now time.Time, o Reached) {
	if m.rtt == 0 {
		m.rtt = o.RTT
	}
	a := m.attempt(o.Attempt)
	if a == nil || a.state != connecting || a == m.spare || m.policy.Spare != Staggered {
		return
	}
	if m.wantsSpare(now, a) {
		m.startSpare(a)
		m.spare.at = a.at + 1
	}
}

// startSpare makes a spare beside a.
func (m *Machine) startSpare(a *attempt) {
	s := m.newAttempt(Upgrade)
	s.tls, s.offer, s.wasSpare = true, strategies[Upgrade].tokens(), true
	s.at = a.at
	m.spare = s
	m.order(Connect{Attempt: s.ID, TLS: true, ALPN: s.offer, Spare: true})
}

// useSpare makes the spare the attempt.
func (m *Machine) useSpare(now time.Time) {
	s := m.spare
	m.spare = nil
	if s.ready {
		s.at = max(s.at, m.at)
		strategies[Upgrade].connected(m, now, s)
	} // else when it is connected
}

// dropSpare gives the spare up, with close_notify if TLS is up.
func (m *Machine) dropSpare() {
	if m.spare == nil {
		return
	}
	m.spare.end(verdictUnused, "not needed")
	m.order(Discard{Attempt: m.spare.ID, How: CloseConn})
	m.spare = nil
}

// loseSpare: a spare that fails is no failure of the dial.
func (m *Machine) loseSpare(o Outcome) {
	_, reason := classify(failure{outcome: o, rung: Upgrade})
	m.spare.end(string(Transport), reason)
	m.order(Discard{Attempt: m.spare.ID, How: CloseConn})
	m.spare = nil
}

// recvSpoke: any byte or the end of a connection before its request discards it.
func (m *Machine) recvSpoke(o Spoke) {
	if a := m.attempt(o.Attempt); a != nil && a == m.spare {
		m.loseSpare(ConnLost{Attempt: o.Attempt})
	}
}

// respare makes another connection where one that was a spare died before it answered. It may have been dead for a while.
func (m *Machine) respare(now time.Time, o Outcome) bool {
	switch o.(type) {
	case ConnLost, ConnectFailed:
	default:
		return false
	}
	if m.respared || m.policy.Once || len(m.attempts) == maxAttempts {
		return false
	}
	m.respared = true
	m.choose(now)
	return true
}

const verdictUnused = "unused"
