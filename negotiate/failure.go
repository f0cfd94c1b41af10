package negotiate

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Class says what a failure means, and so what a dial does next.
type Class string

const (
	// Transport: the connection could not be made. It says nothing about WebSockets. Final.
	Transport Class = "transport"
	// Killed: the connection ended over an assumption. The dial falls back.
	Killed Class = "killed"
	// Version: the server does not do WebSockets over this version of HTTP. The dial falls back.
	Version Class = "version"
	// Refused: the server did nothing with the request. Once more on a new connection of the same version; then the dial
	// falls back.
	Refused Class = "refused"
	// Misdirected: the server is not the right one. Once more on a connection of its own, if it was not one; else final.
	Misdirected Class = "misdirected"
	// Ambiguous: the answer may be the application's, or that of a server that does not do what it announced. As
	// Misdirected; then the dial falls back once.
	Ambiguous Class = "ambiguous"
	// Early: the request came too early. Once more.
	Early Class = "early"
	// Silent: no answer. The dial falls back once, but for Policy.Once; from a connection that was there before, which may have
	// died unnoticed, it goes to a new one of the same version first.
	Silent Class = "silent"
	// Handshake: a success that does not follow the rules of the handshake. Final.
	Handshake Class = "handshake"
	// Application: the application's answer. Final.
	Application Class = "application"

	// CallerLeft is the class of a dial whose context ended, and Disallowed of one for which the policy leaves no way. They
	// say nothing about the server.
	CallerLeft Class = "cancelled"
	Disallowed Class = "policy"
)

// A failure is the outcome of an attempt that did not succeed, with what classify needs of the attempt.
type failure struct {
	outcome Outcome
	rung    Rung
	sent    bool // the request has left
	early   bool // ... and the server's SETTINGS have not come
	assumed bool // ... before the server had allowed it
	idled   bool // on a spare that had waited
	offer   []string
}

// classify returns the first class of the table that has a sign, and the sign in words.
func classify(f failure) (Class, string) {
	for _, row := range failures {
		if sign := row.sign(f); sign != "" {
			return row.class, sign
		}
	}
	return Transport, "attempt failed"
}

var failures = []struct {
	class Class
	sign  func(failure) string
}{
	{Transport, signOfTransport},
	{Killed, signOfKilling},
	{Version, signOfVersion},
	{Refused, signOfRefusal},
	{Misdirected, statusSign(http.StatusMisdirectedRequest)},
	{Ambiguous, signOfAmbiguity},
	{Early, statusSign(http.StatusTooEarly)},
	{Silent, signOfSilence},
	{Handshake, signOfHandshake},
	{Application, signOfApplication},
}

func signOfTransport(f failure) string {
	if o, ok := f.outcome.(ConnectFailed); ok {
		return fmt.Sprintf("connection could not be made (%s)", o.Step)
	}
	return ""
}

// signOfKilling: an orderly GOAWAY that does not count the stream is a refusal, every other end over an assumption is taken for its
// consequence.
func signOfKilling(f failure) string {
	o, ok := f.outcome.(ConnLost)
	if !ok || !f.assumed || o.Local || o.GoAway && o.Unprocessed && (o.Code == codeNoError || o.Code == codeH3NoError) {
		return ""
	}
	what := "an assumed CONNECT"
	switch f.rung {
	case Frame:
		what = "a proposal by WS_OPEN"
	case H3:
		what = "a CONNECT in early data"
	}
	return "server ended the connection over " + what + endWords(o)
}

func signOfVersion(f failure) string {
	if o, ok := f.outcome.(Connected); ok {
		chose := "no protocol (ALPN)"
		if o.ALPN != "" {
			chose = fmt.Sprintf("protocol %q (ALPN)", o.ALPN)
		}
		return fmt.Sprintf("server chose %s, offered was %s", chose, strings.Join(f.offer, ", "))
	}
	if f.rung == Upgrade {
		return "" // there is no older version to go to
	}
	switch o := f.outcome.(type) {
	case SettingsReceived:
		switch {
		case o.ConnectProtocol:
		case f.rung == H21 || f.rung == Token:
			return fmt.Sprintf("server's SETTINGS have ENABLE_CONNECT_PROTOCOL = 0 on %s", f.rung)
		case f.rung == H3:
			return noConnectProtocolH3
		default:
			return noConnectProtocol
		}
	case FrameUnsupported:
		return "server ignores WS_OPEN: the PING behind it was acknowledged first"
	case StreamReset:
		switch {
		case o.Local:
		case o.Code == codeProtocolError:
			return "server reset the stream with PROTOCOL_ERROR"
		case o.Code == codeH3ProtocolError, o.Code == codeMessageError:
			return fmt.Sprintf("server takes the CONNECT for an error of protocol (error code %#x)", o.Code)
		case o.Code == codeHTTP11Required, o.Code == codeVersionFallback:
			return fmt.Sprintf("server asks for another version of HTTP (error code %#x)", o.Code)
		}
	case ConnLost:
		switch {
		case o.Code == codeHTTP11Required, o.Code == codeVersionFallback:
			return fmt.Sprintf("server asks for another version of HTTP (error code %#x)", o.Code)
		case o.Local && !timedOut(o) && (!f.sent || f.early || f.assumed):
			version := "HTTP/2"
			if f.rung == H3 {
				version = "HTTP/3"
			}
			return "server does not speak " + version + " as it should" + endWords(o)
		}
	case Response:
		return statusSign(http.StatusNotImplemented)(f)
	}
	return ""
}

