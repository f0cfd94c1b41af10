package wire

import "encoding/binary"

// ClientPreface is what a client sends first. RFC 9113, Section 3.4.
const ClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	HeaderLen           = 9         // bytes of a frame header. RFC 9113, Section 4.1
	DefaultMaxFrameSize = 1 << 14   // bytes of payload; also the least that SETTINGS_MAX_FRAME_SIZE can be
	LargestFrameSize    = 1<<24 - 1 // bytes of payload; the most that SETTINGS_MAX_FRAME_SIZE can be
	MaxStreamID         = 1<<31 - 1
	MaxWindow           = 1<<31 - 1 // bytes; the largest flow-control window. RFC 9113, Section 6.9.1
	DefaultWindow       = 1<<16 - 1 // bytes; a window's initial size. RFC 9113, Section 6.9.2
	DefaultTableSize    = 4096      // bytes; SETTINGS_HEADER_TABLE_SIZE until it is set
)

// A FrameHeader is the nine bytes before every payload. RFC 9113, Section 4.1.
type FrameHeader struct {
	Length   uint32 // bytes of payload, at most LargestFrameSize
	Type     FrameType
	Flags    Flags
	StreamID uint32 // 31 bits
}

// ParseFrameHeader reads the header at the front of p; ok is false when p is shorter than HeaderLen.
func ParseFrameHeader(p []byte) (h FrameHeader, ok bool) {
	if len(p) < HeaderLen {
		return FrameHeader{}, false
	}
	// "Reserved: A reserved 1-bit field. The semantics of this bit are undefined, and the bit MUST remain unset (0x00)
	// when sending and MUST be ignored when receiving." RFC 9113, Section 4.1.
	return FrameHeader{
		Length:   uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2]),
		Type:     FrameType(p[3]),
		Flags:    Flags(p[4]),
		StreamID: binary.BigEndian.Uint32(p[5:9]) & MaxStreamID,
	}, true
}

// AppendFrameHeader appends h; the upper bits of Length and StreamID that have no room are dropped.
func AppendFrameHeader(dst []byte, h FrameHeader) []byte {
	id := h.StreamID & MaxStreamID
	return append(dst, byte(h.Length>>16), byte(h.Length>>8), byte(h.Length), byte(h.Type), byte(h.Flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// PutLength overwrites the length in the frame header at the front of p.
func PutLength(p []byte, length int) {
	p[0], p[1], p[2] = byte(length>>16), byte(length>>8), byte(length)
}

// Has reports whether all bits of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// A Setting is one parameter of a SETTINGS frame. RFC 9113, Section 6.5.1.
type Setting struct {
	ID    SettingID
	Value uint32
}

// A PriorityParam is what PRIORITY frames, and HEADERS frames with FlagPriority, say: RFC 9113, Section 6.3. The scheme is
// deprecated (Section 5.3.2).
type PriorityParam struct {
	DependsOn uint32 // a stream identifier, 31 bits
	Exclusive bool
	Weight    uint8 // one less than the weight
}

// AppendDataHeader appends the header of a DATA frame of n bytes; the caller appends the bytes. RFC 9113, Section 6.1.
func AppendDataHeader(dst []byte, streamID uint32, n int, endStream bool) []byte {
	return AppendFrameHeader(dst, FrameHeader{uint32(n), Data, endFlag(endStream), streamID})
}

// AppendData appends one DATA frame.
func AppendData(dst []byte, streamID uint32, data []byte, endStream bool) []byte {
	return append(AppendDataHeader(dst, streamID, len(data), endStream), data...)
}

// AppendPaddedData appends one DATA frame with FlagPadded and pad bytes of padding.
func AppendPaddedData(dst []byte, streamID uint32, data []byte, pad uint8, endStream bool) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(1 + len(data) + int(pad)), Data, FlagPadded | endFlag(endStream), streamID})
	dst = append(append(dst, pad), data...)
	return append(dst, make([]byte, pad)...)
}

