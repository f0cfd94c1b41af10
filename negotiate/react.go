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
	m.roundTrips += connectCost(o, a.tls)
	for _, r := range m.rungs() {
		if strategies[r].speaks(o.ALPN) && (o.ALPN == "" || slices.Contains(a.offer, o.ALPN)) {
			a.Rung = r
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
	if upgrade := strategies[Upgrade]; upgrade.speaks(o.ALPN) && !m.policy.allows(Upgrade) {
		reason += withoutUpgrade
	}
	a.end(string(Version), reason)
	m.fail(a.ID, Version, reason, nil)
}

func (m *Machine) recvResponse(now time.Time, o Response) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != sent {
		return
	}
	m.roundTrips++
	if succeeded(a.Rung, o.Status) && o.Invalid == nil && !o.Ended {
		a.end(verdictOpen, "")
		m.done = true
		m.order(Succeed{Attempt: a.ID, Rung: a.Rung, Reused: a.live})
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
	if a := m.attempt(id); a != nil && a.state == s {
		if _, ok := o.(StreamReset); ok {
			m.roundTrips++
		}
		m.failed(now, a, o)
	}
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
	class, reason := classify(failure{outcome: o, rung: a.Rung, sent: a.state == sent})
	m.timer = time.Time{}
	a.end(string(class), reason)
	err := errOf(o)
	if _, ok := o.(Response); ok {
		m.answer = &Fail{Attempt: a.ID, Class: class, Reason: reason, Err: err}
	}
	var goesOn bool
	switch class {
	case Version, Killed:
		goesOn = m.fallBack(now)
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
	if n := len(m.attempts); n > 0 && m.attempts[n-1].state != over {
		return m.attempts[n-1]
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