func signOfRefusal(f failure) string {
	switch o := f.outcome.(type) {
	case Response:
		if f.idled {
			return statusSign(http.StatusRequestTimeout)(f) // written before the request came
		}
	case NoSlot:
		return "connection takes no more streams"
	case SettingsReceived:
		if o.Slots <= 0 {
			return "server's SETTINGS allow no stream (MAX_CONCURRENT_STREAMS)"
		}
	case StreamReset:
		if o.Unprocessed || (o.Code == codeRefusedStream || o.Code == codeRequestRejected) && !o.Local {
			return fmt.Sprintf("server did not process the stream (error code %#x)", o.Code)
		}
	case ConnLost:
		switch {
		case f.idled:
			return "spare connection had ended when it was needed" + endWords(o)
		case f.rung == Upgrade:
		case o.Unprocessed:
			return "server ended the connection without having processed the stream" + endWords(o)
		case !f.sent && !timedOut(o):
			// Nothing was asked for yet, so nothing was processed.
			return "connection was lost before the server's SETTINGS" + endWords(o)
		}
	}
	return ""
}

// signOfAmbiguity: over HTTP/1.1 there is nothing to be in doubt about.
func signOfAmbiguity(f failure) string {
	if f.rung == Upgrade {
		return ""
	}
	switch o := f.outcome.(type) {
	case Response:
		return statusSign(http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestTimeout,
			http.StatusGone, http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge)(f)
	case StreamReset:
		if !o.Local {
			return fmt.Sprintf("server reset the stream (error code %#x)", o.Code)
		}
	}
	return ""
}

func signOfSilence(f failure) string {
	switch o := f.outcome.(type) {
	case Timer, Cancelled:
		return "server did not answer in time"
	case ConnLost:
		return "connection was lost before the server's answer" + endWords(o)
	}
	return ""
}

func signOfHandshake(f failure) string {
	switch o := f.outcome.(type) {
	case Response:
		switch {
		case !succeeded(f.rung, o.Status):
		case o.Ended:
			return fmt.Sprintf("server ended the stream with its %d", o.Status)
		case o.Invalid != nil:
			return fmt.Sprintf("server's %d is no valid handshake: %v", o.Status, o.Invalid)
		}
	case StreamReset:
		return fmt.Sprintf("server's answer was malformed (error code %#x)", o.Code)
	}
	return ""
}

func signOfApplication(f failure) string {
	if o, ok := f.outcome.(Response); ok {
		return statusWords(o.Status)
	}
	return ""
}

// statusSign is the sign that a response has one of statuses.
func statusSign(statuses ...int) func(failure) string {
	return func(f failure) string {
		if o, ok := f.outcome.(Response); ok && slices.Contains(statuses, o.Status) {
			return statusWords(o.Status)
		}
		return ""
	}
}

func statusWords(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("server answered %d %s", status, text)
	}
	return fmt.Sprintf("server answered %d", status)
}

// timedOut reports whether we ended the connection because the server's SETTINGS, or its ack of ours, did not come. That is silence, which
// an outsider can bring about.
func timedOut(o ConnLost) bool { return o.Local && o.Code == codeSettingsTimeout }

func endWords(o ConnLost) string {
	switch {
	case o.GoAway && o.Local:
		return fmt.Sprintf(" (our GOAWAY with error code %#x)", o.Code)
	case o.GoAway:
		return fmt.Sprintf(" (GOAWAY with error code %#x)", o.Code)
	case o.CloseNotify:
		return " (close_notify)"
	}
	return ""
}

// succeeded reports whether status opens a WebSocket on rung: 101 over HTTP/1.1 (RFC 6455, Section 4.1), any 2xx where it answers a
// CONNECT (RFC 8441, Section 5).
func succeeded(r Rung, status int) bool {
	if r == Upgrade {
		return status == http.StatusSwitchingProtocols
	}
	return status/100 == 2
}

// Error codes. RFC 9113, Section 7; RFC 9114, Section 8.1. The two registries do not overlap.
const (
	codeNoError         = 0x0
	codeProtocolError   = 0x1
	codeSettingsTimeout = 0x4
	codeRefusedStream   = 0x7
	codeHTTP11Required  = 0xd
	codeH3NoError       = 0x100
	codeH3ProtocolError = 0x101
	codeRequestRejected = 0x10b
	codeMessageError    = 0x10e
	codeVersionFallback = 0x110
)

const (
	noConnectProtocol   = "server's SETTINGS do not have ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441, Section 3)"
	noConnectProtocolH3 = "server's SETTINGS over HTTP/3 do not have ENABLE_CONNECT_PROTOCOL = 1 (RFC 9220, Section 3)"
)
