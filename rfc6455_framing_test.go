package weft_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftws/weft"
)

// "The server MUST close the connection upon receiving a frame that is not masked." "A client MUST close a connection if it
// detects a masked frame." "In this case, it MAY use the status code 1002."
func TestRFC6455Section5_1_Masking(t *testing.T) {
	for _, f := range []rawFrame{text("x"), bin(""), ping("x"), shut(1000, ""), text("x").more()} {
		t.Run(f.String(), func(t *testing.T) {
			converseWith(t, setting{}, func(p *rawPeer) {
				p.send(text("good"), f.unlikeSide(), text("never seen"))
				p.wantMessage(`text "good"`)
				if p.client {
					p.wantFailure(1002, "unmasked-frame")
				} else {
					p.wantFailure(1002, "masked-frame")
				}
			})
		})
	}
}

// "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value, the
// receiving endpoint MUST _Fail the WebSocket Connection_."
func TestRFC6455Section5_2_ReservedBits(t *testing.T) {
	var cs []conversation
	for bit, name := range map[byte]string{4: "RSV1", 2: "RSV2", 1: "RSV3"} {
		for _, f := range []rawFrame{text("x"), ping(""), shut(1000, "")} {
			cs = append(cs, conversation{fmt.Sprintf("%s on opcode %d", name, f.opcode), func(p *rawPeer) {
				p.send(f.bits(bit), text("never seen"))
				p.wantFailure(1002, "reserved-bit")
			}})
		}
	}
	cs = append(cs, conversation{"all on a continuation", func(p *rawPeer) {
		p.send(text("x").more(), cont("y").bits(7))
		p.wantFailure(1002, "reserved-bit")
	}})
	converse(t, cs)
}

// "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
func TestRFC6455Section5_2_Opcodes(t *testing.T) {
	var cs []conversation
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cs = append(cs, conversation{fmt.Sprintf("opcode %#x", op), func(p *rawPeer) {
			p.send(ping("before"), rawFrame{fin: true, opcode: op, payload: "x"})
			p.want(pong("before"))
			p.wantFailure(1002, "reserved-opcode")
		}})
	}
	converse(t, cs)
}

// "if 0-125, that is the payload length. If 126, the following 2 bytes interpreted as a 16-bit unsigned integer are the
// payload length. If 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)
// are the payload length." "Note that in all cases, the minimal number of bytes MUST be used to encode the length."
func TestRFC6455Section5_2_Lengths(t *testing.T) {
	var cs []conversation
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 200_000} {
		cs = append(cs, conversation{fmt.Sprintf("%d bytes", n), func(p *rawPeer) {
			s := strings.Repeat("weft ", n/5+1)[:n]
			p.send(bin(s))
			p.wantMessage("binary " + brief(s))
			p.write(weft.MessageBinary, s)
			p.want(bin(s))
		}})
	}
	for _, f := range []rawFrame{
		bin("").in(16), bin("x").in(16), text(strings.Repeat("x", 125)).in(16), bin("").in(64), bin(strings.Repeat("x", 126)).in(64),
		bin("").in(64).announcing(65535), ping("x").in(16),
	} {
		cs = append(cs, conversation{fmt.Sprintf("%d bytes in %d bits", max(f.announced, uint64(len(f.payload))), f.form), func(p *rawPeer) {
			p.send(f)
			if f.opcode == 9 {
				p.wantFailure(1002, "long-control")
			} else {
				p.wantFailure(1002, "non-minimal-length")
			}
		}})
	}
	cs = append(cs, conversation{"the most significant bit", func(p *rawPeer) {
		p.send(bin("x").announcing(1 << 63))
		p.wantFailure(1002, "length-top-bit")
	}})
	converse(t, cs)
}

