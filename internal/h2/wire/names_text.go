package wire

import (
	"strconv"
	"strings"
)

// String returns the RFC's name, or the number as 0xf5.
func (t FrameType) String() string { return nameOf(frameTypeNames[:], uint32(t)) }

// String returns the RFC's name without "SETTINGS_", or the number as 0x10.
func (id SettingID) String() string { return nameOf(settingNames[:], uint32(id)) }

// String returns the RFC's name, or the number as 0x10.
func (c ErrCode) String() string { return nameOf(errCodeNames[:], uint32(c)) }

// FrameTypeByName, SettingByName and ErrCodeByName undo String.
func FrameTypeByName(name string) (FrameType, bool) {
	v, ok := byName(frameTypeNames[:], name, 8)
	return FrameType(v), ok
}

// SettingByName undoes SettingID.String.
func SettingByName(name string) (SettingID, bool) {
	v, ok := byName(settingNames[:], name, 16)
	return SettingID(v), ok
}

// ErrCodeByName undoes ErrCode.String.
func ErrCodeByName(name string) (ErrCode, bool) {
	v, ok := byName(errCodeNames[:], name, 32)
	return ErrCode(v), ok
}

// Names returns the flags of a frame of type t by the RFC's names, joined by "|"; bits without a meaning there as a
// number. No flags: "".
func (f Flags) Names(t FrameType) string {
	var names []string
	for _, d := range flagNames {
		if f&d.bit != 0 && d.types&(1<<t) != 0 {
			names = append(names, d.name)
			f &^= d.bit
		}
	}
	if f != 0 {
		names = append(names, hex(uint32(f)))
	}
	return strings.Join(names, "|")
}

// FlagByName returns the bit that name stands for in frames of any type.
func FlagByName(name string) (Flags, bool) {
	for _, d := range flagNames {
		if d.name == name {
			return d.bit, true
		}
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(name, "0x"), 16, 8)
	return Flags(v), err == nil && strings.HasPrefix(name, "0x")
}

var flagNames = []struct {
	bit   Flags
	types uint16 // bit set of FrameType
	name  string
}{
	{FlagEndStream, 1<<Data | 1<<Headers, "END_STREAM"},
	{FlagAck, 1<<Settings | 1<<Ping, "ACK"},
	{FlagEndHeaders, 1<<Headers | 1<<PushPromise | 1<<Continuation, "END_HEADERS"},
	{FlagPadded, 1<<Data | 1<<Headers | 1<<PushPromise, "PADDED"},
	{FlagPriority, 1 << Headers, "PRIORITY"},
}

var frameTypeNames = [...]string{
	Data:         "DATA",
	Headers:      "HEADERS",
	Priority:     "PRIORITY",
	RSTStream:    "RST_STREAM",
	Settings:     "SETTINGS",
	PushPromise:  "PUSH_PROMISE",
	Ping:         "PING",
	GoAway:       "GOAWAY",
	WindowUpdate: "WINDOW_UPDATE",
	Continuation: "CONTINUATION",
	AltSvc:       "ALTSVC",
	Origin:       "ORIGIN",
	WSOpen:       "WS_OPEN",
	WSAccept:     "WS_ACCEPT",
}

var settingNames = [...]string{
	HeaderTableSize:       "HEADER_TABLE_SIZE",
	EnablePush:            "ENABLE_PUSH",
	MaxConcurrentStreams:  "MAX_CONCURRENT_STREAMS",
	InitialWindowSize:     "INITIAL_WINDOW_SIZE",
	MaxFrameSize:          "MAX_FRAME_SIZE",
	MaxHeaderListSize:     "MAX_HEADER_LIST_SIZE",
	EnableConnectProtocol: "ENABLE_CONNECT_PROTOCOL",
	NoRFC7540Priorities:   "NO_RFC7540_PRIORITIES",
}

var errCodeNames = [...]string{
	NoError:            "NO_ERROR",
	ProtocolError:      "PROTOCOL_ERROR",
	InternalError:      "INTERNAL_ERROR",
	FlowControlError:   "FLOW_CONTROL_ERROR",
	SettingsTimeout:    "SETTINGS_TIMEOUT",
	StreamClosed:       "STREAM_CLOSED",
	FrameSizeError:     "FRAME_SIZE_ERROR",
	RefusedStream:      "REFUSED_STREAM",
	Cancel:             "CANCEL",
	CompressionError:   "COMPRESSION_ERROR",
	ConnectError:       "CONNECT_ERROR",
	EnhanceYourCalm:    "ENHANCE_YOUR_CALM",
	InadequateSecurity: "INADEQUATE_SECURITY",
	HTTP11Required:     "HTTP_1_1_REQUIRED",
}

func nameOf(names []string, v uint32) string {
	if v < uint32(len(names)) && names[v] != "" {
		return names[v]
	}
	return hex(v)
}

func byName(names []string, name string, bits int) (uint32, bool) {
	for v, n := range names {
		if n == name && n != "" {
			return uint32(v), true
		}
	}
	if !strings.HasPrefix(name, "0x") {
		return 0, false
	}
	v, err := strconv.ParseUint(name[2:], 16, bits)
	return uint32(v), err == nil
}

func hex(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) }
