package weft_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weftws/weft"
)

// A rawDeflate compresses as RFC 7692, Section 7.2.1, says, with the standard library's DEFLATE.
type rawDeflate struct {
	takeover bool
	buf      bytes.Buffer
	w        *flate.Writer
}

func (d *rawDeflate) message(s string) string {
	d.buf.Reset()
	if d.w == nil || !d.takeover {
		d.w, _ = flate.NewWriter(&d.buf, flate.BestCompression)
	}
	io.WriteString(d.w, s)
	d.w.Flush()
	// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
	return strings.TrimSuffix(d.buf.String(), "\x00\x00\xff\xff")
}

// A rawInflate is the reverse. Section 7.2.2.
type rawInflate struct {
	takeover bool
	window   []byte
}

func (d *rawInflate) message(t *testing.T, s string) string {
	t.Helper()
	// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." And a last block, for the reader.
	r := flate.NewReaderDict(strings.NewReader(s+"\x00\x00\xff\xff\x01\x00\x00\xff\xff"), d.window)
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%x does not inflate: %v", s, err)
	}
	if d.takeover {
		d.window = append(d.window, b...)
		d.window = d.window[max(0, len(d.window)-32768):]
	}
	return string(b)
}

func squeezed(f rawFrame) rawFrame { return f.bits(4) }

// What a server answers to an offer. "A server MUST decline an extension negotiation offer for this extension if any of the following
// conditions are met: The negotiation offer contains an extension parameter not defined for use in an offer. [...] with an invalid
// value. [...] multiple extension parameters with the same name. The server doesn't support the offered configuration."
func TestRFC7692Section7_ServerNegotiates(t *testing.T) {
	const p = "permessage-deflate"
	for _, tt := range []struct {
		mode   weft.CompressionMode
		offers map[string]string // to what is answered
	}{
		{weft.CompressionDisabled, map[string]string{p: "", p + "; client_max_window_bits": ""}},
		{weft.CompressionNoContextTakeover, map[string]string{
			p:                                  p + "; server_no_context_takeover; client_no_context_takeover",
			p + "; client_max_window_bits":     p + "; server_no_context_takeover; client_no_context_takeover",
			p + "; server_max_window_bits=9":   p + "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
			p + "; client_no_context_takeover": p + "; server_no_context_takeover; client_no_context_takeover",
		}},
		{weft.CompressionContextTakeover, map[string]string{
			// "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
			// corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension
			// parameter." Section 7.1.2.2.
			p:                                  p + "; client_no_context_takeover; server_max_window_bits=12",
			p + "; client_max_window_bits":     p + "; server_max_window_bits=12; client_max_window_bits=12",
			p + "; client_max_window_bits=10":  p + "; server_max_window_bits=12; client_max_window_bits=10",
			p + "; client_max_window_bits=15":  p + "; server_max_window_bits=12; client_max_window_bits=12",
			p + `; client_max_window_bits="9"`: p + "; server_max_window_bits=12; client_max_window_bits=9",
			// "with the same or smaller value as the offer." Section 7.1.2.1.
			p + "; server_max_window_bits=8; client_max_window_bits":  p + "; server_max_window_bits=8; client_max_window_bits=12",
			p + "; server_max_window_bits=15; client_max_window_bits": p + "; server_max_window_bits=12; client_max_window_bits=12",
			// "A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension parameter
			// by including the "server_no_context_takeover" extension parameter in the corresponding extension negotiation
			// response." Section 7.1.1.1.
			p + "; server_no_context_takeover; client_max_window_bits": p + "; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
			p + "; client_no_context_takeover; client_max_window_bits": p + "; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
			p + "; mem_level=9":                                    "",
			p + "; server_max_window_bits":                         "",
			p + "; server_max_window_bits=7":                       "",
			p + "; server_max_window_bits=16":                      "",
			p + "; client_max_window_bits=08":                      "",
			p + "; server_no_context_takeover=true":                "",
			p + "; client_max_window_bits; client_max_window_bits": "",
			// An offer that is declined leaves the next one.
			p + "; mem_level=9, x-webkit-deflate-frame, " + p + "; client_max_window_bits=11": p + "; server_max_window_bits=12; client_max_window_bits=11",
		}},
	} {
		overEachOf(t, onTCP, echoWith(&weft.AcceptOptions{CompressionMode: tt.mode}), func(t *testing.T, e *env) {
			for offer, want := range tt.offers {
				got := ask(t, e, "/", "sec-websocket-extensions: "+offer)
				if s := got.get("sec-websocket-extensions"); s != want || got.status != "101" && got.status != "200" {
					t.Errorf("the answer to %q is %q (%s), want %q", offer, s, got.status, want)
				}
			}
		})
	}
}

