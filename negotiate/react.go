package negotiate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

func (m *Machine) recvConnected(now time.Time, o Connected) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != connecting {
		return
	}
	a.ALPN = o.ALPN
	m.spend(a, connectCost(o, a.tls))
	if a == m.spare {
		a.ready = true
		return
	}
	a.at = max(a.at, m.at) // a spare that was waited for
	if a.alt != nil && o.ALPN == a.alt.ALPN {
		a.Rung = m.altRung(now, o.ALPN)
		strategies[a.Rung].connected(m, now, a)
		return
	}
	for _, r := range m.rungs(now) {
		if a.alt == nil && strategies[r].speaks(o.ALPN) && (o.ALPN == "" || slices.Contains(a.offer, o.ALPN)) {
			a.Rung = r
			if a.alt == nil && m.facts.Secure && r == Upgrade && slices.Contains(a.offer, h2ALPN) {
				m.order(Remember{Rung: Settings, Verdict: No, Cause: CauseALPN, TTL: ttlSettings})
			}
			if !strategies[r].assumes() {
				m.dropSpare()
			} else if m.wantsSpare(now, a) {
				m.startSpare(a) // TCP was not reported
			}
			strategies[r].connected(m, now, a)
			return
		}
	}
	// Something that this dial has no rung for.
	m.order(Discard{Attempt: a.ID, How: CloseConn})
	chose := "no protocol (ALPN)"
	if o.ALPN != "" {
		chose = fmt.Sprintf("protocol %q (ALPN)", o.ALPN)
	}
	reason := fmt.Sprintf("server chose %s, offered was %s", chose, strings.Join(a.offer, ", "))
	a.end(string(Version), reason)
	if a.alt != nil {
		m.leaveAlt(now, a)
		return
	}
	if slices.Contains(a.offer, o.ALPN) && m.fallBack(now) {
		return // h2 was offered only so that the server need not give up
	}
	if upgrade := strategies[Upgrade]; upgrade.speaks(o.ALPN) && !m.policy.allows(Upgrade) {
		reason += withoutUpgrade
	}
	m.fail(a.ID, Version, reason, nil)
}

// recvSettings: on an assumed request they decide whether what came for it, or comes, counts.
func (m *Machine) recvSettings(now time.Time, a *attempt, o SettingsReceived) {
	switch {
	case a.state == waiting:
		m.spend(a, 1)
		strategies[a.Rung].settings(m, now, a, o)
	case a.state == sent && a.frame:
		a.connects = o.ConnectProtocol
	case a.state == sent && a.assumed && !a.allowed:
		if !o.ConnectProtocol {
			// "it MUST be ignored": whatever was answered, the server has not said that it knows what it answers.
			m.spend(a, 1)
			m.order(Settle{Attempt: a.ID, IfKilled: Remember{Rung: Assume, Verdict: No, Cause: CauseKilled, TTL: ttlKilled}})
			m.failed(now, a, o)
			return
		}
		a.allowed = true
		if held := a.held; held != nil {
			a.held = nil
			orders := m.Report(now, held)
			m.orders = append(m.orders, orders...)
		}
	}
}

// holds keeps o until a's SETTINGS have come.
func (a *attempt) holds(o Outcome) bool {
	if !a.assumed || a.allowed {
		return false
	}
	if a.held == nil {
		a.held = o
	}
	return true
}

func (m *Machine) recvResponse(now time.Time, o Response) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != sent || a.holds(o) {
		return
	}
	m.spend(a, 1)
	if succeeded(a.Rung, o.Status) && o.Invalid == nil && !o.Ended {
		a.end(verdictOpen, "")
		m.dropSpare()
		m.done = true
		m.order(Succeed{Attempt: a.ID, Rung: a.Rung, Reused: a.live, Confirm: m.confirm(a)})
		return
	}
	m.failed(now, a, o)
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

