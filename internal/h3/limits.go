package h3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// Rapid Reset and its kin: how many streams a client may make end early.
	resetBurst = 1000
	resetRate  = 33 // a second
	// Frames of the control stream, unidirectional streams, and frames that carry nothing.
	controlBurst = 10000
	controlRate  = 1000 // a second

	maxFields = 256 // field lines in a section

	defaultHeaderTimeout = 10 * time.Second
)

// chargeReset counts a stream that the client made end early.
func (sc *serverConn) chargeReset() {
	sc.mu.Lock()
	over := !sc.resets.Take(time.Now(), 1)
	sc.mu.Unlock()
	if over {
		// "An endpoint MAY treat activity that is suspicious as a connection error of type H3_EXCESSIVE_LOAD, but false positives will result
		// in disrupting valid connections and requests." RFC 9114, Section 10.5.
		go sc.exceeded(tooManyResets, fmt.Sprintf("client caused more than %d stream resets, %d a second", resetBurst, resetRate))
	}
}

// chargeControl counts n of what costs the client nothing.
func (sc *serverConn) chargeControl(what string, n int) *violation {
	sc.mu.Lock()
	over := !sc.controls.Take(time.Now(), n)
	sc.mu.Unlock()
	if !over {
		return nil
	}
	return &violation{code: tooMuchControl.code, rule: tooMuchControl, detail: fmt.Sprintf("client sent more than %d %s, %d a second", controlBurst, what, controlRate)}
}

// recvEmpty implements under.
//
// "All these features -- i.e., server push, unknown protocol elements, field compression -- have legitimate uses. [...] Implementations
// SHOULD track the use of these features and set limits on their use." RFC 9114, Section 10.5.
func (sc *serverConn) recvEmpty(n int) error {
	if v := sc.chargeControl("empty or unknown frames", n); v != nil {
		return v
	}
	return nil
}

// violated ends the connection because of what the client did, which is told and counted.
func (sc *serverConn) violated(_ *stream, v *violation) {
	rule := v.rule
	if rule == nil {
		rule = ruleOf(v.code)
	}
	sc.exceeded(rule, v.detail)
}

// exceeded ends the connection for a rule that the client broke. It waits for QUIC, not for the network.
func (sc *serverConn) exceeded(rule *Rule, detail string) {
	sc.mu.Lock()
	first := !sc.failed
	sc.failed = true
	sc.mu.Unlock()
	if !first {
		return
	}
	sc.q.CloseWithError(quic.ApplicationErrorCode(rule.code), detail)
	// The streams of a connection that is ending end before its context does: then it was not this that ended it.
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(sc.q.Context()))
	if ok && !e.Remote && http3.ErrCode(e.ErrorCode) == rule.code && e.ErrorMessage == detail {
		sc.tell(rule, detail)
	}
}

// tell tells of a rule that was broken.
func (sc *serverConn) tell(rule *Rule, detail string) { sc.srv.tell(sc.q.RemoteAddr(), rule, detail) }
