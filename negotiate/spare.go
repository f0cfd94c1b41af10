package negotiate

import (
	"fmt"
	"slices"
	"time"
)

// The spare is a connection (TCP and TLS, ALPN http/1.1) that is prepared beside one on which something is assumed, so that falling
// back does not cost another connection. Its Upgrade is held back until the first connection has failed, or hangs and is given up; a dial has
// one spare at most.
//
// Deviation: RFC 6455, Section 4.1, has a client make one connection at a time. Here no two handshakes of WebSocket are under way at
// once, which is what the rule is for, but two of TCP and TLS may be. Policy.Strict keeps the letter.

// wantsSpare reports whether the connection that a is about, now being made to the origin, may come to need a spare.
func (m *Machine) wantsSpare(now time.Time, a *attempt) bool {
	if a.Alt != nil || !a.offered("h2") || !m.spareAllowed() || slices.ContainsFunc(m.facts.Live, func(c LiveConn) bool { return overTCP(c) && !c.Draining }) {
		return false
	}
	r, ok := m.rungFor("h2", func(r Rung) bool { return m.may(r, now) })
	return ok && r != Settings && !m.memoryKnows(r, now)
}

func (m *Machine) spareAllowed() bool {
	return m.policy.Spare != Never && !m.policy.Strict && m.facts.Secure && !m.facts.Proxied && m.policy.allows(Upgrade) &&
		!m.fellBack && !m.spared && len(m.attempts) < maxAttempts-1
}

// startSpare begins the spare at a time on the clock of round trips.
func (m *Machine) startSpare(now time.Time, at int) {
	b := m.newAttempt(Upgrade)
	b.Spare, b.tls, b.offer, b.began, b.ordered = true, true, []string{http11}, at, now
	m.spare, m.spared = b, true
	m.order(Connect{Attempt: b.ID, TLS: true, ALPN: b.offer, Spare: true})
}

// promoteSpare makes the spare the main attempt, and sends the Upgrade as soon as it is ready.
func (m *Machine) promoteSpare(now time.Time) {
	b := m.spare
	m.spare, m.main = nil, b
	m.timer = time.Time{}
	switch {
	case b.state == ready:
		b.idled = true
		m.passed(b.ready)
		strategies[Upgrade].connected(m, now, b)
	case !m.relieved:
		m.watchSpare(now, b)
	}
}

// watchSpare sees to it that a spare which is needed and not ready gets but so much time.
//
// Choice: from when it was ordered.
func (m *Machine) watchSpare(now time.Time, b *attempt) {
	m.relieveAt = b.ordered.Add(m.longEnough())
	m.relieveInTime(now)
}

// watchFirst does so with the first connection to the origin, if there is a spare that can take its place, or one may still be begun.
//
// Choice: from its last sign of life, which is that its TCP is up: the name may have taken long to resolve, and will not for the spare. What
// is somewhat slower than the spare, or repeats a lost packet, wins all the same.
func (m *Machine) watchFirst(now time.Time) {
	a := m.underWay()
	if a == nil || a.state != connecting || a.Spare {
		return
	}
	if !m.spareReady(a) && !m.spareIsLate(now, a) {
		m.stopRelief()
		return
	}
	since := a.ordered
	if !a.reached.IsZero() {
		since = a.reached
	}
	m.relieveAt = since.Add(m.longEnough())
	m.relieveInTime(now)
}

// stopRelief: nothing is to be done about the main attempt.
func (m *Machine) stopRelief() {
	if !m.relieveAt.IsZero() {
		m.relieveAt = time.Time{}
		m.arm()
	}
}

// spareReady reports whether a spare may take the place of a. The way to an alternative service may be longer than that to the origin.
func (m *Machine) spareReady(a *attempt) bool {
	return a.Alt == nil && m.spare != nil && m.spare.state == ready
}

// spareIsLate reports whether a, whose TCP is not up, keeps its spare from being begun.
func (m *Machine) spareIsLate(now time.Time, a *attempt) bool {
	return m.policy.Spare == Staggered && a.reached.IsZero() && m.wantsSpare(now, a)
}

// longEnough is how long a connection may say nothing until it hangs.
//
// Choice: twice what another of this dial took, four round trips, and half a second at least: one that is somewhat slower than the other, or
// repeats a lost packet, is waited for, so that a good server sees no connection more.
func (m *Machine) longEnough() time.Duration {
	wait := sparePatience
	for _, a := range m.attempts {
		wait = max(wait, 2*a.took, patience*a.rtt)
	}
	return wait
}