// What a client makes of an answer. "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation
// offer for this extension with an extension negotiation response meeting any of the following conditions: The negotiation response
// contains an extension parameter not defined for use in a response. [...] with an invalid value. [...] multiple extension
// parameters with the same name. The client does not support the configuration that the response represents."
func TestRFC7692Section7_ClientNegotiates(t *testing.T) {
	const p = "permessage-deflate"
	type answers map[string]string // to the rule that they break
	overRawServers(t, true, true, func(t *testing.T, l *rawListener) {
		for mode, tt := range map[weft.CompressionMode]answers{
			weft.CompressionContextTakeover: {
				p:                                  "",
				p + "; server_no_context_takeover": "",
				p + "; client_no_context_takeover; server_no_context_takeover": "",
				p + "; server_max_window_bits=8; client_max_window_bits=8":     "",
				p + "; client_max_window_bits=15":                              "", // our own limit is ours
				p + "; mem_level=9":                                            "unknown-parameter",
				p + "; client_max_window_bits":                                 "missing-value",
				p + "; client_max_window_bits=16":                              "window-bits-out-of-range",
				p + "; server_max_window_bits=7":                               "window-bits-out-of-range",
				p + "; client_no_context_takeover=1":                           "superfluous-value",
				p + "; server_no_context_takeover; server_no_context_takeover": "duplicate-parameter",
				p + ", " + p: "duplicate-extension",
			},
			weft.CompressionNoContextTakeover: {
				p + "; server_no_context_takeover; client_no_context_takeover": "",
				p + "; server_no_context_takeover":                             "",
				p:                                                              "parameter-not-confirmed",
			},
		} {
			for field, rule := range tt {
				done := l.dial("", &weft.DialOptions{CompressionMode: mode})
				conn := l.acceptRaw("sec-websocket-extensions: " + field)
				status := 101
				if _, ok := conn.(*rawStream); ok {
					status = 200
				}
				wantDialed(t, field, <-done, status, rule)
				l.dialer.Close()
				conn.Close()
			}
		}
	})
}

// Compression that is agreed, with context takeover on both sides and without on either.
func withTakeover() setting {
	return setting{
		accept: weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover, CompressionThreshold: 1},
		dial:   weft.DialOptions{CompressionMode: weft.CompressionContextTakeover, CompressionThreshold: 1},
		offer:  "permessage-deflate; client_max_window_bits", answer: "permessage-deflate; client_max_window_bits=15", readLimit: 100_000,
	}
}

func withoutTakeover() setting {
	return setting{
		accept: weft.AcceptOptions{CompressionMode: weft.CompressionNoContextTakeover, CompressionThreshold: 1},
		dial:   weft.DialOptions{CompressionMode: weft.CompressionNoContextTakeover, CompressionThreshold: 1},
		offer:  "permessage-deflate", answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover", readLimit: 100_000,
	}
}

// compressed runs a conversation with either.
func compressed(t *testing.T, talk func(p *rawPeer, takeover bool)) {
	t.Helper()
	t.Run("takeover", func(t *testing.T) { converseWith(t, withTakeover(), func(p *rawPeer) { talk(p, true) }) })
	t.Run("no takeover", func(t *testing.T) { converseWith(t, withoutTakeover(), func(p *rawPeer) { talk(p, false) }) })
}

// nextCompressed receives an unfragmented message that has RSV1.
func (p *rawPeer) nextCompressed(opcode byte) string {
	p.Helper()
	f, err := p.next()
	if err != nil || !f.fin || f.opcode != opcode || f.rsv != 4 {
		p.Fatalf("got %v, %v, want a compressed message with opcode %d", f, err, opcode)
	}
	return f.payload
}

// "An endpoint uses the following algorithm to compress a message" and its reverse, both ways, message after message. "If the "agreed
// parameters" contain the "client_no_context_takeover" extension parameter, the client MUST NOT use context takeover." Section
// 7.2.1. Without, the window goes on: Section 7.2.3.2.
func TestRFC7692Section7_2_RoundTrips(t *testing.T) {
	compressed(t, func(p *rawPeer, takeover bool) {
		in, out := rawInflate{takeover: takeover}, rawDeflate{takeover: takeover}
		const s = "Hello, h\u00e9llo, weft! There is more to say that nobody has said."
		var sizes []int
		for i, m := range []string{s, s, "", s + s, s, strings.Repeat("weft", 700)} {
			p.write(weft.MessageText, m)
			if m == "" {
				p.want(text("")) // below the threshold
			} else {
				b := p.nextCompressed(1)
				if got := in.message(p.T, b); got != m {
					p.Fatalf("message %d inflates to %s, want %s", i, brief(got), brief(m))
				}
				sizes = append(sizes, len(b))
			}
			p.send(squeezed(bin(out.message(m))))
			p.wantMessage("binary " + brief(m))
		}
		if takeover != (sizes[1] < sizes[0]/2) {
			p.Errorf("the same message took %d bytes, then %d", sizes[0], sizes[1])
		}
	})
}

