package handshake

import (
	"crypto/sha1"
	"encoding/base64"
)

// NewKey makes a Sec-WebSocket-Key of 16 random bytes. RFC 6455, Section 4.1.
func NewKey(random [16]byte) string { return base64.StdEncoding.EncodeToString(random[:]) }

// AcceptKey is the Sec-WebSocket-Accept for key. RFC 6455, Section 4.2.2.
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// isKey reports whether key is 16 bytes in base64.
//
// Choice: bits behind the last byte need not be zero; they are not in the RFC's own example, "AQIDBAUGBwgJCgsMDQ4PEC==".
func isKey(key string) bool {
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(decoded) == 16
}