// "The masking key is a 32-bit value chosen at random by the client. When preparing a masked frame, the client MUST pick a
// fresh masking key from the set of allowed 32-bit values." "The masking key for a given frame MUST NOT make it simple for a
// server/proxy to predict the masking key for a subsequent frame."
func TestRFC6455Section5_3_FreshKeys(t *testing.T) {
	const n = 100
	converse(t, []conversation{{"keys of messages and control frames", func(p *rawPeer) {
		for i := range n {
			s := fmt.Sprint(i)
			p.write(weft.MessageText, s)
			p.send(ping(s))
			p.want(text(s), pong(s))
		}
		if p.client {
			return // a server has no keys; next has seen that it does not mask
		}
		if len(p.keys) != 2*n {
			p.Errorf("%d frames have %d masking keys", 2*n, len(p.keys))
		}
		for bit := range 32 { // of each bit about half are set
			set := 0
			for key := range p.keys {
				set += int(key[bit/8] >> (bit % 8) & 1)
			}
			if set < n/2 || set > n*3/2 { // 7 standard deviations
				p.Errorf("bit %d is set in %d of %d masking keys", bit, set, 2*n)
			}
		}
	}}})
}

// "Octet i of the transformed data ("transformed-octet-i") is the XOR of octet i of the original data ("original-octet-i") with
// octet at index i modulo 4 of the masking key ("masking-key-octet-j")." "The payload length [...] does NOT include the length
// of the masking key."
func TestRFC6455Section5_3_Unmasking(t *testing.T) {
	converse(t, []conversation{
		{"keys of zeros and ones", func(p *rawPeer) {
			if !p.client {
				p.sendBytes("\x81\x05weft1\x81\x04weft")
			} else {
				p.sendBytes("\x81\x85\x00\x00\x00\x00weft1\x81\x84\xff\xff\xff\xff\x88\x9a\x99\x8b")
			}
			p.wantMessage(`text "weft1"`, `text "weft"`)
		}},
		{"every length from the key on", func(p *rawPeer) {
			for n := range 40 {
				s := strings.Repeat("0123456789", 4)[:n]
				p.send(bin(s), bin(s).more(), cont(s))
				p.wantMessage("binary "+brief(s), "binary "+brief(s+s))
			}
		}},
	})
}

// "Clients and servers MUST support receiving both fragmented and unfragmented messages." "An endpoint MUST be capable of
// handling control frames in the middle of a fragmented message." "A sender MAY create fragments of any size for non-control
// messages."
func TestRFC6455Section5_4_Receiving(t *testing.T) {
	converse(t, []conversation{
		{"one, two and many fragments", func(p *rawPeer) {
			p.send(text("one"), text("t").more(), cont("wo"), bin("ma").more(), cont("n").more(), cont("").more(), cont("y"))
			p.wantMessage(`text "one"`, `text "two"`, `binary "many"`)
		}},
		{"empty fragments", func(p *rawPeer) {
			p.send(text("").more(), cont(""), bin("").more(), cont("x").more(), cont(""), text(""))
			p.wantMessage(`text ""`, `binary "x"`, `text ""`)
		}},
		{"a thousand fragments of one byte", func(p *rawPeer) {
			frames := []rawFrame{text("x").more()}
			for range 998 {
				frames = append(frames, cont("x").more())
			}
			p.send(append(frames, cont("x"))...)
			p.wantMessage("text " + brief(strings.Repeat("x", 1000)))
		}},
		{"large fragments", func(p *rawPeer) {
			s := strings.Repeat("y", 70_000)
			p.send(bin(s).more(), cont(s[:200]).more(), cont(s))
			p.wantMessage("binary " + brief(s+s[:200]+s))
		}},
		{"control frames in the middle are answered before the message ends", func(p *rawPeer) {
			p.send(text("a").more(), ping("1"), pong("unasked"), cont("b").more(), ping("2"))
			p.want(pong("1"), pong("2"))
			p.send(cont("c"))
			p.wantMessage(`text "abc"`)
		}},
		{"a Close frame in the middle ends it", func(p *rawPeer) {
			p.send(text("a").more(), cont("b").more(), shut(1001, "going"), cont("c"))
			p.want(shut(1001, ""))
			p.wantClosed(1001, "going")
			p.wantEnd()
		}},
	})
}

