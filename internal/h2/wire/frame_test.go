package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
)

func TestFrameHeader(t *testing.T) {
	tests := []struct {
		bytes string
		want  FrameHeader
	}{
		{"\x00\x00\x00\x04\x00\x00\x00\x00\x00", FrameHeader{0, Settings, 0, 0}},
		{"\xff\xff\xff\x00\x01\x7f\xff\xff\xff", FrameHeader{LargestFrameSize, Data, FlagEndStream, MaxStreamID}},
		{"\x01\x02\x03\xf5\xff\x00\x00\x00\x05", FrameHeader{0x010203, WSOpen, 0xff, 5}},
	}
	for _, tt := range tests {
		got, ok := ParseFrameHeader([]byte(tt.bytes))
		if !ok || got != tt.want {
			t.Errorf("ParseFrameHeader(%x) = %+v, %v, want %+v", tt.bytes, got, ok, tt.want)
		}
		if b := AppendFrameHeader(nil, tt.want); string(b) != tt.bytes {
			t.Errorf("AppendFrameHeader(%+v) = %x, want %x", tt.want, b, tt.bytes)
		}
	}
	if _, ok := ParseFrameHeader(make([]byte, HeaderLen-1)); ok {
		t.Error("eight bytes parsed as a frame header")
	}
	h, _ := ParseFrameHeader([]byte("\x00\x00\x00\x00\x00\x80\x00\x00\x03"))
	if h.StreamID != 3 {
		t.Errorf("the reserved bit was not ignored: stream %d", h.StreamID)
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		got, want string
	}{
		{Settings.String(), "SETTINGS"},
		{RSTStream.String(), "RST_STREAM"},
		{FrameType(0xf0).String(), "0xf0"},
		{FrameType(0xff).String(), "0xff"},
		{WSAccept.String(), "WS_ACCEPT"},
		{EnableConnectProtocol.String(), "ENABLE_CONNECT_PROTOCOL"},
		{SettingID(0x7).String(), "0x7"},
		{SettingID(0).String(), "0x0"},
		{FlowControlError.String(), "FLOW_CONTROL_ERROR"},
		{ErrCode(0xdeadbeef).String(), "0xdeadbeef"},
		{(FlagEndStream | FlagEndHeaders).Names(Headers), "END_STREAM|END_HEADERS"},
		{(FlagAck | 0x40).Names(Ping), "ACK|0x40"},
		{Flags(0xff).Names(WSOpen), "0xff"},
		{Flags(0).Names(Data), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	for v := range uint32(300) {
		if got, ok := ErrCodeByName(ErrCode(v).String()); !ok || got != ErrCode(v) {
			t.Errorf("ErrCodeByName(%q) = %d, %v", ErrCode(v), got, ok)
		}
		if got, ok := SettingByName(SettingID(v).String()); !ok || got != SettingID(v) {
			t.Errorf("SettingByName(%q) = %d, %v", SettingID(v), got, ok)
		}
		got, ok := FrameTypeByName(FrameType(v).String())
		if !ok || got != FrameType(v) {
			t.Errorf("FrameTypeByName(%q) = %d, %v", FrameType(v), got, ok)
		}
	}
	for _, name := range []string{"", "DAT", "0x", "0x100", "1"} {
		if v, ok := FrameTypeByName(name); ok {
			t.Errorf("FrameTypeByName(%q) = %d", name, v)
		}
	}
	for name, want := range map[string]Flags{"ACK": FlagAck, "PADDED": FlagPadded, "0x40": 0x40} {
		if got, ok := FlagByName(name); !ok || got != want {
			t.Errorf("FlagByName(%q) = %#x, %v", name, uint8(got), ok)
		}
	}
	if _, ok := FlagByName("40"); ok {
		t.Error(`FlagByName("40") is ok`)
	}
}

func TestPayloadErrors(t *testing.T) {
	parse := func(typ FrameType, flags Flags, p string) error {
		var err error
		b := []byte(p)
		switch typ {
		case Data:
			_, err = ParseData(flags, b)
		case Headers:
			_, err = ParseHeaders(flags, b)
		case Priority:
			_, err = ParsePriority(b)
		case RSTStream:
			_, err = ParseRSTStream(b)
		case Settings:
			_, err = ParseSettings(b)
		case PushPromise:
			_, _, err = ParsePushPromise(flags, b)
		case Ping:
			_, err = ParsePing(b)
		case GoAway:
			_, _, _, err = ParseGoAway(b)
		case WindowUpdate:
			_, err = ParseWindowUpdate(b)
		case WSOpen:
			_, _, err = ParseWSOpen(b)
		case WSAccept:
			_, err = ParseWSAccept(b)
		case AltSvc:
			_, _, err = ParseAltSvc(b)
		case Origin:
			_, err = ParseOrigin(b)
		}
		return err
	}
	tests := []struct {
		typ     FrameType
		flags   Flags
		payload string
		want    error
	}{
		{Data, FlagPadded, "", ErrSize},
		{Data, FlagPadded, "\x01", ErrPadding},
		{Data, FlagPadded, "\x03abc", nil},
		{Data, FlagPadded, "\x04abc", ErrPadding},
		{Data, 0, "", nil},
		{Headers, FlagPadded, "\x02a", ErrPadding},
		{Headers, FlagPriority, "\x00\x00\x00\x00", ErrSize},
		{Headers, FlagPriority | FlagPadded, "\x01\x00\x00\x00\x00\x10\x00", nil},
		{Headers, FlagPriority | FlagPadded, "\x02\x00\x00\x00\x00\x10\x00", ErrSize},
		{Priority, 0, "\x00\x00\x00\x00", ErrSize},
		{Priority, 0, "\x00\x00\x00\x00\x00\x00", ErrSize},
		{RSTStream, 0, "\x00\x00\x00", ErrSize},
		{Settings, 0, "\x00\x00\x00\x00\x00", ErrSize},
		{PushPromise, 0, "\x00\x00\x00", ErrSize},
		{Ping, 0, "\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{GoAway, 0, "\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{WindowUpdate, 0, "\x00\x00\x00\x00\x00", ErrSize},
		{WSOpen, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{WSOpen, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", nil},
		{WSOpen, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", nil},
		{WSOpen, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{WSOpen, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01a\x00\x02b", ErrSize},
		{WSOpen, 0, "\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00another version", nil},
		{WSAccept, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{WSAccept, 0, "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", ErrSize},
		{AltSvc, 0, "\x00", ErrSize},
		{AltSvc, 0, "\x00\x02a", ErrSize},
		{AltSvc, 0, "\x00\x00", nil},
		{Origin, 0, "", nil},
		{Origin, 0, "\x00\x01a\x00", ErrSize},
	}
	for _, tt := range tests {
		if err := parse(tt.typ, tt.flags, tt.payload); !errors.Is(err, tt.want) {
			t.Errorf("%v flags=%#x %q: got %v, want %v", tt.typ, uint8(tt.flags), tt.payload, err, tt.want)
		}
	}
}

// TestAppendAgainstFramer has x/net's Framer write what our functions append.
func TestAppendAgainstFramer(t *testing.T) {
	var block = bytes.Repeat([]byte("x"), 50)
	tests := []struct {
		name string
		ours []byte
		x    func(*http2.Framer) error
	}{
		{"DATA", AppendData(nil, 5, []byte("hello"), true), func(f *http2.Framer) error { return f.WriteData(5, true, []byte("hello")) }},
		{"padded DATA", AppendPaddedData(nil, 5, []byte("hello"), 7, false), func(f *http2.Framer) error {
			return f.WriteDataPadded(5, false, []byte("hello"), make([]byte, 7))
		}},
		{"HEADERS", AppendHeaders(nil, 3, block, true, 100), func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndStream: true, EndHeaders: true})
		}},
		{"HEADERS and CONTINUATION", AppendHeaders(nil, 3, block, false, 20), func(f *http2.Framer) error {
			return errors.Join(
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:20]}),
				f.WriteContinuation(3, false, block[20:40]), f.WriteContinuation(3, true, block[40:]))
		}},
		{"PRIORITY", AppendPriority(nil, 3, PriorityParam{1, true, 9}), func(f *http2.Framer) error {
			return f.WritePriority(3, http2.PriorityParam{StreamDep: 1, Exclusive: true, Weight: 9})
		}},
		{"RST_STREAM", AppendRSTStream(nil, 3, Cancel), func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeCancel) }},
		{"SETTINGS", AppendSettings(nil, Setting{EnablePush, 0}, Setting{InitialWindowSize, 1 << 20}), func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		}},
		{"SETTINGS ack", AppendSettingsAck(nil), func(f *http2.Framer) error { return f.WriteSettingsAck() }},
		{"PUSH_PROMISE", AppendPushPromise(nil, 1, 2, block), func(f *http2.Framer) error {
			return f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block, EndHeaders: true})
		}},
		{"PING", AppendPing(nil, true, [8]byte{1, 2}), func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1, 2}) }},
		{"GOAWAY", AppendGoAway(nil, 9, EnhanceYourCalm, "calm"), func(f *http2.Framer) error {
			return f.WriteGoAway(9, http2.ErrCodeEnhanceYourCalm, []byte("calm"))
		}},
		{"WINDOW_UPDATE", AppendWindowUpdate(nil, 7, 1<<31-1), func(f *http2.Framer) error { return f.WriteWindowUpdate(7, 1<<31-1) }},
	}
	for _, tt := range tests {
		var buf bytes.Buffer
		if err := tt.x(http2.NewFramer(&buf, nil)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(tt.ours, buf.Bytes()) {
			t.Errorf("%s: got %x, x/net writes %x", tt.name, tt.ours, buf.Bytes())
		}
	}
}

