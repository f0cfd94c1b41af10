package negotiate

import (
	"slices"
	"time"
)

// QUIC and TCP are raced: QUIC has a head start (Policy.HeadStart), then TCP is tried beside it as if there were no QUIC. The first connection
// that is complete carries the handshake of WebSocket; there is never another handshake at once.
//
//	startQUIC --> quic connecting ----Connected---------------------> takeQUIC: main; TCP is discarded
//	   |                          ----ConnectFailed-----------------> TCP, at once
//	   |                          ----Connected, TCP was first------> Keep, for the pool
//	   '--head start has passed--> choose: TCP beside it
//
// A CONNECT in early data is sent before the connection is complete, so it is no end of the race: the first word of the server's is. If TCP is
// complete before that, the QUIC connection is closed, and with it goes the CONNECT.
//
// "Connectivity problems (e.g., blocking UDP) can result in a failure to establish a QUIC connection; clients SHOULD attempt to use TCP-based
// versions of HTTP in this case." RFC 9114, Section 3.1.

// quicTarget reports whether this dial is to try QUIC now, and where: at an alternative or, nil, at the origin's own address.
func (m *Machine) quicTarget(now time.Time) (alt *Alternative, ok bool) {
	switch {
	case m.quicTried || m.quic != nil || !m.may(H3, now) || len(m.attempts) > maxAttempts-2:
		return nil, false
	case m.facts.QUIC == QUICBlocked && m.policy.allowsTCP():
		return nil, false
	case m.renewed && m.main.Rung != H3:
		return nil, false // a new connection of the same version is wanted
	}
	if alt := m.quicAlternative(); alt != nil && !m.quicAltTried {
		return alt, true
	}
	return nil, m.policy.Rungs != nil || m.knowsH3(now)
}

func (m *Machine) quicAlternative() *Alternative {
	for _, alt := range m.alternatives() {
		if alt.ALPN == alpnH3 {
			return &alt
		}
	}
	return nil
}

// knowsH3 reports whether the origin's own address is known to have HTTP/3.
func (m *Machine) knowsH3(now time.Time) bool {
	return m.facts.Known.Verdict(H3, now) == Yes ||
		slices.ContainsFunc(m.facts.Live, func(c LiveConn) bool { return c.ALPN == alpnH3 && c.Alt == nil })
}

// atOrigin reports whether a goes to the origin's own address, be it as an alternative.
func (m *Machine) atOrigin(a *attempt) bool {
	return a.Alt == nil || a.Rung == H3 && a.Alt.Addr() == m.facts.Addr
}

// startQUIC begins the race.
func (m *Machine) startQUIC(now time.Time, alt *Alternative) {
	a := m.newAttempt(H3)
	a.tls, a.offer, a.Alt, a.ordered = true, []string{alpnH3}, alt, now
	a.promised = alt != nil || m.knowsH3(now)
	m.quic, m.raced = a, a
	m.quicTried = true
	m.order(Connect{
		Attempt: a.ID, TLS: true, ALPN: a.offer, Probe: true, Alt: alt, QUIC: true,
		Early: m.policy.early() && m.facts.EarlySession,
	})
	if len(m.offer(now)) == 0 {
		return // alone
	}
	lead := m.policy.headStart()
	if left := m.facts.Deadline.Sub(now); !m.facts.Deadline.IsZero() {
		lead = min(lead, left/2)
	}
	if lead <= 0 {
		m.choose(now)
		return
	}
	m.headStart = now.Add(lead)
	m.arm()
}

// headStartOver begins with TCP.
func (m *Machine) headStartOver(now time.Time) {
	m.headStart = time.Time{}
	m.choose(now)
}

// stopHeadStart: nothing is to begin when it has passed.
func (m *Machine) stopHeadStart() {
	if !m.headStart.IsZero() {
		m.headStart = time.Time{}
		m.arm()
	}
}