// The examples of Section 7.2.3: "Hello" in one frame and in two, twice with a shared window, in a block without compression, in one with
// BFINAL, in two blocks, and the empty message.
func TestRFC7692Section7_2_3_Examples(t *testing.T) {
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	compressed(t, func(p *rawPeer, takeover bool) {
		p.send(squeezed(text(hello)))
		if takeover {
			p.send(squeezed(text("\xf2\x00\x11\x00\x00")))
			p.wantMessage(`text "Hello"`)
		}
		p.wantMessage(`text "Hello"`)
		p.send(squeezed(text(hello[:3])).more(), cont(hello[3:]),
			squeezed(text("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")),
			squeezed(text("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")),
			squeezed(text("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")),
			squeezed(text("\x00")), squeezed(bin("\x02\x00")))
		p.wantMessage(`text "Hello"`, `text "Hello"`, `text "Hello"`, `text "Hello"`, `text ""`, `binary ""`)
	})
}

// "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data message. An endpoint
// receiving such a frame MUST _Fail the WebSocket Connection_." "The "Per-Message Compressed" bit [...] of the first fragment indicates
// whether the message is compressed": a message without it is not. RFC 7692, Section 6.
func TestRFC7692Section6_Bits(t *testing.T) {
	hello := (&rawDeflate{}).message("Hello, hello, hello")
	for _, c := range []conversation{
		{"messages that are not compressed", func(p *rawPeer) {
			p.send(text("plain"), squeezed(text(hello)), bin("pl").more(), cont("ain"))
			p.wantMessage(`text "plain"`, `text "Hello, hello, hello"`, `binary "plain"`)
		}},
		// "Note that for unfragmented messages, [...]" fragments of any size, with control frames between.
		{"fragments", func(p *rawPeer) {
			p.send(squeezed(text(hello[:1])).more(), ping("raw"), cont("").more())
			p.want(pong("raw"))
			for i := 1; i < len(hello); i++ {
				p.send(cont(hello[i : i+1]).more())
			}
			p.send(cont(""))
			p.wantMessage(`text "Hello, hello, hello"`)
		}},
		{"RSV1 on a continuation", func(p *rawPeer) {
			p.send(squeezed(text(hello[:3])).more(), squeezed(cont(hello[3:])))
			p.wantFailure(1002, "compressed-continuation")
		}},
		{"RSV1 on a Ping", func(p *rawPeer) {
			p.send(squeezed(ping("x")))
			p.wantFailure(1002, "compressed-control")
		}},
		{"RSV1 on a Close", func(p *rawPeer) {
			p.send(squeezed(shut(1000, "")))
			p.wantFailure(1002, "compressed-control")
		}},
		{"RSV2", func(p *rawPeer) {
			p.send(text("x").bits(2))
			p.wantFailure(1002, "reserved-bit")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { converseWith(t, withTakeover(), c.talk) })
	}
}

// A Writer's message is compressed as a whole: RSV1 on its first frame alone; the frames together inflate.
func TestRFC7692Section6_Fragments(t *testing.T) {
	compressed(t, func(p *rawPeer, takeover bool) {
		w, err := p.subject.Writer(p.Context(), weft.MessageText)
		if err != nil {
			p.Fatal(err)
		}
		var want, got string
		for i := range 5 {
			s := strings.Repeat(fmt.Sprint("piece ", i, " "), 50)
			io.WriteString(w, s)
			want += s
		}
		w.Close()
		for i := 0; ; i++ {
			f, err := p.next()
			if err != nil || i == 0 && (f.opcode != 1 || f.rsv != 4) || i > 0 && (f.opcode != 0 || f.rsv != 0) {
				p.Fatalf("frame %d: %v, %v", i, f, err)
			}
			got += f.payload
			if f.fin {
				break
			}
		}
		in := rawInflate{takeover: takeover}
		if s := in.message(p.T, got); s != want {
			p.Errorf("the message inflates to %s, want %s", brief(s), brief(want))
		}
		p.write(weft.MessageText, want)
		if s := in.message(p.T, p.nextCompressed(1)); s != want {
			p.Errorf("the next message inflates to %s", brief(s))
		}
	})
}

// "If the "agreed parameters" contain the "server_max_window_bits" extension parameter with a value of w, the server MUST NOT use an
// LZ77 sliding window of more than 2^w bytes to compress messages." The same for the client. Section 7.2.1. What repeats itself
// farther away than that is sent again.
func TestRFC7692Section7_1_2_WindowBits(t *testing.T) {
	noise := random(600)
	for bits, found := range map[int]bool{9: false, 10: true} {
		d := fmt.Sprintf("permessage-deflate; server_max_window_bits=%d; client_max_window_bits=%d", bits, bits)
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			converseWith(t, setting{
				accept: weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover},
				dial:   weft.DialOptions{CompressionMode: weft.CompressionContextTakeover},
				offer:  d, answer: d,
			}, func(p *rawPeer) {
				in := rawInflate{takeover: true}
				for _, m := range []string{noise + noise, noise} { // within a message, and across
					p.write(weft.MessageBinary, m)
					f, err := p.next()
					if err != nil || f.rsv != 4 {
						p.Fatalf("%v, %v", f, err)
					}
					if got := in.message(p.T, f.payload); got != m {
						p.Fatalf("inflates to %s", brief(got))
					}
					if short := len(f.payload) < len(m)-500; short != found {
						p.Errorf("%d bytes, of which some are 600 bytes apart, took %d with a window of %d", len(m), len(f.payload), 1<<bits)
					}
				}
			})
		})
	}
}

