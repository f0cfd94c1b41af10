package negotiate

import (
	"errors"
	"net/http"
	"time"
)

func (m *Machine) recvProbeDone(now time.Time, o ProbeDone) {
	if m.awaiting {
		m.awaiting = false
		m.timer = time.Time{}
		m.facts = o.Facts
		m.choose(now)
	}
}

func (m *Machine) recvReached(now time.Time, o Reached) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != connecting && !a.early {
		return
	}
	a.rtt, a.heard = o.RTT, true
	if a.reached.IsZero() {
		a.reached = now
	}
	if a != m.main {
		return
	}
	if m.policy.Spare == Staggered && m.wantsSpare(now, a) {
		m.startSpare(now, a.began+1)
	}
	m.watchFirst(now)
}

func (m *Machine) recvConnected(now time.Time, o Connected) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != connecting {
		return
	}
	a.took = now.Sub(a.ordered)
	switch a {
	case m.spare:
		if !m.spareConnected(o) {
			return
		}
		if !m.relieved {
			m.watchFirst(now)
			return
		}
		m.overtake()
	case m.quic:
		m.quicConnected(now, o)
		return
	}
	m.tcpConnected(now)
	m.relieveAt = time.Time{}
	a.ALPN = o.ALPN
	m.passed(a.began + connectCost(o, a))
	if r, ok := m.rungFor(o.ALPN, func(r Rung) bool { return m.fits(now, a, r) }); ok {
		a.Rung = r
		if m.policy.Spare == Staggered && (r == Assume || r == Frame) && m.wantsSpare(now, a) {
			m.startSpare(now, m.roundTrips) // nobody said when TCP was up
		}
		strategies[r].connected(m, now, a)
		return
	}
	// Something that this dial has no rung for.
	m.failed(now, a, o, Discard{Attempt: a.ID, How: CloseConn})
}

// fits reports whether a may be used by r, which speaks what the server chose.
func (m *Machine) fits(now time.Time, a *attempt, r Rung) bool {
	switch {
	case a.Alt != nil:
		// "If the connection to the alternative service does not negotiate the expected protocol ... the connection to the alternative
		// service MUST be considered to have failed." RFC 7838, Section 2.4.
		return m.allowedThere(r) && strategies[r].speaks(a.Alt.ALPN)
	case a.ALPN != "" && !a.offered(a.ALPN):
		return false
	case r == Upgrade:
		return m.policy.allows(Upgrade)
	}
	return m.may(r, now)
}

func (m *Machine) recvConnectFailed(now time.Time, o ConnectFailed) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != connecting && (a != m.quic || !a.early) {
		return
	}
	if a == m.spare {
		m.spareFailed(o)
		return
	}
	if a == m.quic {
		// Only where QUIC itself fails, silence is a sign.
		a.heard = a.heard || o.Heard || o.Step != StepQUIC
		if a.heard && o.Step != StepResolve && m.underWay() == nil {
			m.passed(a.began + 1)
		}
		m.failed(now, a, o)
		return
	}
	switch o.Step {
	case StepTCP, StepProxy:
		m.passed(a.began + 1)
	case StepTLS, StepCertificate:
		m.passed(a.began + 2)
	}
	m.failed(now, a, o)
}

func (m *Machine) recvSettings(now time.Time, o SettingsReceived) {
	a := m.attempt(o.Attempt)
	onTheWay := a != nil && a.Rung == H3 && a.assumed // the request left on the word of those of a session before
	if a == nil || a.state != waiting && !a.awaitsSettings && !onTheWay {
		return
	}
	if a.Rung == H3 && a.state == waiting {
		m.passed(a.sentAt + o.RoundTrips)
	} else {
		m.answered(a)
	}
	a.awaitsSettings = false
	a.connectAllowed = o.ConnectProtocol
	strategies[a.Rung].settings(m, now, a, o)
}

// recvAnswer: a response, or a reset in its place.
func (m *Machine) recvAnswer(now time.Time, id int, o Outcome) {
	a := m.attempt(id)
	if a == nil || a.state != sent || a.answer != nil {
		return
	}
	if _, reset := o.(StreamReset); reset && a.Rung == Upgrade {
		return
	}
	m.answered(a)
	a.answer = o
	m.proceed(now, a)
}

