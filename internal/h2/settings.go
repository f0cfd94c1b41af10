package h2

import (
	"math"

	"github.com/weftws/weft/internal/h2/wire"
)

// PeerSettings are the peer's settings as they stand; the RFC's defaults before its first frame. RFC 9113, Section 6.5.2.
type PeerSettings struct {
	Received             bool
	ConnectProtocol      bool // a client may use Extended CONNECT now; see Config.ConnectRule
	ConnectPresent       bool // the first SETTINGS had ENABLE_CONNECT_PROTOCOL, whatever its value
	ConnectAtFirst       bool // ConnectProtocol as the first SETTINGS left it; a 2xx to an assumed CONNECT counts only then
	MaxConcurrentStreams uint32
	InitialWindowSize    uint32
	MaxFrameSize         uint32
	MaxHeaderListSize    uint32
}

var defaultPeerSettings = PeerSettings{
	MaxConcurrentStreams: math.MaxUint32,
	InitialWindowSize:    wire.DefaultWindow,
	MaxFrameSize:         wire.DefaultMaxFrameSize,
	MaxHeaderListSize:    math.MaxUint32,
}

// maxEncoderTable caps the table that we keep for the peer's sake.
const maxEncoderTable = wire.DefaultTableSize

// A SETTINGS frame costs one control token, one more for so many settings in it, and one more for so many open streams whose
// windows it changes.
const (
	settingsPerToken = 16
	streamsPerToken  = 16
)

// PeerSettings returns the peer's settings as they stand.
func (c *Conn) PeerSettings() PeerSettings { return c.peer }

// sendPreface queues what every connection starts with. RFC 9113, Section 3.4.
func (c *Conn) sendPreface() {
	if c.cfg.Side == Client {
		c.out = append(c.out, wire.ClientPreface...)
	}
	c.out = wire.AppendSettings(c.out, c.cfg.settings()...)
	if more := c.cfg.ConnWindowSize - wire.DefaultWindow; more > 0 {
		c.out = wire.AppendWindowUpdate(c.out, 0, more)
	}
}

// settings are what we announce: what differs from the RFC's defaults.
func (cfg *Config) settings() []wire.Setting {
	var list []wire.Setting
	set := func(id wire.SettingID, v, def uint32) {
		if v != def {
			list = append(list, wire.Setting{ID: id, Value: v})
		}
	}
	set(wire.HeaderTableSize, cfg.HeaderTableSize, wire.DefaultTableSize)
	if cfg.Side == Client {
		set(wire.EnablePush, 0, 1)
	} else {
		set(wire.MaxConcurrentStreams, cfg.MaxConcurrentStreams, math.MaxUint32)
	}
	set(wire.InitialWindowSize, cfg.InitialWindowSize, wire.DefaultWindow)
	set(wire.MaxFrameSize, cfg.MaxFrameSize, wire.DefaultMaxFrameSize)
	set(wire.MaxHeaderListSize, cfg.MaxHeaderListSize, math.MaxUint32)
	switch {
	case cfg.Side == Client: // "Receipt of this parameter by a server does not have any impact." RFC 8441, Section 3.
	case cfg.ConnectRule == Announced && cfg.ConnectProtocol:
		set(wire.EnableConnectProtocol, 1, 0)
	case cfg.ConnectRule == UnlessOff && !cfg.ConnectProtocol:
		list = append(list, wire.Setting{ID: wire.EnableConnectProtocol, Value: 0})
	}
	return list
}

func (c *Conn) recvSettings(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID != 0 {
		return connBreach(streamNotZero, "sent SETTINGS on stream %d", h.StreamID)
	}
	if h.Flags.Has(wire.FlagAck) {
		return c.recvSettingsAck(h)
	}
	list, err := wire.ParseSettings(p)
	if err != nil {
		return payloadBreach(h, err)
	}
	if br := c.chargeControl("SETTINGS", 1+list.Len()/settingsPerToken); br != nil {
		return br
	}
	// "The values in the SETTINGS frame MUST be processed in the order they appear, with no other frame processing between
	// values." RFC 9113, Section 6.5.3. Streams see only the last INITIAL_WINDOW_SIZE of a frame, which is the same.
	initial := c.peer.InitialWindowSize
	for i := range list.Len() {
		s := list.At(i)
		if br := c.checkSetting(s); br != nil {
			return br
		}
		if s.ID == wire.InitialWindowSize {
			initial = s.Value
			continue
		}
		c.applySetting(s)
	}
	if initial != c.peer.InitialWindowSize {
		// A few bytes of the peer's are a step for each stream here.
		if br := c.chargeControl("SETTINGS", len(c.streams)/streamsPerToken); br != nil {
			return br
		}
	}
	if br := c.setInitialWindow(initial); br != nil {
		return br
	}
	c.out = wire.AppendSettingsAck(c.out)
	ev := c.addEvent(EventSettings, nil)
	ev.First = !c.peer.Received
	if ev.First {
		if c.cfg.ConnectRule == UnlessOff && !c.peer.ConnectPresent {
			c.peer.ConnectProtocol = true
		}
		c.peer.ConnectAtFirst = c.peer.ConnectProtocol
	}
	c.peer.Received = true
	return c.countReply()
}

