package h3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A Limit is one that a client can exceed.
type Limit struct {
	Protocol string // "http3" or "quic"
	Name     string // in kebab-case
	Section  string // "RFC 9114, Section 10.5"
}

var (
	headerListTooLarge = Limit{Protocol: "http3", Name: "header-list-too-large", Section: "RFC 9114, Section 4.2.2"}
	tooManyResets      = Limit{Protocol: "http3", Name: "too-many-resets", Section: "RFC 9114, Section 10.5"}
	handshakeTimeout   = Limit{Protocol: "quic", Name: "handshake-timeout", Section: "RFC 9000, Section 10.1"}
)

// Rapid Reset and its kin: how many streams a client may make end early.
const (
	resetBurst = 1000
	resetRate  = 33 // a second
)

func (s *Server) exceeded(remote net.Addr, l Limit, format string, a ...any) {
	if s.Violation != nil {
		s.Violation(remote, l, fmt.Sprintf(format, a...))
	}
}

// chargeRequest counts r, whose handler has returned, if its stream has ended early, and nothing else has ended it.
func (sc *serverConn) chargeRequest(w *answer, r *http.Request) {
	if w.endedEarly(r) && sc.q.Context().Err() == nil && (sc.base == nil || sc.base.Err() == nil) {
		sc.chargeReset()
	}
}

// chargeReset counts a stream that the client made end early.
func (sc *serverConn) chargeReset() {
	sc.mu.Lock()
	over := !sc.excessive && !sc.resets.Take(time.Now(), 1)
	sc.excessive = sc.excessive || over
	sc.mu.Unlock()
	if over {
		go sc.endExcessive()
	}
}

// endExcessive ends the connection.
//
// "An endpoint MAY treat activity that is suspicious as a connection error of type H3_EXCESSIVE_LOAD, but false positives will result in
// disrupting valid connections and requests." RFC 9114, Section 10.5.
func (sc *serverConn) endExcessive() {
	detail := fmt.Sprintf("client caused more than %d stream resets, %d a second", resetBurst, resetRate)
	sc.q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), detail)
	// The streams of a connection that is ending end before its context does: then it was not this that ended it.
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(sc.q.Context()))
	if ok && !e.Remote && e.ErrorMessage == detail {
		sc.srv.exceeded(sc.q.RemoteAddr(), tooManyResets, "%s", detail)
	}
}