// proceed acts upon what a's request was answered, once it may.
func (m *Machine) proceed(now time.Time, a *attempt) {
	switch {
	case a.awaitsSettings:
	case a.unsupported && a.awaitsAccept:
		m.proposalIgnored(now, a)
	case a.awaitsAccept || a.answer == nil:
	default:
		m.settleAnswer(now, a)
	}
}

func (m *Machine) settleAnswer(now time.Time, a *attempt) {
	o, ok := a.answer.(Response)
	if ok && o.Status == http.StatusTooEarly && m.repeatHere(now, a) {
		return
	}
	if !ok || !succeeded(a.Rung, o.Status) || o.Invalid != nil || o.Ended {
		m.failed(now, a, a.answer)
		return
	}
	if m.doubtful != "" && a.Rung == Upgrade || m.doubtful == H3 && a.Rung != H3 {
		m.remember(m.doubtful, ambiguousFinding)
	}
	m.takeQUIC(a)
	a.end(VerdictOpen, "")
	m.dropSpare("not needed")
	m.endQUIC()
	m.done = true
	r := a.Rung
	if a.Alt != nil && r != H3 {
		r = AltSvc
	}
	m.order(Succeed{Attempt: a.ID, Rung: r, Reused: a.live, Confirm: m.confirm(now, a)})
}

// recvNoSlot: nothing was sent, so this is no failure but a reason to look at the facts again.
func (m *Machine) recvNoSlot(now time.Time, o NoSlot) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != sent || a.Rung == Upgrade {
		return
	}
	if !a.live || m.awaits >= maxAwaits || len(m.attempts) == maxAttempts {
		m.failed(now, a, o)
		return
	}
	_, reason := classify(failure{outcome: o, rung: a.Rung})
	a.end(string(Refused), reason)
	m.awaitProbe(now)
}

func (m *Machine) recvConnLost(now time.Time, o ConnLost) {
	a := m.attempt(o.Attempt)
	switch {
	case a == nil || a.state == connecting:
	case a == m.spare:
		m.recvSpoke(Spoke{Attempt: o.Attempt, EOF: true})
	case a == m.quic && !a.heard && !o.GoAway && !o.CloseNotify:
		m.recvConnectFailed(now, ConnectFailed{Attempt: o.Attempt, Step: StepQUIC, Err: o.Err}) // it never was a connection
	default:
		m.answered(a)
		m.failed(now, a, o)
	}
}

func (m *Machine) recvTimer(now time.Time, o Timer) {
	if !m.headStart.IsZero() && !now.Before(m.headStart) {
		m.headStartOver(now)
		if now.Before(m.timer) {
			m.arm()
		}
	}
	if !m.relieveAt.IsZero() && !now.Before(m.relieveAt) {
		m.relieve(now)
		if now.Before(m.timer) {
			m.arm()
		}
	}
	if m.done || m.timer.IsZero() || now.Before(m.timer) {
		return // one that was given up
	}
	m.timer = time.Time{}
	if m.awaiting {
		m.awaiting = false
		m.facts.Probing = 0
		m.choose(now)
		return
	}
	a := m.underWay()
	if a == nil || a.state == connecting {
		m.arm() // it was about early data, and there may be more to wait for
		return
	}
	how := Drain // what does not answer gets no more streams either
	if a.state == waiting || a.awaitsSettings || a.Rung == Upgrade {
		how = CloseConn
	}
	m.failed(now, a, o, Discard{Attempt: a.ID, How: how})
}

func (m *Machine) recvCancelled(now time.Time, o Cancelled) {
	class, reason := CallerLeft, "caller gave up"
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](o.Err); ok && timeout.Timeout() {
		reason = "dial took too long"
	}
	id := 0
	a := m.underWay()
	if a == nil {
		a, m.quic = m.quic, nil
	}
	if a != nil {
		id = a.ID
		late := !m.facts.Deadline.IsZero() && !now.Before(m.facts.Deadline)
		if late && a.state != connecting {
			class, reason = m.classify(a, o)
		} else if late {
			reason += ": no connection had been made"
		}
		a.end(string(class), reason)
	}
	m.fail(id, class, reason, o.Err)
}

