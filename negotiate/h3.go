package negotiate

import "time"

// h3 is the rung of RFC 9220: as settings, over HTTP/3. Nothing is ever assumed on it: the SETTINGS that a server sends with its first flight
// are there as soon as the connection is. How the connection comes about stands in quic.go.
//
// With Policy.EarlyConnect the CONNECT may leave in 0-RTT data, on the word that the server gave with the session ticket:
//
//	Connected.Early --> SendConnect --> Response
//	                                --> 425: SendConnect once more on the same connection
//	                                --> EarlyRejected: WaitSettings, and on as without
type h3 struct{}

func (h3) speaks(alpn string) bool { return alpn == alpnH3 }

func (h3) connected(m *Machine, now time.Time, a *attempt) { settings{}.connected(m, now, a) }

func (h3) settings(m *Machine, now time.Time, a *attempt, o SettingsReceived) {
	if !a.assumed {
		settings{}.settings(m, now, a, o)
		return
	}
	// "If a server accepts 0-RTT but then sends a SETTINGS frame that omits a setting value that the client understands ... that was
	// previously specified to have a non-default value, this MUST be treated as a connection error of type H3_SETTINGS_ERROR."
	// RFC 9114, Section 7.2.4.2.
	if !o.ConnectProtocol {
		m.failed(now, a, o, Discard{Attempt: a.ID, How: CloseConn})
		return
	}
	a.assumed = false
	m.takeQUIC(a)
}

// sendInEarlyData: "A client MUST comply with stored settings ... when attempting 0-RTT." RFC 9114, Section 7.2.4.2. The stored ones allow it.
func (m *Machine) sendInEarlyData(now time.Time, a *attempt) {
	a.early, a.assumed, a.connectAllowed = true, true, true
	a.state, a.sentAt = sent, a.began
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
}

// recvEarlyRejected: the request was not processed, and the connection is as good as any.
func (m *Machine) recvEarlyRejected(now time.Time, o EarlyRejected) {
	a := m.attempt(o.Attempt)
	if a == nil || !a.early || a.state != sent {
		return
	}
	m.answered(a)
	a.early, a.assumed, a.connectAllowed = false, false, false
	m.takeQUIC(a)
	strategies[H3].connected(m, now, a)
}

// goesOnFromH3 is goesOn for h3: the way on is over TCP.
func (m *Machine) goesOnFromH3(now time.Time, a *attempt, class Class, o Outcome) bool {
	switch class {
	case Transport, Version, Killed:
		return m.leaveQUIC(now, a)
	case Refused, Silent:
		return a.live && (a.Alt == nil || a.hadDied(class, o)) && m.renew(now) || m.leaveQUIC(now, a)
	case Misdirected:
		return a.Alt != nil && m.leaveQUIC(now, a) || a.coalesced && m.renew(now)
	case Ambiguous:
		if a.Alt != nil {
			return m.leaveQUIC(now, a)
		}
		return a.coalesced && m.renew(now) || m.pending == nil && m.fallBack(now)
	case Early:
		return m.repeat(now)
	}
	return false
}

// leaveQUIC goes on as if there were no h3, and reports whether that is possible. Where the policy has nothing else, and this was an
// alternative service, that is at the origin's own address.
func (m *Machine) leaveQUIC(now time.Time, a *attempt) bool {
	if !m.canLeaveQUIC(now, a) {
		return false
	}
	m.quicAltTried = true
	m.quicTried = a.Alt == nil || m.policy.allowsTCP()
	m.choose(now)
	return true
}

func (m *Machine) canLeaveQUIC(now time.Time, a *attempt) bool {
	// pending: TCP has failed already.
	return m.pending == nil && len(m.attempts) < maxAttempts && (len(m.offer(now)) > 0 || a.Alt != nil && !m.policy.allowsTCP())
}

// learnH3 stores what the failure of a says about h3 at the origin. Where an alternative service does not do it, then the origin does not: it
// has named it. Only that nobody is there says nothing about the origin's own address.
func (m *Machine) learnH3(a *attempt, class Class, o Outcome) {
	drop := a.Alt != nil && !a.Alt.Hint
	switch class {
	case Transport:
		f, _ := o.(ConnectFailed)
		switch {
		case !a.heard:
			drop = false // that may be the network's fault: see judgeQUIC
		case !drop && f.Step != StepResolve:
			m.remember(H3, quicFinding)
		}
	case Version:
		m.remember(H3, versionFinding(o))
	case Killed:
		// Choice: not for long. It was the early data that the server minded, if anything.
		m.remember(H3, lostFinding)
	case Ambiguous:
		m.doubtful = H3
		drop = false
	case Misdirected:
	case Silent:
		drop = drop && !a.hadDied(class, o)
	default:
		drop = false
	}
	if class == Version || class == Killed {
		if a.Alt == nil || m.policy.allowsTCP() {
			m.exclude(H3)
		}
	}
	if drop {
		m.order(DropAlternative{Alt: *a.Alt})
	}
}

const alpnH3 = "h3"
