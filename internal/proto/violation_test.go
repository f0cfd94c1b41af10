package proto

import (
	"strings"
	"testing"

	"github.com/weftws/weft/internal/frame"
)

// Each rule, broken at least once, with the text a user reads. The second column is what the peer, a client, sends.
var violationCases = []struct {
	name   string
	frames []fr
	cfg    Config
	want   string
}{
	{"RSV1 without the extension", []fr{text("x").rsv1()}, Config{},
		"reserved-bit: client set RSV1 on a text frame, which no agreed extension defines (1002, RFC 6455, Section 5.2)"},
	{"RSV2 with the extension", []fr{bytesOf("\xa1")}, Config{Deflate: takeover},
		"reserved-bit: client set RSV2 on a text frame, which no agreed extension defines (1002, RFC 6455, Section 5.2)"},
	{"RSV3", []fr{bytesOf("\x99")}, Config{Deflate: takeover},
		"reserved-bit: client set RSV3 on a ping frame, which no agreed extension defines (1002, RFC 6455, Section 5.2)"},
	{"RSV1 on a ping", []fr{ping("x").rsv1()}, Config{Deflate: takeover},
		"compressed-control: client set RSV1 (compressed) on a ping frame (1002, RFC 7692, Section 6)"},
	{"RSV1 on a close", []fr{closing("").rsv1()}, Config{Deflate: takeover},
		"compressed-control: client set RSV1 (compressed) on a close frame (1002, RFC 7692, Section 6)"},
	{"RSV1 on a continuation", []fr{text("\x00").rsv1().more(), cont("\x00").rsv1()}, Config{Deflate: takeover},
		"compressed-continuation: client set RSV1 (compressed) on a continuation frame (1002, RFC 7692, Section 6)"},
	{"reserved opcode", []fr{bytesOf("\x83")}, Config{},
		"reserved-opcode: client sent a frame with the reserved opcode 0x3 (1002, RFC 6455, Section 5.2)"},
	{"fragmented control", []fr{bytesOf("\x09")}, Config{},
		"fragmented-control: client sent a ping frame without FIN (1002, RFC 6455, Section 5.5)"},
	{"unexpected continuation", []fr{bytesOf("\x80")}, Config{},
		"unexpected-continuation: client sent a continuation frame with no message to continue (1002, RFC 6455, Section 5.4)"},
	{"interleaved", []fr{bin("x").more(), bytesOf("\x01")}, Config{},
		"interleaved-message: client began a text message inside a binary message (1002, RFC 6455, Section 5.4)"},
	{"unmasked", []fr{bytesOf("\x81\x05")}, Config{},
		"unmasked-frame: client sent an unmasked frame (1002, RFC 6455, Section 5.1)"},
	{"long control", []fr{bytesOf("\x89\xfe")}, Config{},
		"long-control: client sent a ping frame with its length in more than 7 bits, which hold the 125 bytes that it may have (1002, RFC 6455, Section 5.5)"},
	{"a short control frame in 16 bits", []fr{bytesOf("\x8a\xfe\x00\x05")}, Config{},
		"long-control: client sent a pong frame with its length in more than 7 bits, which hold the 125 bytes that it may have (1002, RFC 6455, Section 5.5)"},
	{"non-minimal, 16 bits", []fr{bytesOf("\x82\xfe\x00\x7d")}, Config{},
		"non-minimal-length: client sent a payload length of 125 in 16 bits (1002, RFC 6455, Section 5.2)"},
	{"non-minimal, 64 bits", []fr{bytesOf("\x82\xff\x00\x00\x00\x00\x00\x00")}, Config{},
		"non-minimal-length: client sent a payload length below 65536 in 64 bits (1002, RFC 6455, Section 5.2)"},
	{"top bit", []fr{bytesOf("\x82\xff\x80")}, Config{},
		"length-top-bit: client sent a payload length of 2^63 or more (1002, RFC 6455, Section 5.2)"},

	{"too big in one frame", []fr{bytesOf("\x82\xfe\x01\x01")}, Config{MaxMessageBytes: 256},
		"message-too-big: client sent a message of 257 bytes or more, 1 over the limit of 256 (1009, RFC 6455, Section 10.4)"},
	{"too big by an absurd frame", []fr{bytesOf("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff")}, Config{MaxMessageBytes: 1},
		"message-too-big: client sent a message of 9223372036854775807 bytes or more, 9223372036854775806 over the limit of 1 (1009, RFC 6455, Section 10.4)"},
	{"too big in two frames", []fr{text("12345678").more(), cont("90").more()}, Config{MaxMessageBytes: 9},
		"message-too-big: client sent a message of 10 bytes or more, 1 over the limit of 9 (1009, RFC 6455, Section 10.4)"},
	{"too big by an absurd second frame", []fr{text("1").more(), bytesOf("\x00\xff\x7f\xff\xff\xff\xff\xff\xff\xff")}, Config{MaxMessageBytes: 9},
		"message-too-big: client sent a message of 9223372036854775808 bytes or more, 9223372036854775799 over the limit of 9 (1009, RFC 6455, Section 10.4)"},
	{"too big before inflating", []fr{bytesOf("\xc2\xfe\x01\x00")}, Config{MaxMessageBytes: 100, Deflate: takeover},
		"message-too-big: client sent a message of 256 compressed bytes or more; the limit is 100 bytes inflated (1009, RFC 6455, Section 10.4)"},
	{"too big after inflating", []fr{text("\xf2\x48\xcd\xc9\xc9\x07\x00").rsv1()}, Config{MaxMessageBytes: 4, Deflate: takeover},
		"message-too-big: client sent a message that inflates to more than the limit of 4 bytes (1009, RFC 6455, Section 10.4)"},

	{"too many fragments", []fr{text("a").more(), cont("b").more(), cont("c").more(), cont("d")}, Config{MaxFragments: 3},
		"too-many-fragments: client sent a message in more than 3 frames (1008, RFC 6455, Section 10.4)"},
	{"too many empty fragments", manyEmpty(1025), Config{},
		"too-many-empty-fragments: client sent a message with more than 1024 empty frames (1008, RFC 6455, Section 10.4)"},

	{"invalid UTF-8", []fr{text("ab").more(), cont("c\xffd")}, Config{},
		"invalid-utf8: client sent text that is no UTF-8: 0xff at byte 3 of the message (1007, RFC 6455, Section 8.1)"},
	{"cut-off UTF-8", []fr{text("ab").more(), cont("c\xe2\x82")}, Config{},
		"invalid-utf8: client ended a text message of 5 bytes inside a character (1007, RFC 6455, Section 8.1)"},
	{"invalid UTF-8, inflated", []fr{text("\x00\x03\x00\xfc\xffab\xff\x00").rsv1()}, Config{Deflate: takeover},
		"invalid-utf8: client sent text that is no UTF-8: 0xff at byte 2 of the message (1007, RFC 6455, Section 8.1)"},
	{"invalid UTF-8 at once, inflated", []fr{text("\x00\x01\x00\xfe\xff\xff\x00").rsv1()}, Config{Deflate: takeover},
		"invalid-utf8: client sent text that is no UTF-8: 0xff at byte 0 of the message (1007, RFC 6455, Section 8.1)"},
	{"cut-off UTF-8, inflated", []fr{text("\x00\x03\x00\xfc\xffab\xc3\x00").rsv1()}, Config{Deflate: takeover},
		"invalid-utf8: client ended a text message of 3 bytes inside a character (1007, RFC 6455, Section 8.1)"},
	{"no DEFLATE", []fr{bin("\xff\xff\xff").rsv1()}, Config{Deflate: takeover},
		"corrupt-deflate: client sent a message of 3 compressed bytes that is no valid DEFLATE data (1007, RFC 7692, Section 7.2.2)"},

	{"half a close code", []fr{closing("\x03")}, Config{},
		"short-close: client sent a close frame of 1 byte, half of a code (1002, RFC 6455, Section 5.5.1)"},
	{"close code", []fr{closing("\x03\xed")}, Config{},
		"invalid-close-code: client sent a close frame with the code 1005, which may not be sent (1002, RFC 6455, Section 7.4)"},
	{"close reason", []fr{closing("\x03\xe8a\xff")}, Config{},
		"invalid-close-reason: client sent a close frame with a reason of 2 bytes that is no UTF-8 (1007, RFC 6455, Section 5.5.1)"},
}

