package h3

import (
	"fmt"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// Setting identifiers. RFC 9114, Section 7.2.4.1; RFC 9220, Section 5.
const (
	settingMaxFieldSection = 0x6
	settingConnectProtocol = 0x8
)

// settings are a peer's or ours, as far as they matter to WebSockets.
type settings struct {
	connect        bool   // SETTINGS_ENABLE_CONNECT_PROTOCOL = 1
	connectPresent bool   // it was there, whatever its value
	maxSection     uint64 // SETTINGS_MAX_FIELD_SECTION_SIZE; 0: unlimited
}

// parseSettings reads the payload of a SETTINGS frame. The error is a *violation.
func parseSettings(p []byte) (s settings, err error) {
	seen := make(map[uint64]bool)
	for len(p) > 0 {
		id, n, err := quicvarint.Parse(p)
		if err != nil {
			return s, violates(http3.ErrCodeFrameError, "peer sent a truncated SETTINGS")
		}
		value, m, err := quicvarint.Parse(p[n:])
		if err != nil {
			return s, violates(http3.ErrCodeFrameError, "peer sent a truncated SETTINGS")
		}
		p = p[n+m:]
		// "The same setting identifier MUST NOT occur more than once in the SETTINGS frame. A receiver MAY treat the presence
		// of duplicate setting identifiers as a connection error of type H3_SETTINGS_ERROR." RFC 9114, Section 7.2.4.
		if seen[id] {
			return s, violates(http3.ErrCodeSettingsError, "peer sent the setting %#x twice", id)
		}
		seen[id] = true
		if err := s.set(id, value); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *settings) set(id, value uint64) error {
	switch id {
	case settingConnectProtocol:
		// "The value of the parameter MUST be 0 or 1." RFC 8441, Section 3.
		if value > 1 {
			return violates(http3.ErrCodeSettingsError, "peer sent SETTINGS_ENABLE_CONNECT_PROTOCOL=%d", value)
		}
		s.connect, s.connectPresent = value == 1, true
	case settingMaxFieldSection:
		s.maxSection = value
		if value == 0 {
			s.maxSection = 1
		}
	case 0x0, 0x2, 0x3, 0x4, 0x5:
		// "Setting identifiers that were defined in [HTTP/2] where there is no corresponding HTTP/3 setting have also been
		// reserved ... their receipt MUST be treated as a connection error of type H3_SETTINGS_ERROR." RFC 9114, Section
		// 7.2.4.1.
		return violates(http3.ErrCodeSettingsError, "peer sent the setting %#x of HTTP/2", id)
	}
	return nil
}

// reduced says what of old, which requests in early data relied on, s takes back, or nil.
//
// "If a server accepts 0-RTT but then sends settings that are not compatible with the previously specified settings, this MUST be
// treated as a connection error of type H3_SETTINGS_ERROR." RFC 9114, Section 7.2.4.2.
func (s *settings) reduced(old settings) error {
	what := ""
	switch {
	case old.connect && !s.connect:
		what = "SETTINGS_ENABLE_CONNECT_PROTOCOL=1"
	case s.maxSection != 0 && (old.maxSection == 0 || s.maxSection < old.maxSection):
		what = fmt.Sprintf("SETTINGS_MAX_FIELD_SECTION_SIZE=%d", old.maxSection)
	default:
		return nil
	}
	return violates(http3.ErrCodeSettingsError, "peer accepted early data and took back %s", what)
}

// appendControlStream appends what a control stream begins with.
//
// "Each side MUST initiate a single control stream at the beginning of the connection and send its SETTINGS frame as the first
// frame on this stream." RFC 9114, Section 6.2.1.
func appendControlStream(dst []byte, s settings) []byte {
	payload := quicvarint.Append(nil, settingMaxFieldSection)
	payload = quicvarint.Append(payload, s.maxSection)
	if s.connect {
		// "Using a SETTINGS parameter to opt into an otherwise incompatible protocol change": RFC 8441, Section 3; RFC 9220, Section 3.
		payload = quicvarint.Append(payload, settingConnectProtocol)
		payload = quicvarint.Append(payload, 1)
	}
	dst = quicvarint.Append(dst, streamControl)
	dst = quicvarint.Append(dst, frameSettings)
	dst = quicvarint.Append(dst, uint64(len(payload)))
	return append(dst, payload...)
}

const (
	// maxResponseSection bounds the header section of a response, encoded or not.
	maxResponseSection = 64 << 10
	maxSettingsFrame   = 8 << 10
)
