package weft

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
)

// A CloseError says that the peer closed the WebSocket with a Close frame. RFC 6455, Section 7.1.5 and 7.1.6.
type CloseError struct {
	Code   StatusCode // StatusNoStatusRcvd if the frame had none
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("weft: peer closed the WebSocket: %v", e.Code)
	}
	return fmt.Sprintf("weft: peer closed the WebSocket: %v (%q)", e.Code, e.Reason)
}

// A ProtocolError says that the peer broke a rule of RFC 6455 or RFC 7692. The WebSocket was closed with Code.
type ProtocolError struct {
	Side    string // who broke it: "client" or "server"
	Name    string // the rule, in kebab-case: "unmasked-frame"
	Code    StatusCode
	Section string // "RFC 6455, Section 5.1"
	Detail  string
}

func (e *ProtocolError) Error() string { return "weft: " + e.Detail }

// Is makes errors.Is(err, ErrMessageTooBig) true for a message over the read limit.
func (e *ProtocolError) Is(target error) bool {
	return target == ErrMessageTooBig && e.Code == StatusMessageTooBig
}

// ErrMessageTooBig is what errors.Is finds when a message exceeded the limit of [Conn.SetReadLimit].
var ErrMessageTooBig = errors.New("weft: message too big")

// A HandshakeError says why an opening handshake failed: a rule that the other side broke, or its answer.
type HandshakeError struct {
	StatusCode int    // of the HTTP response; 0: there was none
	Name       string // the rule or class, in kebab-case: "bad-accept", "refused"
	Section    string // "RFC 6455, Section 4.1"; "" where no rule was broken
	Detail     string
	Err        error // what lies beneath, or nil
}

func (e *HandshakeError) Error() string {
	s := "weft: " + e.Detail
	if e.Section != "" && !strings.Contains(s, e.Section) {
		s += " (" + e.Section + ")"
	}
	return s
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// A DialError says why [Dialer.Dial] failed, with every attempt that was made. Err is the decisive one: a *HandshakeError,
// a network or TLS error, or the context's. As JSON it is {"url", "error", "attempts"}; "error" is Err's text, and what is read back
// from it. Trace gives the attempts in words.
type DialError struct {
	URL      string
	Attempts []Attempt
	Err      error
}

func (e *DialError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "weft: %s: %s", e.URL, strings.TrimPrefix(e.Err.Error(), "weft: "))
	if len(e.Attempts) > 1 {
		for _, a := range e.Attempts {
			fmt.Fprintf(&b, "; attempt %d (%s): %s", a.ID, a.Rung, a.Reason)
		}
	}
	return b.String()
}

func (e *DialError) Unwrap() error { return e.Err }

// Trace is the account of what was tried: URL and Attempts.
func (e *DialError) Trace() Trace { return Trace{URL: e.URL, Attempts: e.Attempts} }

type dialErrorJSON struct {
	URL      string    `json:"url"`
	Error    string    `json:"error"`
	Attempts []Attempt `json:"attempts"`
}

// MarshalJSON implements json.Marshaler.
func (e *DialError) MarshalJSON() ([]byte, error) {
	j := dialErrorJSON{URL: e.URL, Attempts: e.Attempts}
	if e.Err != nil {
		j.Error = strings.TrimPrefix(e.Err.Error(), "weft: ")
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *DialError) UnmarshalJSON(b []byte) error {
	var j dialErrorJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*e = DialError{j.URL, j.Attempts, errors.New(j.Error)}
	return nil
}

// A requestError says that what a caller of Dial asks for cannot be dialed.
type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// A lostError says that the connection ended under the WebSocket: no Close frame came (1006).
type lostError struct{ err error }

func (e *lostError) Error() string {
	return "weft: connection lost without a Close frame (1006): " + e.err.Error()
}

func (e *lostError) Unwrap() error { return e.err }

// closedError is net.ErrClosed with what was attempted.
type closedError string

func (e closedError) Error() string { return "weft: " + string(e) + ": " + net.ErrClosed.Error() }
func (e closedError) Unwrap() error { return net.ErrClosed }