// failed decides what follows on a failure of a. The order says what becomes of its connection; none: it is gone, or stays in the pool.
func (m *Machine) failed(now time.Time, a *attempt, o Outcome, order ...Order) {
	class, reason := m.classify(a, o)
	if a == m.quic && m.quicFailed(a, class, reason, o, order) {
		return
	}
	m.timer, m.relieveAt = time.Time{}, time.Time{}
	a.end(string(class), reason)
	err := errOf(o)
	if _, ok := o.(Response); ok {
		m.answer = &Fail{Attempt: a.ID, Class: class, Reason: reason, Err: err}
	}
	m.learn(a, class, o)
	m.orders = append(m.orders, order...)
	if m.goesOn(now, a, class, o) {
		return
	}
	switch class {
	case Version, Killed, Refused, Ambiguous:
		if a.Rung != Upgrade && !m.policy.allows(Upgrade) {
			reason += withoutUpgrade
		}
	}
	f := Fail{Attempt: a.ID, Class: class, Reason: reason, Err: err}
	switch {
	case m.quicMayHelp(class):
		m.dropSpare("not needed")
		m.pending = &f
		return
	case m.pending != nil && class == Transport:
		f = *m.pending
	}
	m.fail(f.Attempt, f.Class, f.Reason, f.Err)
}

// goesOn takes the way that the table of classes says, and reports whether there is one.
func (m *Machine) goesOn(now time.Time, a *attempt, class Class, o Outcome) bool {
	// What the server may have acted on is not sent again.
	_, lost := o.(ConnLost)
	if m.policy.Once && (class == Silent || class == Killed || class == Refused && lost && a.Rung == Upgrade) {
		return false
	}
	if a.Rung == H3 {
		return m.goesOnFromH3(now, a, class, o)
	}
	if a.Alt != nil {
		switch class {
		case Transport, Killed, Version, Misdirected, Silent:
			if !a.Alt.Hint && !a.hadDied(class, o) {
				m.order(DropAlternative{Alt: *a.Alt})
			}
			return m.backToOrigin(now, a)
		case Refused, Ambiguous:
			return m.backToOrigin(now, a)
		}
	}
	switch class {
	case Transport:
		return m.redo(now, a)
	case Version, Killed:
		return a.Rung != Upgrade && (m.fallBack(now) || m.goOn(now)) || m.redo(now, a)
	case Refused:
		return m.redo(now, a) || m.renew(now) || m.fallBack(now)
	case Misdirected:
		return a.coalesced && m.renew(now)
	case Ambiguous:
		return a.coalesced && m.renew(now) || m.fallBack(now)
	case Early:
		return m.repeat(now)
	case Silent:
		return a.Rung != Upgrade && (a.live && m.renew(now) || m.fallBack(now))
	}
	return false
}

// hadDied reports whether a's connection is from before this dial, and was lost without an answer. Where it was made to is as good as ever: the
// machine may have slept, or changed its network.
func (a *attempt) hadDied(class Class, o Outcome) bool {
	_, lost := o.(ConnLost)
	return a.live && class == Silent && lost
}

func (m *Machine) classify(a *attempt, o Outcome) (Class, string) {
	return classify(failure{
		outcome: o, rung: a.Rung, sent: a.state == sent, early: a.awaitsSettings, assumed: a.assumed, idled: a.idled, offer: a.offer,
	})
}

// fail ends the dial. The answer of an earlier attempt is worth more than the failure of a later one to get any.
func (m *Machine) fail(id int, class Class, reason string, err error) {
	m.dropSpare("not needed")
	m.endQUIC()
	m.done = true
	f := Fail{Attempt: id, Class: class, Reason: reason, Err: err}
	if m.answer != nil && m.answer.Attempt != id {
		f = *m.answer
		f.Reason += "; then: " + reason
		if f.Err == nil {
			f.Err = err
		}
	}
	m.order(f)
}

func errOf(o Outcome) error {
	switch o := o.(type) {
	case ConnectFailed:
		return o.Err
	case StreamReset:
		return o.Err
	case ConnLost:
		return o.Err
	case Response:
		return o.Invalid
	}
	return nil
}

// connectCost is the round trips of a new connection: 1 for TCP and 1 for TLS 1.3 (RFC 8446, Section 2), 1 for QUIC with TLS in it
// (RFC 9001, Section 4), unless the outcome knows better.
func connectCost(o Connected, a *attempt) int {
	switch {
	case o.RoundTrips > 0:
		return o.RoundTrips
	case a.tls && a.Rung != H3:
		return 2
	}
	return 1
}