// takeQUIC makes a the main attempt if it is the one that is raced: its server has answered.
func (m *Machine) takeQUIC(a *attempt) {
	if a != m.quic {
		return
	}
	m.quic = nil
	m.stopHeadStart()
	m.stopRelief()
	if tcp := m.underWay(); tcp != nil {
		tcp.end(VerdictUnused, quicWasFaster)
		m.order(Discard{Attempt: tcp.ID, How: CloseConn})
	}
	if m.spare != nil {
		m.dropSpare(quicWasFaster)
		m.spared = false // should it come to TCP after all
	}
	m.main = a
	m.quicWorks(a)
}

func (m *Machine) quicWorks(a *attempt) {
	a.heard = true
	if m.facts.QUIC != QUICWorks {
		m.rememberNetwork(QUICWorks)
	}
}

// quicConnected: it has won the race, or lost it, or may speak before it is decided.
func (m *Machine) quicConnected(now time.Time, o Connected) {
	a := m.quic
	tcp := m.underWay()
	lost := tcp != nil && tcp.state != connecting
	a.ALPN = o.ALPN
	switch {
	case o.Early && lost:
		m.dropQUIC()
	case o.Early:
		m.sendInEarlyData(now, a)
	case !strategies[H3].speaks(o.ALPN):
		a.heard = true
		m.failed(now, a, o, Discard{Attempt: a.ID, How: CloseConn})
	case lost:
		m.quic = nil
		a.end(VerdictUnused, tcpWasFaster)
		m.quicWorks(a)
		m.order(Keep{Attempt: a.ID})
	default:
		m.passed(a.began + connectCost(o, a))
		m.takeQUIC(a)
		strategies[H3].connected(m, now, a)
	}
}

// tcpConnected: TCP is complete. QUIC goes on for the pool if it is silent about it.
func (m *Machine) tcpConnected(now time.Time) {
	if a := m.raced; a != nil && !a.heard && !a.unanswered {
		// What had hardly any time is no witness.
		a.unanswered = a.Verdict == string(Transport) || a.state != over && now.Sub(a.ordered) >= defaultHeadStart
	}
	m.stopHeadStart()
	if m.quic != nil && m.quic.state == sent {
		m.dropQUIC()
	}
}

// dropQUIC ends the QUIC connection that has lost.
func (m *Machine) dropQUIC() {
	m.quic.end(VerdictUnused, tcpWasFaster)
	m.order(Discard{Attempt: m.quic.ID, How: CloseConn})
	m.quic = nil
}

// quicFailed: the raced attempt a has failed before it was the main one. It reports whether TCP is under way and goes on alone.
func (m *Machine) quicFailed(a *attempt, class Class, reason string, o Outcome, order []Order) bool {
	switch class {
	case Transport, Killed, Version, Refused:
		m.stopHeadStart()
		m.quic = nil
		if tcp := m.underWay(); tcp == nil {
			return false
		}
		a.end(string(class), reason)
		m.learn(a, class, o)
		m.orders = append(m.orders, order...)
		return true
	}
	m.takeQUIC(a) // the server's answer counts
	return false
}

// quicMayHelp reports whether a dial that has failed otherwise waits for QUIC, which is still under way.
func (m *Machine) quicMayHelp(class Class) bool {
	switch class {
	case Transport, Version:
		return m.quic != nil
	case Refused, Killed:
		return m.quic != nil && !m.policy.Once
	}
	return false
}

// endQUIC comes with the end of the dial: what is under way is given up, and silence is held against whom it tells something about.
func (m *Machine) endQUIC() {
	if a := m.quic; a != nil {
		m.quic = nil
		a.end(VerdictUnused, "not needed")
	}
	a := m.raced
	if a == nil || a.heard || !a.unanswered {
		return
	}
	// Choice: where nothing had promised QUIC, its absence says nothing about the network.
	if m.facts.QUIC == QUICUnknown && a.promised {
		m.rememberNetwork(QUICBlocked)
		return
	}
	m.remember(H3, quicFinding)
}

const (
	quicWasFaster = "QUIC was faster"
	tcpWasFaster  = "TCP was faster"
)
