package proto

import (
	"strings"
	"testing"

	"github.com/weftws/weft/internal/frame"
)

// A case is frames from the peer and the events they cause, on either side.
type rfcCase struct {
	name   string
	frames []fr
	want   []string
}

func runCases(t *testing.T, cases []rfcCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
				cfg.MaxMessageBytes = 1 << 20
				wantEvents(t, checkLaw(t, cfg, wire(peer, tt.frames...)), tt.want...)
			})
		})
	}
}

// "The server MUST close the connection upon receiving a frame that is not masked." "A client MUST close a connection if
// it detects a masked frame."
func TestRFC6455Section5_1Masking(t *testing.T) {
	for _, f := range []fr{text("x"), bin(""), ping("x"), closing(""), text("x").more()} {
		in := f.unlikeSide()
		wantEvents(t, checkLaw(t, Config{Side: frame.Server}, wire(frame.Client, text("ok"), in, text("never seen"))),
			`message text "ok"`, "failed unmasked-frame: client sent an unmasked frame (1002, RFC 6455, Section 5.1)")
		wantEvents(t, checkLaw(t, Config{Side: frame.Client}, wire(frame.Server, text("ok"), in, text("never seen"))),
			`message text "ok"`, "failed masked-frame: server sent a masked frame (1002, RFC 6455, Section 5.1)")
	}
}

// "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value, the
// receiving endpoint MUST _Fail the WebSocket Connection_." "If an unknown opcode is received, the receiving endpoint MUST
// _Fail the WebSocket Connection_."
func TestRFC6455Section5_2ReservedBitsAndOpcodes(t *testing.T) {
	var cases []rfcCase
	for _, f := range []fr{text("x"), bin("x"), cont("x"), ping("x"), pong(""), closing("\x03\xe8")} {
		for bit, name := range []string{"RSV1", "RSV2", "RSV3"} {
			g := f
			g.RSV1, g.RSV2, g.RSV3 = bit == 0, bit == 1, bit == 2
			cases = append(cases, rfcCase{name + " on " + f.Opcode.String(), []fr{g},
				[]string{"failed reserved-bit: ..."}})
		}
	}
	for _, op := range []frame.Opcode{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		for _, fin := range []bool{true, false} {
			cases = append(cases, rfcCase{op.String(), []fr{ping("before"), {Header: frame.Header{Fin: fin, Opcode: op}, payload: "x"}},
				[]string{`ping "before"`, "failed reserved-opcode: ..."}})
		}
	}
	runCases(t, cases)
}

// "Multibyte length quantities are expressed in network byte order." Each form of the length, at its edges.
func TestRFC6455Section5_2Lengths(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 65537} {
		payload := strings.Repeat("x", n)
		bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
			wantEvents(t, checkLaw(t, cfg, wire(peer, bin(payload), text("after"))),
				"message binary "+quote(payload), `message text "after"`)
		})
	}
}

func TestRFC6455Section5_4Fragmentation(t *testing.T) {
	runCases(t, []rfcCase{
		// "An unfragmented message consists of a single frame with the FIN bit set and an opcode other than 0."
		{"unfragmented", []fr{text("one"), bin("two")}, []string{`message text "one"`, `message binary "two"`}},
		// "For a text message sent as three fragments, the first fragment would have an opcode of 0x1 and a FIN bit clear, the
		// second fragment would have an opcode of 0x0 and a FIN bit clear, and the third fragment would have an opcode of 0x0
		// and a FIN bit that is set."
		{"the RFC's example", []fr{text("a").more(), cont("b").more(), cont("c")}, []string{`message text "abc"`}},
		{"two frames", []fr{bin("a").more(), cont("b")}, []string{`message binary "ab"`}},
		// "A sender MAY create fragments of any size for non-control messages." Nothing is a size.
		{"empty fragments", []fr{text("").more(), cont("").more(), cont("")}, []string{`message text ""`}},
		{"one empty fragment in front", []fr{text("").more(), cont("abc")}, []string{`message text "abc"`}},
		{"empty fragments between", []fr{text("a").more(), cont("").more(), cont("b").more(), cont("")}, []string{`message text "ab"`}},
		// "An endpoint MUST be capable of handling control frames in the middle of a fragmented message."
		{"control frames between", []fr{text("a").more(), ping("1"), cont("b").more(), pong("2"), ping(""), cont("c"), ping("3")},
			[]string{`ping "1"`, `pong "2"`, `ping ""`, `message text "abc"`, `ping "3"`}},
		{"close between", []fr{text("a").more(), closing("\x03\xe8")}, []string{`close 1000 ""`}},
		// "Control frames themselves MUST NOT be fragmented."
		{"fragmented ping", []fr{ping("a").more(), cont("b")}, []string{"failed fragmented-control: ..."}},
		{"fragmented close", []fr{closing("\x03\xe8").more()}, []string{"failed fragmented-control: ..."}},
		// "The fragments of one message MUST NOT be interleaved between the fragments of another message."
		{"text in binary", []fr{bin("a").more(), text("b")}, []string{"failed interleaved-message: ..."}},
		{"text in text", []fr{text("a").more(), cont("b").more(), text("c").more()}, []string{"failed interleaved-message: ..."}},
		{"nothing to continue", []fr{cont("a")}, []string{"failed unexpected-continuation: ..."}},
		{"nothing to continue, not final", []fr{text("a"), cont("b").more()}, []string{`message text "a"`, "failed unexpected-continuation: ..."}},
		{"nothing to continue any more", []fr{text("a").more(), cont("b"), cont("c")}, []string{`message text "ab"`, "failed unexpected-continuation: ..."}},
	})
}

// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
func TestRFC6455Section5_5ControlFrames(t *testing.T) {
	full, over := strings.Repeat("x", 125), strings.Repeat("x", 126)
	runCases(t, []rfcCase{
		{"ping of 125 bytes", []fr{ping(full)}, []string{`ping "` + full + `"`}},
		{"pong of 125 bytes", []fr{pong(full)}, []string{`pong "` + full + `"`}},
		{"close of 125 bytes", []fr{closing("\x03\xe8" + full[2:])}, []string{`close 1000 "` + full[2:] + `"`}},
		{"ping of 126 bytes", []fr{ping(over)}, []string{"failed long-control: ..."}},
		{"pong of 126 bytes", []fr{pong(over)}, []string{"failed long-control: ..."}},
		{"close of 126 bytes", []fr{closing("\x03\xe8" + over)}, []string{"failed long-control: ..."}},
		{"ping of 65536 bytes", []fr{ping(strings.Repeat("x", 65536))}, []string{"failed long-control: ..."}},
	})
}

func TestRFC6455Section5_5_1Close(t *testing.T) {
	cases := []rfcCase{
		// "The Close frame MAY contain a body." Without one, the code is 1005 (Section 7.1.5) and the reason is the empty string
		// (Section 7.1.6).
		{"without body", []fr{closing("")}, []string{`close 1005 ""`}},
		{"with code", []fr{closing("\x03\xe9")}, []string{`close 1001 ""`}},
		// "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/."
		{"with reason", []fr{closing("\x0b\xb8gr\u00fc\u00df dich")}, []string{`close 3000 "grüß dich"`}},
		// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer."
		{"half a code", []fr{closing("\x03")}, []string{"failed short-close: ..."}},
		{"an invalid reason", []fr{closing("\x03\xe8\xff")}, []string{"failed invalid-close-reason: ..."}},
		{"a reason with half a character", []fr{closing("\x03\xe8a\xc3")}, []string{"failed invalid-close-reason: ..."}},
		// "After receiving a control frame indicating the connection should be closed, a peer discards any further data
		// received." (Section 1.4.) Whatever it is.
		{"then data", []fr{closing("\x03\xe8"), text("late"), closing("\x03\xe9"), bytesOf("\xff\xff\xff\xff")}, []string{`close 1000 ""`}},
	}
	// Sections 7.4.1 and 7.4.2.
	for _, code := range []string{"\x03\xe8", "\x03\xe9", "\x03\xea", "\x03\xeb", "\x03\xef", "\x03\xf0", "\x03\xf1", "\x03\xf2", "\x03\xf3", "\x03\xf4", "\x03\xf5", "\x03\xf6", "\x0b\xb8", "\x0f\x9f", "\x0f\xa0", "\x13\x87"} {
		cases = append(cases, rfcCase{"code that may be sent", []fr{closing(code)}, []string{"close ..."}})
	}
	for _, code := range []string{"\x00\x00", "\x03\xe7", "\x03\xec", "\x03\xed", "\x03\xee", "\x03\xf7", "\x03\xf8", "\x07\xcf", "\x07\xd0", "\x0b\xb7", "\x13\x88", "\xff\xff"} {
		cases = append(cases, rfcCase{"code that may not be sent", []fr{closing(code + "why")}, []string{"failed invalid-close-code: ..."}})
	}
	runCases(t, cases)
}

// "A Ping frame MAY include 'Application data'." "A Pong frame sent in response to a Ping frame must have identical
// 'Application data'": the event hands it over as it was. "A Pong frame MAY be sent unsolicited."
func TestRFC6455Section5_5_2PingAndPong(t *testing.T) {
	all := make([]byte, 125)
	for i := range all {
		all[i] = byte(255 - i)
	}
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		in := wire(peer, ping(string(all)), ping(""), pong("unsolicited"), pong("\xff\x00"))
		r := NewReceiver(cfg)
		ev, n := r.Recv(in)
		if ev.Kind != Ping || string(ev.Payload) != string(all) {
			t.Fatalf("%v % x", ev.Kind, ev.Payload)
		}
		reply := NewSender(Config{Side: cfg.Side}).AppendControl(nil, frame.Pong, ev.Payload, [4]byte{9, 8, 7, 6})
		wantEvents(t, receive(t, Config{Side: peer}, whole, reply, len(reply)), receive(t, cfg, whole, wire(peer, pong(string(all))), 1000)...)
		wantEvents(t, receive(t, cfg, whole, wire(peer, ping(""), pong("unsolicited"), pong("\xff\x00")), 1000), `ping ""`, `pong "unsolicited"`, `pong "\xff\x00"`)
		if len(in) == n {
			t.Error("took more than the first frame")
		}
	})
}

