package load

import (
	"encoding/binary"
	"fmt"
)

// Frame types and flags of RFC 9113, Section 6.
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameRSTStream    = 3
	frameSettings     = 4
	framePushPromise  = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8
	frameContinuation = 9

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32
)

// Settings of RFC 9113, Section 6.5.2, and RFC 8441, Section 3.
const (
	settingHeaderTableSize      = 1
	settingEnablePush           = 2
	settingMaxConcurrentStreams = 3
	settingInitialWindowSize    = 4
	settingMaxFrameSize         = 5
	settingEnableConnect        = 8
)

const (
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	headerBytes  = 9
	maxFrameSize = 16384 // what we accept: the default
	startWindow  = 65535 // RFC 9113, Section 6.9.2

	// What we offer the server: about what a browser does.
	streamWindow = 6 << 20
	connWindow   = 15 << 20
)

func appendFrame(b []byte, n int, typ, flags byte, id uint32) []byte {
	return append(b, byte(n>>16), byte(n>>8), byte(n), typ, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendSetting(b []byte, id uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), v)
}

func appendWindowUpdate(b []byte, id uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, frameWindowUpdate, 0, id), uint32(n))
}

// content takes the padding and priority off p (RFC 9113, Sections 6.1 and 6.2).
func content(typ, flags byte, p []byte) ([]byte, error) {
	pad := 0
	if flags&flagPadded != 0 {
		if len(p) == 0 {
			return nil, fmt.Errorf("the server sent a padded frame without a pad length")
		}
		pad, p = int(p[0]), p[1:]
	}
	if typ == frameHeaders && flags&flagPriority != 0 {
		pad += 5
		if pad <= len(p) {
			p, pad = p[5:], pad-5
		}
	}
	if pad > len(p) {
		return nil, fmt.Errorf("the server sent %d bytes of padding in a frame of %d", pad, len(p))
	}
	return p[:len(p)-pad], nil
}
