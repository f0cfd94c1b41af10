package wire

import (
	"encoding/binary"
	"errors"
)

// What can be wrong with a payload by itself.
var (
	// ErrSize: the payload is too short or has not the size that its type prescribes. FRAME_SIZE_ERROR.
	ErrSize = errors.New("frame has the wrong size")
	// ErrPadding: "If the length of the padding is the length of the frame payload or greater, the recipient MUST
	// treat this as a connection error (Section 5.4.1) of type PROTOCOL_ERROR." RFC 9113, Section 6.1.
	ErrPadding = errors.New("padding exceeds the frame")
)

// ParseData returns the data in a DATA payload, without padding. RFC 9113, Section 6.1.
func ParseData(flags Flags, p []byte) (data []byte, err error) { return unpad(flags, p) }

// A HeadersPayload is what a HEADERS frame carries. RFC 9113, Section 6.2.
type HeadersPayload struct {
	HasPriority bool
	Priority    PriorityParam
	Fragment    []byte // of the field block
}

// ParseHeaders reads a HEADERS payload.
func ParseHeaders(flags Flags, p []byte) (h HeadersPayload, err error) {
	p, err = unpad(flags, p)
	if err != nil {
		return HeadersPayload{}, err
	}
	if flags.Has(FlagPriority) {
		if len(p) < 5 {
			return HeadersPayload{}, ErrSize
		}
		h.HasPriority = true
		h.Priority, _ = ParsePriority(p[:5])
		p = p[5:]
	}
	h.Fragment = p
	return h, nil
}

// ParsePriority reads a PRIORITY payload. RFC 9113, Section 6.3.
func ParsePriority(p []byte) (PriorityParam, error) {
	if len(p) != 5 {
		return PriorityParam{}, ErrSize
	}
	dep := binary.BigEndian.Uint32(p)
	return PriorityParam{DependsOn: dep & MaxStreamID, Exclusive: dep>>31 != 0, Weight: p[4]}, nil
}

// ParseRSTStream reads a RST_STREAM payload. RFC 9113, Section 6.4.
func ParseRSTStream(p []byte) (ErrCode, error) {
	if len(p) != 4 {
		return 0, ErrSize
	}
	return ErrCode(binary.BigEndian.Uint32(p)), nil
}

// A SettingsPayload is the payload of a SETTINGS frame, read in place. RFC 9113, Section 6.5.1.
type SettingsPayload []byte

// ParseSettings checks that p is a whole number of settings.
func ParseSettings(p []byte) (SettingsPayload, error) {
	if len(p)%6 != 0 {
		return nil, ErrSize
	}
	return p, nil
}

// Len returns how many settings there are.
func (p SettingsPayload) Len() int { return len(p) / 6 }

// At returns setting i, counted from 0.
func (p SettingsPayload) At(i int) Setting {
	return Setting{SettingID(binary.BigEndian.Uint16(p[6*i:])), binary.BigEndian.Uint32(p[6*i+2:])}
}

// ParsePushPromise reads a PUSH_PROMISE payload. RFC 9113, Section 6.6.
func ParsePushPromise(flags Flags, p []byte) (promisedID uint32, fragment []byte, err error) {
	p, err = unpad(flags, p)
	if err != nil {
		return 0, nil, err
	}
	if len(p) < 4 {
		return 0, nil, ErrSize
	}
	return binary.BigEndian.Uint32(p) & MaxStreamID, p[4:], nil
}

// ParsePing reads a PING payload. RFC 9113, Section 6.7.
func ParsePing(p []byte) (data [8]byte, err error) {
	if len(p) != 8 {
		return data, ErrSize
	}
	return [8]byte(p), nil
}

// ParseGoAway reads a GOAWAY payload. RFC 9113, Section 6.8.
func ParseGoAway(p []byte) (lastStreamID uint32, code ErrCode, debug []byte, err error) {
	if len(p) < 8 {
		return 0, 0, nil, ErrSize
	}
	return binary.BigEndian.Uint32(p) & MaxStreamID, ErrCode(binary.BigEndian.Uint32(p[4:])), p[8:], nil
}

// ParseWindowUpdate reads a WINDOW_UPDATE payload. RFC 9113, Section 6.9.
func ParseWindowUpdate(p []byte) (increment uint32, err error) {
	if len(p) != 4 {
		return 0, ErrSize
	}
	return binary.BigEndian.Uint32(p) & MaxWindow, nil
}

func unpad(flags Flags, p []byte) ([]byte, error) {
	if !flags.Has(FlagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, ErrSize
	}
	pad := int(p[0])
	if pad >= len(p) {
		return nil, ErrPadding
	}
	return p[1 : len(p)-pad], nil
}