// "Note that a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain valid
// UTF-8."
func TestRFC6455Section5_6UTF8(t *testing.T) {
	runCases(t, []rfcCase{
		{"binary is arbitrary", []fr{bin("\xff\xfe\x00\xed\xa0\x80")}, []string{`message binary "\xff\xfe\x00\xed\xa0\x80"`}},
		{"invalid in one frame", []fr{text("ab\xffcd")}, []string{"failed invalid-utf8: ..."}},
		{"invalid in the second frame", []fr{text("ab").more(), cont("c\xff").more(), ping("never seen")}, []string{"failed invalid-utf8: ..."}},
		{"invalid across frames", []fr{text("ab\xe2").more(), cont("\x82"), text("never seen")}, []string{"failed invalid-utf8: ..."}},
		{"a surrogate across frames", []fr{text("\xed").more(), cont("\xa0").more()}, []string{"failed invalid-utf8: ..."}},
		{"beyond U+10FFFF", []fr{text("\xf4\x90")}, []string{"failed invalid-utf8: ..."}},
		{"ends inside a character", []fr{text("ab\xc3")}, []string{"failed invalid-utf8: ..."}},
		{"is nothing but the beginning of a character", []fr{text("\xc3")}, []string{"failed invalid-utf8: ..."}},
		{"ends inside a character, then an empty frame", []fr{text("ab\xe2\x82").more(), cont("")}, []string{"failed invalid-utf8: ..."}},
		{"the message after starts anew", []fr{text("\u00fc").more(), cont("\u00fc"), text("\u00fc")}, []string{`message text "üü"`, `message text "ü"`}},
	})
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		in := wire(peer, text("\xe2").more(), cont("\x82").more(), ping("\xff"), cont("").more(), cont("\xac\xf0\x9d").more(), cont("\x92\x9e"))
		wantEvents(t, checkLaw(t, cfg, in), `ping "\xff"`, "message text \"\u20ac\U0001d49e\"")
	})
}

// Section 8.1, failing fast: the violation comes with the byte that makes the text invalid, not with the end of the frame
// or of the message.
func TestRFC6455Section8_1FailsFast(t *testing.T) {
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		for _, whole := range []bool{false, true} {
			in := wire(peer, text("\u00fc").more(), cont("ab\xf4\x90cdefgh").more())
			bad := len(in) - 7
			r := NewReceiver(cfg)
			r.Whole = whole
			for i := range in {
				ev, _ := r.Recv(in[i : i+1])
				if failed := ev.Kind == Failed; failed != (i == bad) {
					t.Fatalf("whole %v: byte %d of %d, bad byte %d: %v %s", whole, i, len(in), bad, ev.Kind, ev.Detail)
				}
			}
		}
	})
}

// The examples of Section 5.7, to a server or a client as they are masked or not.
func TestRFC6455Section5_7Examples(t *testing.T) {
	server, client := Config{Side: frame.Server}, Config{Side: frame.Client}
	wantEvents(t, checkLaw(t, client, []byte("\x81\x05Hello")), `message text "Hello"`)
	wantEvents(t, checkLaw(t, server, []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")), `message text "Hello"`)
	wantEvents(t, checkLaw(t, client, []byte("\x01\x03Hel\x80\x02lo")), `message text "Hello"`)
	wantEvents(t, checkLaw(t, client, []byte("\x89\x05Hello")), `ping "Hello"`)
	wantEvents(t, checkLaw(t, server, []byte("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")), `pong "Hello"`)
}

// "If the frame comprises an unfragmented message, it is said that _A WebSocket Message Has Been Received_ with type /type/
// and data /data/." The type of a fragmented one is "noted from the first frame"; "subsequent data frames MUST be interpreted
// as belonging to a new WebSocket message." "A server MUST remove masking for data frames received from a client": each
// with its own key.
func TestRFC6455Section6_2Receiving(t *testing.T) {
	runCases(t, []rfcCase{
		{"types alternate", []fr{text("a").more(), cont("b"), bin("c").more(), cont("d"), text("e"), bin("f")},
			[]string{`message text "ab"`, `message binary "cd"`, `message text "e"`, `message binary "f"`}},
	})
}

// "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote endpoint
// after being instructed to _Fail the WebSocket Connection_."
func TestRFC6455Section7_1_7NothingAfterAFailure(t *testing.T) {
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		in := wire(peer, cont("bad"), text("a"), ping("b"), closing("\x03\xe8"))
		wantEvents(t, checkLaw(t, cfg, in), "failed unexpected-continuation: ...")
		r := NewReceiver(cfg)
		r.Recv(in)
		if ev, n := r.Recv(in); ev.Kind != NeedMore || n != len(in) || !r.Idle() {
			t.Errorf("after the failure: %v, %d of %d bytes, idle %v", ev.Kind, n, len(in), r.Idle())
		}
	})
}