// appendParsed appends the frame again from what the parsers made of it, without padding. ok is false for a frame
// that the parsers refuse.
func appendParsed(dst []byte, h FrameHeader, p []byte) (_ []byte, ok bool) {
	var err error
	switch h.Type {
	case Data:
		p, err = ParseData(h.Flags, p)
		dst = AppendData(dst, h.StreamID, p, h.Flags.Has(FlagEndStream))
	case Headers:
		var hp HeadersPayload
		hp, err = ParseHeaders(h.Flags, p)
		body := hp.Fragment
		if hp.HasPriority {
			body = append(AppendPriorityParam(nil, hp.Priority), hp.Fragment...)
		}
		dst = AppendFrameHeader(dst, FrameHeader{uint32(len(body)), Headers, h.Flags &^ FlagPadded, h.StreamID})
		dst = append(dst, body...)
	case Priority:
		var pp PriorityParam
		pp, err = ParsePriority(p)
		dst = AppendPriority(dst, h.StreamID, pp)
	case RSTStream:
		var code ErrCode
		code, err = ParseRSTStream(p)
		dst = AppendRSTStream(dst, h.StreamID, code)
	case Settings:
		var sp SettingsPayload
		sp, err = ParseSettings(p)
		var list []Setting
		for i := range sp.Len() {
			list = append(list, sp.At(i))
		}
		dst = AppendSettings(dst, list...)
	case PushPromise:
		var id uint32
		id, p, err = ParsePushPromise(h.Flags, p)
		dst = AppendPushPromise(dst, h.StreamID, id, p)
	case Ping:
		var data [8]byte
		data, err = ParsePing(p)
		dst = AppendPing(dst, h.Flags.Has(FlagAck), data)
	case GoAway:
		var last uint32
		var code ErrCode
		last, code, p, err = ParseGoAway(p)
		dst = AppendGoAway(dst, last, code, string(p))
	case WindowUpdate:
		var inc uint32
		inc, err = ParseWindowUpdate(p)
		dst = AppendWindowUpdate(dst, h.StreamID, inc)
	case WSOpen:
		var head WSHead
		var fields WSFields
		if head, fields, err = ParseWSOpen(p); err == nil {
			var again []byte
			for name, value, rest, ok := fields.Next(); ok; name, value, rest, ok = rest.Next() {
				again = AppendWSField(again, string(name), string(value))
			}
			dst = AppendWSOpen(dst, head.StreamID, head.Nonce, again)
		}
	case WSAccept:
		var head WSHead
		head, err = ParseWSAccept(p)
		dst = AppendWSAccept(dst, head.StreamID, head.Nonce)
	case AltSvc:
		var origin, value []byte
		origin, value, err = ParseAltSvc(p)
		dst = AppendAltSvc(dst, h.StreamID, string(origin), string(value))
	case Origin:
		var list [][]byte
		list, err = ParseOrigin(p)
		var origins []string
		for _, o := range list {
			origins = append(origins, string(o))
		}
		dst = AppendOrigin(dst, origins...)
	default:
		dst = append(AppendFrameHeader(dst, h), p...)
	}
	return dst, err == nil
}