// recvEnd: an attempt that is in state s has ended without a response.
func (m *Machine) recvEnd(now time.Time, id int, s state, o Outcome) {
	a := m.attempt(id)
	if a == nil || a.state != s {
		return
	}
	if a == m.spare {
		m.loseSpare(o)
		return
	}
	switch o.(type) {
	case StreamReset:
		if a.holds(o) {
			return
		}
		m.spend(a, 1)
	case FrameUnsupported:
		m.spend(a, 1)
		if !a.live {
			m.order(Keep{Attempt: a.ID})
		}
		if a.connects && (m.policy.allows(Settings) || m.policy.allows(Assume)) {
			m.order(Remember{Rung: Frame, Verdict: No, Cause: CauseIgnored, TTL: ttlSettings})
			a.Rung, a.frame = Settings, false
			m.order(SendConnect{Attempt: a.ID})
			m.watch(now, a)
			return
		}
	}
	m.failed(now, a, o)
}

func (m *Machine) recvTimer(now time.Time, o Timer) {
	if m.timer.IsZero() || now.Before(m.timer) {
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
		return
	}
	how := Drain // what does not answer gets no more streams either
	if a.state == waiting {
		how = CloseConn
	}
	m.order(Discard{Attempt: a.ID, How: how})
	m.failed(now, a, o)
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
	if a := m.underWay(); a != nil {
		id = a.ID
		late := !m.facts.Deadline.IsZero() && !now.Before(m.facts.Deadline)
		if late && a.state != connecting {
			class, reason = classify(failure{outcome: o, rung: a.Rung, sent: a.state == sent})
		}
		a.end(string(class), reason)
	}
	m.fail(id, class, reason, o.Err)
}

// failed decides what follows on a failure of a.
func (m *Machine) failed(now time.Time, a *attempt, o Outcome) {
	class, reason := classify(failure{outcome: o, rung: a.Rung, sent: a.state == sent, assumed: a.assumed && !a.allowed})
	m.timer = time.Time{}
	a.end(string(class), reason)
	err := errOf(o)
	if _, ok := o.(Response); ok {
		m.answer = &Fail{Attempt: a.ID, Class: class, Reason: reason, Err: err}
	}
	if a.alt != nil && class != Application && class != Handshake {
		m.leaveAlt(now, a)
		return
	}
	m.learn(now, a, class, o)
	if a.wasSpare && a.Rung == Upgrade && m.respare(now, o) {
		return
	}
	var goesOn bool
	switch class {
	case Version:
		goesOn = m.fallBack(now)
	case Killed:
		goesOn = !m.policy.Once && m.fallBack(now)
	case Refused:
		goesOn = m.renew(now) || m.fallBack(now)
	case Misdirected:
		goesOn = a.coalesced && m.renew(now)
	case Ambiguous:
		goesOn = a.coalesced && m.renew(now) || m.fallBack(now)
	case Early:
		goesOn = m.repeat(now)
	case Silent:
		goesOn = !m.policy.Once && a.Rung != Upgrade && (a.live && m.renew(now) || m.fallBack(now))
	}
	if goesOn {
		return
	}
	switch class {
	case Version, Killed, Refused, Ambiguous:
		if a.Rung != Upgrade && !m.policy.allows(Upgrade) {
			reason += withoutUpgrade
		}
	}
	m.fail(a.ID, class, reason, err)
}

// repeat sends the request once more, on another connection or stream.
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

// fail ends the dial. The answer of an earlier attempt is worth more than the failure of a later one to get any.
func (m *Machine) fail(id int, class Class, reason string, err error) {
	m.done = true
	m.dropSpare()
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

// underWay returns the one attempt that is not over.
func (m *Machine) underWay() *attempt {
	for _, a := range slices.Backward(m.attempts) {
		if a.state != over && a != m.spare {
			return a
		}
	}
	return nil
}

func (a *attempt) end(verdict, reason string) {
	a.state, a.Verdict, a.Reason = over, verdict, reason
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

// connectCost is the round trips of a new connection: 1 for TCP and 1 for TLS 1.3 (RFC 8446, Section 2), unless the
// outcome knows better.
func connectCost(o Connected, tls bool) int {
	switch {
	case o.RoundTrips > 0:
		return o.RoundTrips
	case tls:
		return 2
	}
	return 1
}

const verdictOpen = "open"