// manyEmpty is a message that begins with n frames without payload and never ends.
func manyEmpty(n int) []fr {
	frames := []fr{text("").more()}
	for range n {
		frames = append(frames, cont("").more())
	}
	return frames
}

func TestEveryViolation(t *testing.T) {
	broken := map[string]bool{"masked-frame": true} // by servers only: below
	for _, tt := range violationCases {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Side = frame.Server
			got := checkLaw(t, tt.cfg, wire(frame.Client, tt.frames...))
			wantEvents(t, got[len(got)-1:], "failed "+tt.want)
			name, _, _ := strings.Cut(tt.want, ":")
			broken[name] = true
		})
	}
	wantEvents(t, checkLaw(t, Config{Side: frame.Client}, []byte("\x81\x85")),
		"failed masked-frame: server sent a masked frame (1002, RFC 6455, Section 5.1)")

	seen := map[string]bool{}
	for _, v := range Violations() {
		if !broken[v.Name] {
			t.Errorf("%s is never broken in a test", v.Name)
		}
		if seen[v.Name] || !v.Code.Valid() || !strings.HasPrefix(v.Section, "RFC ") {
			t.Errorf("a bad or repeated entry: %+v", *v)
		}
		seen[v.Name] = true
	}
	for name := range broken {
		if !seen[name] {
			t.Errorf("%s is missing in the table", name)
		}
	}
}