func checkRoundTrip(t *testing.T, typ FrameType, flags Flags, id uint32, payload []byte) {
	in := append(AppendFrameHeader(nil, FrameHeader{uint32(len(payload)), typ, flags, id}), payload...)
	h, ok := ParseFrameHeader(in)
	if !ok || int(h.Length) != len(payload) || h.StreamID != id&MaxStreamID {
		t.Fatalf("header of %x parsed as %+v", in, h)
	}
	once, ok := appendParsed(nil, h, payload)
	checkFramer(t, in)
	if !ok {
		return
	}
	h2, _ := ParseFrameHeader(once)
	twice, ok := appendParsed(nil, h2, once[HeaderLen:])
	if !ok || !bytes.Equal(once, twice) {
		t.Fatalf("%x: appended as %x and then as %x (%v)", in, once, twice, ok)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for typ := range uint8(11) {
		f.Add(typ, uint8(0), uint32(1), []byte("\x00\x00\x00\x02\x01"))
		f.Add(typ, uint8(0xff), uint32(0), []byte("\x01\x00\x00\x02\x01\x00\x00\x00\x01"))
	}
	for _, typ := range []FrameType{WSOpen, WSAccept, AltSvc, Origin} {
		f.Add(uint8(typ), uint8(0), uint32(0), []byte("\x01\x00\x00\x00\x0112345678\x00\x01a\x00\x01b"))
		f.Add(uint8(typ), uint8(0), uint32(0), []byte("\x01\x00\x00\x00\x0112345678"))
		f.Add(uint8(typ), uint8(0), uint32(0), []byte("\x00\x01a\x00\x01b"))
	}
	f.Fuzz(func(t *testing.T, typ, flags uint8, id uint32, payload []byte) {
		checkRoundTrip(t, FrameType(typ), Flags(flags), id, payload)
	})
}

// TestRoundTripRandom is FuzzRoundTrip's property over a fixed sample.
func TestRoundTripRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		payload := make([]byte, rnd.IntN(24))
		for i := range payload {
			payload[i] = byte(rnd.Uint32()) >> rnd.IntN(8)
		}
		types := []FrameType{FrameType(rnd.IntN(13)), WSOpen, WSAccept}
		checkRoundTrip(t, types[rnd.IntN(len(types))], Flags(rnd.Uint32()), rnd.Uint32()>>rnd.IntN(32), payload)
	}
}
