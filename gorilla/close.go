package websocket

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The codes of a Close frame. RFC 6455, Section 7.4.1 and Section 11.7.
const (
	CloseNormalClosure           = 1000
	CloseGoingAway               = 1001
	CloseProtocolError           = 1002
	CloseUnsupportedData         = 1003
	CloseNoStatusReceived        = 1005
	CloseAbnormalClosure         = 1006
	CloseInvalidFramePayloadData = 1007
	ClosePolicyViolation         = 1008
	CloseMessageTooBig           = 1009
	CloseMandatoryExtension      = 1010
	CloseInternalServerErr       = 1011
	CloseServiceRestart          = 1012
	CloseTryAgainLater           = 1013
	CloseTLSHandshake            = 1015
)

var closeNames = map[int]string{
	CloseNormalClosure: "normal", CloseGoingAway: "going away", CloseProtocolError: "protocol error",
	CloseUnsupportedData: "unsupported data", CloseNoStatusReceived: "no status", CloseAbnormalClosure: "abnormal closure",
	CloseInvalidFramePayloadData: "invalid payload data", ClosePolicyViolation: "policy violation",
	CloseMessageTooBig: "message too big", CloseMandatoryExtension: "mandatory extension missing",
	CloseInternalServerErr: "internal server error", CloseTLSHandshake: "TLS handshake error",
}

// A CloseError is what reading returns when the peer has sent a Close frame, and, with [CloseAbnormalClosure], when the connection
// ended without one.
type CloseError struct {
	Code int    // CloseNoStatusReceived if the frame had none
	Text string // the reason; may be ""
}

func (e *CloseError) Error() string {
	s := fmt.Sprintf("websocket: close %d", e.Code)
	if name := closeNames[e.Code]; name != "" {
		s += " (" + name + ")"
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// IsCloseError reports whether err is a *CloseError, not one that is wrapped, with one of codes.
func IsCloseError(err error, codes ...int) bool {
	e, ok := err.(*CloseError)
	return ok && slices.Contains(codes, e.Code)
}

// IsUnexpectedCloseError reports whether err is a *CloseError, not one that is wrapped, with none of expectedCodes.
func IsUnexpectedCloseError(err error, expectedCodes ...int) bool {
	e, ok := err.(*CloseError)
	return ok && !slices.Contains(expectedCodes, e.Code)
}

// FormatCloseMessage makes the payload of a Close frame; an empty one, not nil, for [CloseNoStatusReceived]. The text may have 123
// bytes; that and the code are checked by nobody.
func FormatCloseMessage(closeCode int, text string) []byte {
	if closeCode == CloseNoStatusReceived {
		return []byte{}
	}
	p := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(text)), uint16(closeCode))
	return append(p, text...)
}