// The limits let pass what reaches them.
func TestLimitsReached(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg    Config
		frames []fr
		want   string
	}{
		"bytes in one frame":      {Config{MaxMessageBytes: 5}, []fr{text("Hello")}, `message text "Hello"`},
		"bytes in three frames":   {Config{MaxMessageBytes: 5}, []fr{text("He").more(), cont("llo").more(), cont("")}, `message text "Hello"`},
		"bytes after inflating":   {Config{MaxMessageBytes: 5, Deflate: takeover}, []fr{text("\xf2\x48\xcd\xc9\xc9\x07\x00").rsv1()}, `message text "Hello"`},
		"no limit":                {Config{}, []fr{text("Hello")}, `message text "Hello"`},
		"fragments":               {Config{MaxFragments: 3}, []fr{text("a").more(), cont("b").more(), cont("c")}, `message text "abc"`},
		"one fragment":            {Config{MaxFragments: 1}, []fr{text("a")}, `message text "a"`},
		"unlimited fragments":     {Config{MaxFragments: -1}, []fr{text("a").more(), cont("b").more(), cont("c")}, `message text "abc"`},
		"empty fragments":         {Config{}, append(manyEmpty(1023), cont("end")), `message text "end"`},
		"deflate's own expansion": {Config{MaxMessageBytes: 1, Deflate: takeover}, []fr{bin("\x00\x01\x00\xfe\xffx").rsv1().more(), cont("\x00\x00\x00\xff\xff").more(), cont("\x00")}, `message binary "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Side = frame.Server
			wantEvents(t, checkLaw(t, tt.cfg, wire(frame.Client, tt.frames...)), tt.want)
		})
	}
}

// How many compressed bytes are taken for a message of at most 100: those, an eighth and a 64th of them, and room for
// 64 bytes and 16 in each frame.
func TestCompressedLimit(t *testing.T) {
	for length, want := range map[byte]EventKind{193: NeedMore, 194: Failed} {
		r := NewReceiver(Config{Side: frame.Client, MaxMessageBytes: 100, Deflate: takeover})
		if ev, _ := r.Recv([]byte{0xc2, 126, 0, length}); ev.Kind != want {
			t.Errorf("%d bytes: %v, want %v", length, ev.Kind, want)
		}
	}
	if got := compressedLimit(1<<63-1, 1<<30); got < 1<<61 {
		t.Errorf("overflow: %d", got)
	}
}

// A message is refused by its header, before any memory is spent on it.
func TestTooBigIsJudgedByTheHeader(t *testing.T) {
	r := NewReceiver(Config{Side: frame.Server, MaxMessageBytes: 1 << 20, Alloc: func(n int) []byte {
		t.Errorf("asked for %d bytes", n)
		return make([]byte, 0, n)
	}})
	r.Whole = true
	header := []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1} // 1 MiB and 1; the key is still missing
	for i := range header {
		ev, _ := r.Recv(header[i : i+1])
		if failed := ev.Kind == Failed; failed != (i == len(header)-1) {
			t.Fatalf("byte %d: %v", i, ev.Kind)
		}
	}
}

// A frame that announces much and brings little costs little.
func TestMemoryFollowsWhatCame(t *testing.T) {
	most := 0
	r := NewReceiver(Config{Side: frame.Client, Alloc: func(n int) []byte {
		most = max(most, n)
		return make([]byte, 0, n)
	}})
	r.Whole = true
	r.Recv([]byte{0x82, 0x7f, 0, 0, 0, 0, 0x40, 0, 0, 0, 'a', 'b'})
	if most > 4096 {
		t.Errorf("asked for %d bytes for the first 2 of 1 GiB", most)
	}
	came := 2
	for range 100 {
		came += 1000
		r.Recv(make([]byte, 1000))
		if most > max(4096, 2*came) {
			t.Fatalf("asked for %d bytes for %d", most, came)
		}
	}
}

// With Own a message in one frame is gathered in a buffer of its size, and that is the caller's. A large announcement is believed
// when an eighth of it has come.
func TestGatheredMessageIsOwned(t *testing.T) {
	const size = 100_000
	most := 0
	r := NewReceiver(Config{Side: frame.Client, Alloc: func(n int) []byte {
		most = max(most, n)
		return make([]byte, 0, n)
	}, Free: func(b []byte) { clear(b[:cap(b)]) }})
	r.Whole, r.Own = true, true
	in := wire(frame.Server, bin(strings.Repeat("x", size)))
	var ev Event
	for i := 0; i < len(in); i += 5000 {
		ev, _ = r.Recv(in[i:min(i+5000, len(in))])
	}
	if !ev.Owned || len(ev.Payload) != size || cap(ev.Payload) > size+size/8 || most > 2*size/8 {
		t.Errorf("owned %v, %d bytes in a buffer of %d; %d were asked for before", ev.Owned, len(ev.Payload), cap(ev.Payload), most)
	}
	r.Recv(nil)
	r.Close()
	if strings.Trim(string(ev.Payload), "x") != "" {
		t.Error("the payload has changed")
	}
}

// MaxMessageBytes may be changed inside a message and counts from the next frame on.
func TestMaxMessageBytesChanges(t *testing.T) {
	r := NewReceiver(Config{Side: frame.Client, MaxMessageBytes: 10})
	r.Whole = true
	r.Recv(wire(frame.Server, text("12345678").more()))
	r.MaxMessageBytes = 4
	ev, _ := r.Recv(wire(frame.Server, cont("")))
	if ev.Violation != MessageTooBig || !strings.Contains(ev.Detail, "8 bytes or more, 4 over the limit of 4") {
		t.Errorf("%v %s", ev.Kind, ev.Detail)
	}
}