// random is n bytes in which nothing repeats itself; the same every time.
func random(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// "Otherwise, the client MUST use a 32,768-byte LZ77 sliding window to decompress received messages." The same for the server. "Otherwise,
// the client MUST decompress each new message using the LZ77 sliding window used to process the last compressed message received."
// Section 7.2.2. A server of ours lets no client use context takeover that has not offered to limit its window.
func TestRFC7692Section7_2_2_WholeWindow(t *testing.T) {
	s := withTakeover()
	s.offer, s.answer = "permessage-deflate", "permessage-deflate"
	far := random(30_000)
	converseWith(t, s, func(p *rawPeer) {
		out := rawDeflate{takeover: !p.client}
		for _, m := range []string{far + far, far + "x", far} {
			b := out.message(m)
			if !p.client && m != far+far && len(b) > 1000 {
				p.Fatalf("%d bytes compress to %d: there is no context takeover to test", len(m), len(b))
			}
			p.send(squeezed(bin(b)))
			p.wantMessage("binary " + brief(m))
		}
	})
}

// "At the receiver, the payload data portion after decompression is subject to the constraints for the original data type again":
// UTF-8, and the limit on the size. RFC 7692, Section 6; RFC 6455, Section 10.4. What does not inflate is no message.
func TestRFC7692Section7_2_2_BadMessages(t *testing.T) {
	zip := func(s string) string { return (&rawDeflate{}).message(s) }
	bomb := zip(strings.Repeat("\x00", 20_000_000))
	for _, c := range []conversation{
		{"no DEFLATE", func(p *rawPeer) {
			p.send(squeezed(text("\xff\xff\xff\xff")))
			p.wantFailure(1007, "corrupt-deflate")
		}},
		{"a distance beyond the beginning", func(p *rawPeer) {
			p.send(squeezed(text("\xf2\x00\x11\x00\x00")))
			p.wantFailure(1007, "corrupt-deflate")
		}},
		{"ends inside a block", func(p *rawPeer) {
			p.send(squeezed(bin("\x00\x09\x00\xf6\xff\x48")))
			p.wantFailure(1007, "corrupt-deflate")
		}},
		{"text that is no UTF-8 behind", func(p *rawPeer) {
			p.send(squeezed(bin(zip("\xff"))), squeezed(text(zip("abc\xff"))))
			p.wantMessage(`binary "\xff"`)
			p.wantFailure(1007, "invalid-utf8")
		}},
		{"as large as may be", func(p *rawPeer) {
			p.send(squeezed(bin(zip(strings.Repeat("x", 100_000)))))
			p.wantMessage("binary " + brief(strings.Repeat("x", 100_000)))
		}},
		{"one byte more", func(p *rawPeer) {
			p.send(squeezed(bin(zip(strings.Repeat("x", 100_001)))))
			p.wantFailure(1009, "message-too-big")
		}},
		{"a bomb", func(p *rawPeer) {
			p.send(squeezed(bin(bomb)))
			p.wantFailure(1009, "message-too-big")
		}},
		{"a bomb in fragments", func(p *rawPeer) {
			p.send(squeezed(bin(bomb[:100])).more(), cont(bomb[100:]))
			p.wantFailure(1009, "message-too-big")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { converseWith(t, withoutTakeover(), c.talk) })
	}
}