func (m *Machine) relieveInTime(now time.Time) {
	if m.relieveAt.After(now) {
		m.arm()
	} else {
		m.relieve(now)
	}
}

const (
	sparePatience  = 500 * time.Millisecond
	otherWasFaster = "another connection was faster"
)

// relieve does what can be done about the main attempt, which hangs. A ready spare carries the Upgrade in its place, one that waits for it is begun. Is
// it the spare itself, one more connection is begun beside it: the one that is ready first carries the Upgrade, and the other is closed. RFC 8305,
// Section 5, does so with addresses.
func (m *Machine) relieve(now time.Time) {
	m.relieveAt = time.Time{}
	a := m.main
	switch {
	case !a.Spare && m.spareReady(a):
		m.overtakeFirst(now)
	case !a.Spare && m.spareIsLate(now, a) && m.quic == nil: // which may be first, and then nobody needs a connection more
		m.startSpare(now, a.began)
	case a.Spare && len(m.attempts) < maxAttempts:
		c := m.newAttempt(Upgrade)
		c.tls, c.offer, c.ordered = true, []string{http11}, now
		m.spare, m.relieved = c, true
		m.order(Connect{Attempt: c.ID, TLS: true, ALPN: c.offer})
	}
}

// overtakeFirst puts the spare, which is ready, in the place of the first connection, which hangs and is given up before the Upgrade leaves. That says
// nothing about WebSockets, nor about HTTP/2: nothing is remembered.
func (m *Machine) overtakeFirst(now time.Time) {
	a := m.main
	what, since := "no TCP connection", a.ordered
	if !a.reached.IsZero() {
		what, since = "no answer in TLS", a.reached
	}
	a.end(VerdictUnused, fmt.Sprintf("%s within %v; %s", what, now.Sub(since).Round(time.Millisecond), otherWasFaster))
	m.order(Discard{Attempt: a.ID, How: CloseConn})
	m.tcpConnected(now)
	m.promoteSpare(now)
}

// overtake puts the connection that was begun beside a spare in its place.
func (m *Machine) overtake() {
	b := m.main
	b.end(VerdictUnused, otherWasFaster)
	m.order(Discard{Attempt: b.ID, How: CloseConn})
	m.main, m.spare = m.spare, nil
}

// dropSpare closes the spare, if there is one.
func (m *Machine) dropSpare(reason string) {
	if b := m.spare; b != nil {
		m.spare = nil
		b.end(VerdictUnused, reason)
		m.order(Discard{Attempt: b.ID, How: CloseConn})
	}
}

// spareConnected: it waits for the first connection's verdict. False: it is no good.
func (m *Machine) spareConnected(o Connected) bool {
	b := m.spare
	b.ALPN = o.ALPN
	if !strategies[Upgrade].speaks(o.ALPN) {
		m.dropSpare(fmt.Sprintf("server chose protocol %q (ALPN), offered was %s", o.ALPN, http11))
		return false
	}
	b.state, b.ready = ready, b.began+connectCost(o, b)
	return true
}

// recvSpoke: a server that speaks first on an idle connection, or ends it, has no use for it (some write a 408).
func (m *Machine) recvSpoke(o Spoke) {
	a := m.attempt(o.Attempt)
	if a == nil || a != m.spare {
		return // too late: the answer to the Upgrade tells
	}
	reason := "server sent something before it was asked"
	if o.EOF {
		reason = "server ended the connection before it was asked anything"
	}
	m.dropSpare(reason)
}

// spareFailed: that is no failure of the dial.
func (m *Machine) spareFailed(o ConnectFailed) {
	_, reason := classify(failure{outcome: o, rung: Upgrade})
	m.spare.end(VerdictUnused, reason)
	m.spare = nil
}

// redo makes a new connection in place of a spare that turned out to be no good when it was needed, once: where there is one already, it is that.
func (m *Machine) redo(now time.Time, a *attempt) bool {
	switch {
	case !a.Spare:
		return false
	case m.relieved:
		if m.spare == nil {
			return false // it has failed before
		}
		m.promoteSpare(now)
		return true
	case len(m.attempts) == maxAttempts:
		return false
	}
	m.choose(now)
	return true
}
