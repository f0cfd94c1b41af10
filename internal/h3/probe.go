package h3

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"
)

// ConnectionState returns what TLS agreed on.
func (cc *ClientConn) ConnectionState() tls.ConnectionState { return *cc.tlsState() }

// SettingsText returns the server's SETTINGS in the notation of transcripts, as far as they matter to a WebSocket.
func (cc *ClientConn) SettingsText() string {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	text := "SETTINGS"
	if cc.peer.maxSection > 0 {
		text += fmt.Sprintf(" MAX_FIELD_SECTION_SIZE=%d", cc.peer.maxSection)
	}
	switch {
	case cc.peer.connect:
		text += " ENABLE_CONNECT_PROTOCOL=1"
	case cc.peer.connectPresent:
		text += " ENABLE_CONNECT_PROTOCOL=0"
	}
	return text
}

// OtherProtocol reports whether the peer does answer by QUIC, and speaks no HTTP/3 in a version of QUIC that we know.
func (e *ConnError) OtherProtocol() bool {
	_, version := errors.AsType[*quic.VersionNegotiationError](e.Err)
	return version || !e.Application && e.Code == noApplicationProtocol
}

// noApplicationProtocol is CRYPTO_ERROR with the alert of RFC 7301, Section 3.2: RFC 9001, Section 4.8.
const noApplicationProtocol = 0x100 + 120
