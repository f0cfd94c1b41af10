package weft

import (
	"errors"
	"fmt"
)

// StatusCode is the reason for which a WebSocket was closed. RFC 6455, Section 7.4.
type StatusCode int

const (
	StatusNormalClosure           StatusCode = 1000
	StatusGoingAway               StatusCode = 1001
	StatusProtocolError           StatusCode = 1002
	StatusUnsupportedData         StatusCode = 1003
	StatusNoStatusRcvd            StatusCode = 1005 // never on the wire: the Close frame had no code
	StatusAbnormalClosure         StatusCode = 1006 // never on the wire: there was no Close frame
	StatusInvalidFramePayloadData StatusCode = 1007
	StatusPolicyViolation         StatusCode = 1008
	StatusMessageTooBig           StatusCode = 1009
	StatusMandatoryExtension      StatusCode = 1010
	StatusInternalError           StatusCode = 1011
	StatusServiceRestart          StatusCode = 1012
	StatusTryAgainLater           StatusCode = 1013
	StatusBadGateway              StatusCode = 1014
	StatusTLSHandshake            StatusCode = 1015 // never on the wire
)

var statusNames = map[StatusCode]string{
	StatusNormalClosure: "normal closure", StatusGoingAway: "going away", StatusProtocolError: "protocol error",
	StatusUnsupportedData: "unsupported data", StatusNoStatusRcvd: "no status", StatusAbnormalClosure: "abnormal closure",
	StatusInvalidFramePayloadData: "invalid payload", StatusPolicyViolation: "policy violation",
	StatusMessageTooBig: "message too big", StatusMandatoryExtension: "mandatory extension",
	StatusInternalError: "internal error", StatusServiceRestart: "service restart",
	StatusTryAgainLater: "try again later", StatusBadGateway: "bad gateway", StatusTLSHandshake: "TLS handshake",
}

// String returns the code's number and, for those that RFC 6455 and its registry name, the name.
func (c StatusCode) String() string {
	if s, ok := statusNames[c]; ok {
		return fmt.Sprintf("%d %s", int(c), s)
	}
	return fmt.Sprintf("%d", int(c))
}

// CloseStatus returns the code of the peer's Close frame if err is or wraps a [CloseError], else -1.
func CloseStatus(err error) StatusCode {
	if ce, ok := errors.AsType[*CloseError](err); ok {
		return ce.Code
	}
	return -1
}
