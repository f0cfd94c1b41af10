package weft

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/weftws/weft/negotiate"
)

// Retryable reports whether it is worth dialing again after err.
//
// Of a Dial's errors all are, but for
//
//   - what cannot be dialed: a bad URL, header or policy;
//   - a certificate that does not verify;
//   - an answer that will be the same again: 3xx, 4xx except 408, 425 and 429, 501 and 505; no WebSockets over any version of HTTP that the
//     policy allows; a handshake against the rules;
//   - context.Canceled.
//
// Of a WebSocket's errors those are that say that the connection was lost, or closed by the peer with 1001, 1005, 1011, 1012, 1013 or
// 1014. Other codes mean that the peer is done (1000), found fault with what we sent (1002, 1003, 1007 to 1010), or are the
// application's. Everything else is not: a *ProtocolError, net.ErrClosed after a Close of our own, errors that weft knows nothing of.
func Retryable(err error) bool {
	if de, ok := errors.AsType[*DialError](err); ok {
		return retryableDial(de.Err)
	}
	if ce, ok := errors.AsType[*CloseError](err); ok {
		switch ce.Code {
		case StatusGoingAway, StatusNoStatusRcvd, StatusInternalError, StatusServiceRestart, StatusTryAgainLater, StatusBadGateway:
			return true
		}
		return false
	}
	_, lost := errors.AsType[*lostError](err)
	return lost
}

func retryableDial(err error) bool {
	if errors.Is(err, context.Canceled) || isUnverified(err) {
		return false
	}
	if _, ok := errors.AsType[*requestError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return false
	}
	he, ok := errors.AsType[*HandshakeError](err)
	if !ok {
		return true
	}
	switch he.StatusCode {
	case 0:
		switch negotiate.Class(he.Name) {
		case negotiate.Disallowed, negotiate.Version, negotiate.Handshake:
			return false
		}
		return he.Section == ""
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return he.StatusCode >= 500
}

// isUnverified reports whether err is about the server's certificate.
func isUnverified(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}
