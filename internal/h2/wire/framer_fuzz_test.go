package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"golang.org/x/net/http2"
)

// FuzzFramer has our parsers and x/net's Framer read the same bytes: the same frames with the same contents, or both refuse. Where
// x/net alone refuses, elsewhere names the rule.
func FuzzFramer(f *testing.F) {
	for _, text := range canonical {
		b, err := NewParser().Append(nil, text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimPrefix(b, []byte(ClientPreface)))
	}
	f.Fuzz(checkFramer)
}

func checkFramer(t *testing.T, in []byte) {
	in = bytes.TrimPrefix(in, []byte(ClientPreface))
	fr := http2.NewFramer(io.Discard, bytes.NewReader(in))
	fr.AllowIllegalReads = true // their order is the engine's to judge
	for {
		h, ok := ParseFrameHeader(in)
		if !ok || len(in)-HeaderLen < int(h.Length) {
			if frame, err := fr.ReadFrame(); err == nil {
				t.Fatalf("x/net reads %v out of %x, we want more", frame, in)
			}
			return
		}
		p := in[HeaderLen : HeaderLen+int(h.Length)]
		frame, theirs := fr.ReadFrame()
		ours, err := describe(h, p)
		rule := elsewhere(h, p)
		switch {
		case theirs == nil && err != nil:
			t.Fatalf("x/net takes %x as %v, we do not: %v", in, frame, err)
		case theirs == nil && rule != "":
			t.Fatalf("x/net takes %x, although %s", in, rule)
		case theirs != nil && err == nil && rule == "":
			t.Fatalf("x/net refuses %x (%v), we take it as %s", in, theirs, ours)
		case theirs == nil && ours != describeTheirs(frame):
			t.Fatalf("x/net reads %x as\n%s\nwe read it as\n%s", in, describeTheirs(frame), ours)
		}
		in = in[HeaderLen+len(p):]
	}
}

// elsewhere names the rule that x/net's Framer applies to a frame and that is not the codec's here, but the engine's: those that
// are about streams, about values, and about frames that we do not know.
func elsewhere(h FrameHeader, p []byte) string {
	switch h.Type {
	case Data, Headers, Priority, RSTStream, Continuation, PushPromise:
		if h.StreamID == 0 {
			return "it is on stream 0"
		}
	case Settings, Ping, GoAway:
		if h.StreamID != 0 {
			return "it is on a stream"
		}
	case 0x10: // PRIORITY_UPDATE, RFC 9218, Section 7.1
		if h.StreamID != 0 || len(p) < 4 || len(p) >= 4 && binary.BigEndian.Uint32(p)&MaxStreamID == 0 {
			return "it is a malformed PRIORITY_UPDATE"
		}
	}
	switch {
	case h.Type == Settings && h.Flags.Has(FlagAck) && len(p) > 0:
		return "it acknowledges with a payload"
	case h.Type == Settings && len(p)%6 == 0 && initialWindow(p) > MaxWindow:
		return "it sets a window that is too large"
	case h.Type == WindowUpdate && len(p) == 4 && binary.BigEndian.Uint32(p)&MaxWindow == 0:
		return "it adds nothing to the window"
	}
	return ""
}

// initialWindow is the first INITIAL_WINDOW_SIZE in p, the only one that x/net looks at; 0: none.
func initialWindow(p SettingsPayload) uint32 {
	for i := range p.Len() {
		if s := p.At(i); s.ID == InitialWindowSize {
			return s.Value
		}
	}
	return 0
}

// describe says what our parsers make of a frame.
func describe(h FrameHeader, p []byte) (string, error) {
	head := fmt.Sprintf("%d %#x %#x %d", h.Length, uint8(h.Type), uint8(h.Flags), h.StreamID)
	switch h.Type {
	case Data:
		data, err := ParseData(h.Flags, p)
		return fmt.Sprintf("%s %x", head, data), err
	case Headers:
		hp, err := ParseHeaders(h.Flags, p)
		return fmt.Sprintf("%s %v %v %x", head, hp.HasPriority, hp.Priority, hp.Fragment), err
	case Priority:
		pp, err := ParsePriority(p)
		return fmt.Sprintf("%s %v", head, pp), err
	case RSTStream:
		code, err := ParseRSTStream(p)
		return fmt.Sprintf("%s %d", head, uint32(code)), err
	case Settings:
		list, err := ParseSettings(p)
		for i := range list.Len() {
			head += fmt.Sprintf(" %d=%d", uint16(list.At(i).ID), list.At(i).Value)
		}
		return head, err
	case PushPromise:
		id, fragment, err := ParsePushPromise(h.Flags, p)
		return fmt.Sprintf("%s %d %x", head, id, fragment), err
	case Ping:
		data, err := ParsePing(p)
		return fmt.Sprintf("%s %x", head, data), err
	case GoAway:
		last, code, debug, err := ParseGoAway(p)
		return fmt.Sprintf("%s %d %d %x", head, last, uint32(code), debug), err
	case WindowUpdate:
		n, err := ParseWindowUpdate(p)
		return fmt.Sprintf("%s %d", head, n), err
	case 0x10:
		return head, nil // x/net parses it, we do not
	}
	return fmt.Sprintf("%s %x", head, p), nil
}

// describeTheirs is describe for a frame of x/net's.
func describeTheirs(frame http2.Frame) string {
	h := frame.Header()
	head := fmt.Sprintf("%d %#x %#x %d", h.Length, uint8(h.Type), uint8(h.Flags), h.StreamID)
	switch f := frame.(type) {
	case *http2.DataFrame:
		return fmt.Sprintf("%s %x", head, f.Data())
	case *http2.HeadersFrame:
		p := f.Priority
		return fmt.Sprintf("%s %v %v %x", head, f.HasPriority(), PriorityParam{p.StreamDep, p.Exclusive, p.Weight}, f.HeaderBlockFragment())
	case *http2.PriorityFrame:
		return fmt.Sprintf("%s %v", head, PriorityParam{f.StreamDep, f.Exclusive, f.Weight})
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("%s %d", head, uint32(f.ErrCode))
	case *http2.SettingsFrame:
		for i := range f.NumSettings() {
			head += fmt.Sprintf(" %d=%d", f.Setting(i).ID, f.Setting(i).Val)
		}
		return head
	case *http2.PushPromiseFrame:
		return fmt.Sprintf("%s %d %x", head, f.PromiseID, f.HeaderBlockFragment())
	case *http2.PingFrame:
		return fmt.Sprintf("%s %x", head, f.Data)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("%s %d %d %x", head, f.LastStreamID, uint32(f.ErrCode), f.DebugData())
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("%s %d", head, f.Increment)
	case *http2.ContinuationFrame:
		return fmt.Sprintf("%s %x", head, f.HeaderBlockFragment())
	case *http2.UnknownFrame:
		return fmt.Sprintf("%s %x", head, f.Payload())
	}
	return head
}
