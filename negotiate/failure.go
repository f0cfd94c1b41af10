package negotiate

import (
	"fmt"
	"strings"
	"time"
)

// A Class says what a failure means.
type Class string

const (
	Transport   Class = "transport"
	Killed      Class = "killed"
	Version     Class = "version"
	Refused     Class = "refused"
	Misdirected Class = "misdirected"
	Ambiguous   Class = "ambiguous"
	Early       Class = "early"
	Silent      Class = "silent"
	Handshake   Class = "handshake"
	Application Class = "application"

	// CallerLeft is the class of a dial whose context ended, and Disallowed of one for which the policy leaves no way. They
	// say nothing about the server.
	CallerLeft Class = "cancelled"
	Disallowed Class = "policy"
)

// A failure is what became of an attempt.
type failure struct {
	class  Class
	reason string
	err    error
}

// Error codes of HTTP/2. RFC 9113, Section 7.
const (
	protocolError  = 0x1
	refusedStream  = 0x7
	http11Required = 0xd
)

// failed ends a and decides what follows from the class of its failure.
func (m *Machine) failed(a *attempt, now time.Time, f failure) []Order {
	a.over = true
	a.Verdict, a.Reason = string(f.class), f.reason
	retry := false
	switch f.class {
	case Transport:
		// A live connection may have died unnoticed: that says nothing about the server.
		retry = a.reused && !m.policy.Once
		m.fresh = true
	case Refused:
		if a.reused {
			return append(m.giveUp(a, f), m.lookAgain()...)
		}
		retry = !m.retried
		m.retried, m.fresh = true, true
	}
	switch {
	case retry:
		return append(m.giveUp(a, f), m.ladder(now)...)
	case m.fallsBack(a, f.class):
		m.fellBack = true
		return append(m.giveUp(a, f), m.ladder(now)...)
	}
	if a.Rung != Upgrade && f.class == Version && a.strategy != nil {
		f.reason += "; the policy allows no other rung"
	}
	return m.fail(a, f)
}

// fallsBack reports whether class leads from a to an Upgrade on a connection of its own.
func (m *Machine) fallsBack(a *attempt, class Class) bool {
	if m.fellBack || a.Rung == Upgrade || !m.policy.allows(Upgrade) || m.facts.PriorKnowledge && !m.facts.Secure {
		return false
	}
	switch class {
	case Version, Refused:
		return true // the application has not seen the handshake
	case Killed, Ambiguous, Silent:
		return !m.policy.Once // it may have
	}
	return false
}

// lookAgain asks for the facts as they are now.
func (m *Machine) lookAgain() []Order {
	m.current = nil
	return []Order{AwaitProbe{}}
}

// giveUp says what becomes of a's connection and stream.
func (m *Machine) giveUp(a *attempt, f failure) []Order {
	switch {
	case a.pooled && f.class == Version && !a.reused:
		return []Order{Keep{Attempt: a.ID}}
	case a.pooled && f.class == Refused && !a.reused:
		return []Order{Discard{Attempt: a.ID, How: Drain}}
	case a.pooled && f.class != Transport && f.class != Killed:
		return []Order{Discard{Attempt: a.ID, How: CancelStream}}
	default:
		return []Order{Discard{Attempt: a.ID, How: CloseConn}}
	}
}

// classifyResponse judges a response to an Extended CONNECT that opened no WebSocket.
func classifyResponse(o Response) failure {
	answered := fmt.Sprintf("server answered %d to the Extended CONNECT", o.Status)
	switch o.Status {
	case 501:
		return failure{Version, answered, nil}
	case 421:
		return failure{Misdirected, answered, nil}
	case 425:
		return failure{Early, answered, nil}
	case 400, 404, 405, 408, 410, 426, 431:
		return failure{Ambiguous, answered + " although its SETTINGS announced support", nil}
	}
	switch {
	case o.Invalid != nil:
		return failure{Handshake, o.Invalid.Error(), o.Invalid}
	case o.Status/100 == 2:
		return failure{Handshake, answered + " and ended the stream at once", nil}
	}
	return failure{Application, answered, nil}
}

// classifyReset judges a stream that was reset before the response.
func classifyReset(o StreamReset) failure {
	reason := "stream was reset before the response" + because(o.Err)
	switch {
	case o.Local:
		return failure{Handshake, reason, o.Err}
	case o.Unprocessed || o.Code == refusedStream:
		return failure{Refused, reason, o.Err}
	case o.Code == protocolError || o.Code == http11Required:
		return failure{Version, reason, o.Err}
	}
	return failure{Application, reason, o.Err}
}

// classifyLoss judges a connection that ended before the response.
func classifyLoss(o ConnLost) failure {
	reason := "connection ended before the response" + because(o.Err)
	switch {
	case o.Unprocessed || o.GoAway && o.Code == 0:
		return failure{Refused, reason, o.Err}
	case o.GoAway && o.Code == http11Required:
		return failure{Version, reason, o.Err}
	}
	return failure{Transport, reason, o.Err}
}

// reason says what failed in words.
func (o ConnectFailed) reason() string {
	s := fmt.Sprintf("no connection (%s)", o.Step)
	return s + because(o.Err)
}

// notAllowed says which side lacks what when the server chose a protocol that the policy has no rung for.
func notAllowed(a *attempt, p Policy) string {
	chose := fmt.Sprintf("server chose %q by ALPN", a.ALPN)
	if a.ALPN == "" {
		chose = "server chose nothing by ALPN, which means http/1.1"
	}
	return fmt.Sprintf("%s (offered: %s); policy allows only %s", chose, strings.Join(a.alpn, ", "), rungList(p))
}

func rungList(p Policy) string {
	var names []string
	for _, r := range p.Rungs {
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}