// "An unfragmented message consists of a single frame with the FIN bit set and an opcode other than 0." "A fragmented message
// consists of a single frame with the FIN bit clear and an opcode other than 0, followed by zero or more frames with the FIN
// bit clear and the opcode set to 0, and terminated by a single frame with the FIN bit set and an opcode of 0." "The fragments
// of one message MUST NOT be interleaved between the fragments of another message." "Control frames themselves MUST NOT be
// fragmented."
func TestRFC6455Section5_4_Violations(t *testing.T) {
	converse(t, []conversation{
		{"a continuation of nothing", func(p *rawPeer) {
			p.send(cont("x"))
			p.wantFailure(1002, "unexpected-continuation")
		}},
		{"a continuation of a message that is over", func(p *rawPeer) {
			p.send(text("a").more(), cont("b"), cont("c").more())
			p.wantMessage(`text "ab"`)
			p.wantFailure(1002, "unexpected-continuation")
		}},
		{"a text in a text", func(p *rawPeer) {
			p.send(text("a").more(), text("b"))
			p.wantFailure(1002, "interleaved-message")
		}},
		{"a binary in a text, after a Ping", func(p *rawPeer) {
			p.send(text("a").more(), ping("p"), bin("b").more())
			p.want(pong("p"))
			p.wantFailure(1002, "interleaved-message")
		}},
		{"a fragmented Ping", func(p *rawPeer) {
			p.send(ping("a").more(), cont("b"))
			p.wantFailure(1002, "fragmented-control")
		}},
		{"a fragmented Close", func(p *rawPeer) {
			p.send(text("a").more(), shut(1000, "").more())
			p.wantFailure(1002, "fragmented-control")
		}},
	})
}

// What a Writer sends: opcode first, then continuations, FIN last; control frames come between.
func TestRFC6455Section5_4_Sending(t *testing.T) {
	converse(t, []conversation{{"a Writer", func(p *rawPeer) {
		for _, typ := range []weft.MessageType{weft.MessageText, weft.MessageBinary} {
			w, err := p.subject.Writer(p.Context(), typ)
			if err != nil {
				p.Fatal(err)
			}
			var got string
			for i, piece := range []string{"Hel", "lo, ", strings.Repeat("w", 70_000)} {
				if _, err := w.Write([]byte(piece)); err != nil {
					p.Fatal(err)
				}
				f, err := p.next()
				if err != nil {
					p.Fatal(err)
				}
				if opcode := byte(typ); i == 0 && f.opcode != opcode || i > 0 && f.opcode != 0 || f.fin || f.rsv != 0 {
					p.Fatalf("fragment %d of a %v message is %v", i, typ, f)
				}
				got += f.payload
				p.send(ping("between"))
				p.want(pong("between"))
			}
			if err := w.Close(); err != nil {
				p.Fatal(err)
			}
			p.want(cont(""))
			if want := "Hello, " + strings.Repeat("w", 70_000); got != want {
				p.Errorf("got %s, want %s", brief(got), brief(want))
			}
		}
		p.write(weft.MessageText, "next")
		p.want(text("next"))
	}}})
}

// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
func TestRFC6455Section5_5_ControlFrames(t *testing.T) {
	full := strings.Repeat("c", 125)
	cs := []conversation{{"125 bytes", func(p *rawPeer) {
		p.send(ping(full), pong(full), shut(1000, full[2:]))
		p.want(pong(full), shut(1000, ""))
		p.wantClosed(1000, full[2:])
		p.wantEnd()
	}}}
	for _, f := range []rawFrame{ping(full + "d"), pong(full + "d"), shut(1000, full), ping("").announcing(1 << 40).in(64)} {
		cs = append(cs, conversation{fmt.Sprintf("opcode %d, more than 125 bytes", f.opcode), func(p *rawPeer) {
			p.send(f)
			p.wantFailure(1002, "long-control")
		}})
	}
	converse(t, cs)
}