// checkSetting says what is wrong with a value. RFC 9113, Section 6.5.2.
func (c *Conn) checkSetting(s wire.Setting) *breach {
	switch s.ID {
	case wire.EnablePush:
		// "Any value other than 0 or 1 MUST be treated as a connection error (Section 5.4.1) of type PROTOCOL_ERROR. [...]
		// A client MUST treat receipt of a SETTINGS frame with SETTINGS_ENABLE_PUSH set to 1 as a connection error".
		if s.Value > 1 || c.cfg.Side == Client && s.Value == 1 {
			return connBreach(settingValue, "set ENABLE_PUSH to %d", s.Value)
		}
	case wire.InitialWindowSize:
		// "Values above the maximum flow-control window size of 2^31-1 MUST be treated as a connection error (Section
		// 5.4.1) of type FLOW_CONTROL_ERROR."
		if s.Value > wire.MaxWindow {
			return connBreach(settingWindow, "set INITIAL_WINDOW_SIZE to %d", s.Value)
		}
	case wire.MaxFrameSize:
		// "The initial value is 2^14 (16,384) octets. The value advertised by an endpoint MUST be between this initial
		// value and the maximum allowed frame size (2^24-1 or 16,777,215 octets), inclusive."
		if s.Value < wire.DefaultMaxFrameSize || s.Value > wire.LargestFrameSize {
			return connBreach(settingValue, "set MAX_FRAME_SIZE to %d", s.Value)
		}
	case wire.EnableConnectProtocol:
		// "The value of the parameter MUST be 0 or 1." RFC 8441, Section 3.
		if s.Value > 1 {
			return connBreach(connectProtocolValue, "set ENABLE_CONNECT_PROTOCOL to %d", s.Value)
		}
		// "A sender MUST NOT send a SETTINGS_ENABLE_CONNECT_PROTOCOL parameter with the value of 0 after previously
		// sending a value of 1." RFC 8441, Section 3. "Receipt of this parameter by a server does not have any impact."
		if s.Value == 0 && c.peer.ConnectProtocol && c.cfg.Side == Client {
			return connBreach(connectProtocolWithdrawn, "changed ENABLE_CONNECT_PROTOCOL from 1 to 0")
		}
	case wire.NoRFC7540Priorities:
		// "Any value other than 0 or 1 MUST be treated as a connection error (see Section 5.4.1 of [HTTP/2]) of type
		// PROTOCOL_ERROR." RFC 9218, Section 2.1.
		if s.Value > 1 {
			return connBreach(settingValue, "set NO_RFC7540_PRIORITIES to %d", s.Value)
		}
	}
	return nil
}

func (c *Conn) applySetting(s wire.Setting) {
	switch s.ID {
	case wire.HeaderTableSize:
		c.enc.SetMaxDynamicTableSize(min(s.Value, maxEncoderTable))
	case wire.MaxConcurrentStreams:
		c.peer.MaxConcurrentStreams = s.Value
	case wire.MaxFrameSize:
		c.peer.MaxFrameSize = s.Value
	case wire.MaxHeaderListSize:
		c.peer.MaxHeaderListSize = s.Value
	case wire.EnableConnectProtocol:
		c.peer.ConnectProtocol = s.Value == 1
		c.peer.ConnectPresent = c.peer.ConnectPresent || !c.peer.Received
	}
	// "An endpoint that receives a SETTINGS frame with any unknown or unsupported identifier MUST ignore that setting."
	// RFC 9113, Section 6.5.2.
}

// recvSettingsAck: from here on the peer keeps to our settings.
func (c *Conn) recvSettingsAck(h wire.FrameHeader) *breach {
	if h.Length != 0 {
		return connBreach(settingsAckNotEmpty, "sent a SETTINGS ack of %d bytes", h.Length)
	}
	if c.settingsAcked {
		return connBreach(settingsAckUnexpected, "acknowledged SETTINGS that were not sent")
	}
	c.settingsAcked = true
	c.dec.SetAllowedMaxDynamicTableSize(c.cfg.HeaderTableSize)
	// Choice: until here the larger of our window and the default is granted, since a peer may use a larger one as
	// soon as it has read our SETTINGS.
	if less := c.recvInitial - c.cfg.InitialWindowSize; less > 0 {
		c.recvInitial = c.cfg.InitialWindowSize
		for _, s := range c.streams {
			s.recvWindow -= int32(less)
		}
	}
	return nil
}