// AppendHeaders appends a field block as HEADERS and as many CONTINUATION frames as payloads of at most maxFrameSize
// bytes need. RFC 9113, Sections 6.2 and 6.10.
func AppendHeaders(dst []byte, streamID uint32, block []byte, endStream bool, maxFrameSize int) []byte {
	first := block[:min(len(block), maxFrameSize)]
	block = block[len(first):]
	flags := endFlag(endStream)
	if len(block) == 0 {
		flags |= FlagEndHeaders
	}
	dst = AppendFrameHeader(dst, FrameHeader{uint32(len(first)), Headers, flags, streamID})
	dst = append(dst, first...)
	for len(block) > 0 {
		part := block[:min(len(block), maxFrameSize)]
		block = block[len(part):]
		dst = AppendContinuation(dst, streamID, part, len(block) == 0)
	}
	return dst
}

// AppendContinuation appends one CONTINUATION frame. RFC 9113, Section 6.10.
func AppendContinuation(dst []byte, streamID uint32, fragment []byte, endHeaders bool) []byte {
	var flags Flags
	if endHeaders {
		flags = FlagEndHeaders
	}
	dst = AppendFrameHeader(dst, FrameHeader{uint32(len(fragment)), Continuation, flags, streamID})
	return append(dst, fragment...)
}

// AppendPriority appends a PRIORITY frame. RFC 9113, Section 6.3.
func AppendPriority(dst []byte, streamID uint32, p PriorityParam) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{5, Priority, 0, streamID})
	return AppendPriorityParam(dst, p)
}

// AppendPriorityParam appends the five bytes that PRIORITY and HEADERS share.
func AppendPriorityParam(dst []byte, p PriorityParam) []byte {
	dep := p.DependsOn & MaxStreamID
	if p.Exclusive {
		dep |= 1 << 31
	}
	return append(binary.BigEndian.AppendUint32(dst, dep), p.Weight)
}

// AppendRSTStream appends a RST_STREAM frame. RFC 9113, Section 6.4.
func AppendRSTStream(dst []byte, streamID uint32, code ErrCode) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{4, RSTStream, 0, streamID})
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendSettings appends a SETTINGS frame. RFC 9113, Section 6.5.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(6 * len(settings)), Settings, 0, 0})
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the acknowledgement of a SETTINGS frame. RFC 9113, Section 6.5.3.
func AppendSettingsAck(dst []byte) []byte {
	return AppendFrameHeader(dst, FrameHeader{0, Settings, FlagAck, 0})
}

// AppendPushPromise appends a PUSH_PROMISE frame with FlagEndHeaders. RFC 9113, Section 6.6.
func AppendPushPromise(dst []byte, streamID, promisedID uint32, block []byte) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(4 + len(block)), PushPromise, FlagEndHeaders, streamID})
	dst = binary.BigEndian.AppendUint32(dst, promisedID&MaxStreamID)
	return append(dst, block...)
}

// AppendPing appends a PING frame. RFC 9113, Section 6.7.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	var flags Flags
	if ack {
		flags = FlagAck
	}
	dst = AppendFrameHeader(dst, FrameHeader{8, Ping, flags, 0})
	return append(dst, data[:]...)
}

// AppendGoAway appends a GOAWAY frame. RFC 9113, Section 6.8.
func AppendGoAway(dst []byte, lastStreamID uint32, code ErrCode, debug string) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(8 + len(debug)), GoAway, 0, 0})
	dst = binary.BigEndian.AppendUint32(dst, lastStreamID&MaxStreamID)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame; stream 0 is the connection. RFC 9113, Section 6.9.
func AppendWindowUpdate(dst []byte, streamID, increment uint32) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{4, WindowUpdate, 0, streamID})
	return binary.BigEndian.AppendUint32(dst, increment&MaxWindow)
}

func endFlag(endStream bool) Flags {
	if endStream {
		return FlagEndStream
	}
	return 0
}