// "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response." "A Pong frame sent in response to a Ping frame
// must have identical "Application data" as found in the message body of the Ping frame being replied to."
func TestRFC6455Section5_5_2_Ping(t *testing.T) {
	all := ""
	for i := range 125 {
		all += string([]byte{byte(2*i + 5)})
	}
	converse(t, []conversation{
		{"payloads", func(p *rawPeer) {
			for _, s := range []string{"", "x", all, "\xff\xfe no UTF-8"} {
				p.send(ping(s))
				p.want(pong(s))
			}
		}},
		{"many at once are answered in their order", func(p *rawPeer) {
			var pings, pongs []rawFrame
			for i := range 100 {
				pings, pongs = append(pings, ping(fmt.Sprint(i))), append(pongs, pong(fmt.Sprint(i)))
			}
			p.send(pings...)
			p.want(pongs...)
		}},
		{"between messages", func(p *rawPeer) {
			p.send(text("a"), ping("1"), bin("b"), ping("2"))
			p.want(pong("1"), pong("2"))
			p.wantMessage(`text "a"`, `binary "b"`)
		}},
		// "An endpoint MAY send a Ping frame any time after the connection is established and before the connection is closed."
		{"of ours", func(p *rawPeer) {
			done := begin(func() error { return p.subject.Ping(p.Context()) })
			f, err := p.next()
			if err != nil || f.opcode != 9 {
				p.Fatalf("%v, %v, want a Ping", f, err)
			}
			p.send(pong("another"))
			p.wantQuiet(rtt)
			select {
			case err := <-done:
				p.Fatalf("Ping returned %v on another Pong", err)
			default:
			}
			p.send(pong(f.payload))
			if err := <-done; err != nil {
				p.Errorf("Ping: %v", err)
			}
		}},
	})
}

// "unless it already received a Close frame". Also: nothing comes behind our own Close frame. RFC 6455, Section 5.5.1, forbids data
// frames there; a Pong is left out because Chromium fails a connection in which any frame follows a Close frame.
func TestRFC6455Section5_5_2_NoPongAfterClose(t *testing.T) {
	converse(t, []conversation{
		{"the peer's", func(p *rawPeer) {
			p.send(shut(1000, ""), ping("late"))
			p.want(shut(1000, ""))
			p.wantClosed(1000, "")
			p.wantEnd()
		}},
		{"our own", func(p *rawPeer) {
			done := begin(func() error { return p.subject.Close(1000, "") })
			p.want(shut(1000, ""))
			p.send(ping("late"))
			p.wantNothingBut(nil, rtt)
			p.send(shut(1000, ""))
			if err := <-done; err != nil {
				p.Errorf("Close: %v", err)
			}
			p.wantEnd()
		}},
	})
}

// "A Pong frame MAY be sent unsolicited." "A response to an unsolicited Pong frame is not expected."
func TestRFC6455Section5_5_3_UnsolicitedPong(t *testing.T) {
	converse(t, []conversation{{"no answer", func(p *rawPeer) {
		p.send(pong("unasked"), pong(""))
		p.wantQuiet(5 * rtt)
		for _, want := range []string{"unasked", ""} {
			if got := <-p.subject.pongs; got != want {
				p.Errorf("Pong %q was reported, want %q", got, want)
			}
		}
		p.send(text("goes on"))
		p.wantMessage(`text "goes on"`)
	}}})
}

// "The "Payload data" is text data encoded as UTF-8. Note that a particular text frame might include a partial UTF-8 sequence;
// however, the whole message MUST contain valid UTF-8." Binary: "arbitrary binary data".
func TestRFC6455Section5_6_TextAndBinary(t *testing.T) {
	const s = "h\u00e9 \u20ac \U0001d11e \x00 \uffff \ufeff"
	converse(t, []conversation{
		{"a character cut by fragments", func(p *rawPeer) {
			frames := []rawFrame{text("").more()}
			for i := range len(s) {
				frames = append(frames, cont(s[i:i+1]).more())
			}
			p.send(append(frames, cont(""))...)
			p.wantMessage("text " + brief(s))
		}},
		{"binary is not UTF-8", func(p *rawPeer) {
			p.send(bin("\xff\xfe").more(), cont("\xc0\x80\xed\xa0\x80"))
			p.wantMessage(`binary "\xff\xfe\xc0\x80\xed\xa0\x80"`)
		}},
		{"sent as they are", func(p *rawPeer) {
			p.write(weft.MessageText, s)
			p.write(weft.MessageBinary, "\xff\x00")
			p.want(text(s), bin("\xff\x00"))
		}},
	})
}

