package wire

// A FrameType says what a frame is. RFC 9113, Section 6.
type FrameType uint8

const (
	Data         FrameType = 0x0
	Headers      FrameType = 0x1
	Priority     FrameType = 0x2
	RSTStream    FrameType = 0x3
	Settings     FrameType = 0x4
	PushPromise  FrameType = 0x5
	Ping         FrameType = 0x6
	GoAway       FrameType = 0x7
	WindowUpdate FrameType = 0x8
	Continuation FrameType = 0x9
)

// Flags of a frame; what a bit means depends on the type. RFC 9113, Section 6.
type Flags uint8

const (
	FlagEndStream  Flags = 0x1  // DATA, HEADERS
	FlagAck        Flags = 0x1  // SETTINGS, PING
	FlagEndHeaders Flags = 0x4  // HEADERS, PUSH_PROMISE, CONTINUATION
	FlagPadded     Flags = 0x8  // DATA, HEADERS, PUSH_PROMISE
	FlagPriority   Flags = 0x20 // HEADERS
)

// A SettingID names a setting. RFC 9113, Section 6.5.2; RFC 8441, Section 3; RFC 9218, Section 2.1.
type SettingID uint16

const (
	HeaderTableSize       SettingID = 0x1
	EnablePush            SettingID = 0x2
	MaxConcurrentStreams  SettingID = 0x3
	InitialWindowSize     SettingID = 0x4
	MaxFrameSize          SettingID = 0x5
	MaxHeaderListSize     SettingID = 0x6
	EnableConnectProtocol SettingID = 0x8
	NoRFC7540Priorities   SettingID = 0x9
)

// An ErrCode is the reason in RST_STREAM and GOAWAY. RFC 9113, Section 7.
type ErrCode uint32

const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd
)