func TestRFC6455Section5_7_Examples(t *testing.T) {
	converse(t, []conversation{{"bytes", func(p *rawPeer) {
		if p.client {
			p.sendBytes("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
			p.wantMessage(`text "Hello"`)
			p.sendBytes("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
			if got := <-p.subject.pongs; got != "Hello" {
				p.Errorf("Pong %q", got)
			}
			// What a server sends is exactly that.
			p.write(weft.MessageText, "Hello")
			p.wantBytes("\x81\x05Hello")
			p.write(weft.MessageBinary, strings.Repeat("b", 256))
			p.wantBytes("\x82\x7e\x01\x00" + strings.Repeat("b", 256))
			p.write(weft.MessageBinary, strings.Repeat("b", 65536))
			p.wantBytes("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("b", 65536))
			return
		}
		p.sendBytes("\x81\x05Hello" + "\x01\x03Hel\x80\x02lo")
		p.wantMessage(`text "Hello"`, `text "Hello"`)
		p.sendBytes("\x89\x05Hello")
		p.want(pong("Hello"))
		p.sendBytes("\x82\x7e\x01\x00" + strings.Repeat("b", 256) + "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("b", 65536))
		p.wantMessage("binary "+brief(strings.Repeat("b", 256)), "binary "+brief(strings.Repeat("b", 65536)))
	}}})
}

// "The endpoint MUST ensure the WebSocket connection is in the OPEN state." "The opcode (frame-opcode) of the first frame
// containing the data MUST be set to the appropriate value." "The FIN bit (frame-fin) of the last frame containing the data
// MUST be set to 1." "The frame(s) that have been formed MUST be transmitted over the underlying network connection."
func TestRFC6455Section6_1_Sending(t *testing.T) {
	converse(t, []conversation{{"one after the other", func(p *rawPeer) {
		p.write(weft.MessageText, "a")
		p.write(weft.MessageBinary, "b")
		p.write(weft.MessageText, "")
		p.want(text("a"), bin("b"), text(""))
		if err := p.subject.Write(p.Context(), 3, nil); err == nil {
			p.Error("a message of type 3 was sent")
		}
		done := begin(func() error { return p.subject.Close(1000, "") })
		p.want(shut(1000, ""))
		if err := p.subject.Write(p.Context(), weft.MessageText, []byte("late")); err == nil {
			p.Error("a message was sent in the CLOSING state")
		}
		if _, err := p.subject.Writer(p.Context(), weft.MessageText); err == nil {
			p.Error("a message was begun in the CLOSING state")
		}
		p.send(shut(1000, ""))
		if err := <-done; err != nil {
			p.Errorf("Close: %v", err)
		}
		p.wantEnd()
	}}})
}

// "Upon receiving a data frame (Section 5.6), the endpoint MUST note the /type/ of the data." "Subsequent data frames MUST be
// interpreted as belonging to a new WebSocket message." "A server MUST remove masking for data frames received from a client."
func TestRFC6455Section6_2_Receiving(t *testing.T) {
	converse(t, []conversation{{"types", func(p *rawPeer) {
		p.send(text("a").more(), cont("b"), bin("c").more(), cont("d"), text("e"), bin("f"))
		p.wantMessage(`text "ab"`, `binary "cd"`, `text "e"`, `binary "f"`)
	}}})
}

// "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid UTF-8 stream,
// that endpoint MUST _Fail the WebSocket Connection_." Here it does so at once, not at the end of the message.
func TestRFC6455Section8_1_UTF8(t *testing.T) {
	var cs []conversation
	for name, s := range map[string]string{
		"a byte that never occurs": "a\xffb", "a stray continuation byte": "\x80", "an overlong slash": "\xc0\xaf", "a surrogate": "\xed\xa0\x80",
		"beyond U+10FFFF": "\xf4\x90\x80\x80", "a character that is not ended": "\xe2\x82x", "an overlong NUL": "\xe0\x80\x80",
	} {
		cs = append(cs,
			conversation{name, func(p *rawPeer) {
				p.send(text("good"), text(s))
				p.wantMessage(`text "good"`)
				p.wantFailure(1007, "invalid-utf8")
			}},
			conversation{name + ", before the frame is complete", func(p *rawPeer) {
				p.send(text("good " + s).announcing(1000))
				p.wantFailure(1007, "invalid-utf8")
			}},
			conversation{name + ", before the message is complete", func(p *rawPeer) {
				p.send(text("good").more(), cont(s).more())
				p.wantFailure(1007, "invalid-utf8")
			}})
	}
	cs = append(cs, conversation{"ends inside a character", func(p *rawPeer) {
		p.send(text("a\xe2").more(), cont("\x82").more(), cont(""))
		p.wantFailure(1007, "invalid-utf8")
	}})
	converse(t, cs)
}
