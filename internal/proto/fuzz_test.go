package proto

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// Whatever a peer sends, at either side, with and without compression: the chunk law, payloads and buffers within their limits,
// every buffer given back once; and the messages are the same however often their consumer changes its mind about Whole.
func FuzzReceiver(f *testing.F) {
	add := func(server bool, cfg Config, in []byte) {
		flags := uint8(0)
		if cfg.Deflate != nil {
			flags = 1
		}
		f.Add(in, server, flags, uint16(cfg.MaxMessageBytes))
	}
	for _, tt := range violationCases {
		if in := wire(frame.Client, tt.frames...); len(in) < 1000 {
			add(true, tt.cfg, in)
		}
	}
	add(true, Config{}, wire(frame.Client, text("\xe2").more(), ping("x"), cont("\x82\xac"), bin("yes"), closing("\x03\xe8bye")))
	compressed := wire(frame.Server, text("\xf2\x48\xcd").rsv1().more(), pong(""), cont("\xc9\xc9\x07\x00"), text("\xf2\x00\x11\x00\x00").rsv1(), text("no"))
	add(false, Config{Deflate: takeover}, compressed)
	f.Add(compressed, false, uint8(1|2|5<<4), uint16(100))
	f.Fuzz(func(t *testing.T, in []byte, server bool, flags uint8, limit uint16) {
		if len(in) > 2000 {
			return
		}
		cfg := Config{MaxMessageBytes: int64(limit), MaxFragments: 100}
		if server {
			cfg.Side = frame.Server
		}
		if flags&1 != 0 {
			cfg.Deflate = fuzzParams(flags)
		}
		if limit == 0 {
			cfg.MaxMessageBytes = 1 << 16
		}
		whole := checkLaw(t, cfg, in)
		if got, want := receiveFickle(t, cfg, in, uint64(limit)), messagesOf(whole); !slices.Equal(got, want) {
			t.Fatalf("with Whole switched on and off:\n  %s\nwith Whole:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
}

// fuzzParams makes an agreement out of the bits of flags.
func fuzzParams(flags uint8) *deflate.Params {
	return &deflate.Params{
		ServerNoContextTakeover: flags&2 != 0, ClientNoContextTakeover: flags&4 != 0,
		ServerMaxWindowBits: 8 + int(flags>>4)%8, ClientMaxWindowBits: 8 + int(flags>>3)%8,
	}
}

// receiveFickle switches Whole on and off between calls of Recv, and returns the messages as messagesOf does.
func receiveFickle(t *testing.T, cfg Config, input []byte, seed uint64) (lines []string) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	r := NewReceiver(cfg)
	defer r.Close()
	input = slices.Clone(input)
	var message strings.Builder
	for len(input) > 0 {
		piece := input[:min(len(input), 1+rnd.IntN(20))]
		input = input[len(piece):]
		for {
			r.Whole = rnd.IntN(2) == 0
			ev, n := r.Recv(piece)
			if ev.Kind == NeedMore {
				break
			}
			piece = piece[n:]
			switch {
			case ev.Kind == Failed:
				return append(lines, "failed")
			case ev.Kind != Message && ev.Kind != Chunk:
				continue
			}
			message.Write(ev.Payload)
			if ev.Kind == Message || ev.Last {
				lines = append(lines, fmt.Sprintf("message %v %s", ev.Opcode, quote(message.String())))
				message.Reset()
			}
		}
	}
	return lines
}

// messagesOf leaves of events the messages, and that a rule was broken.
func messagesOf(events []string) (lines []string) {
	for _, line := range events {
		switch {
		case strings.HasPrefix(line, "message "):
			lines = append(lines, line)
		case strings.HasPrefix(line, "failed "):
			lines = append(lines, "failed")
		}
	}
	return lines
}

// What one end sends the other receives: any agreement, any messages, cut anywhere, with control frames between.
func FuzzSender(f *testing.F) {
	f.Add([]byte("gr\u00fc\u00df dich "), []byte{40, 3, 200, 77}, uint8(1|7<<4), false)
	f.Add([]byte("\x00\xff"), []byte{255, 254, 9, 1, 0}, uint8(0), true)
	f.Add([]byte("abc"), []byte{5, 5, 5, 5, 6}, uint8(1|2|4), true)
	f.Fuzz(func(t *testing.T, data, script []byte, flags uint8, server bool) {
		if len(data) > 1000 || len(script) > 100 {
			return
		}
		cfg := Config{}
		if server {
			cfg.Side = frame.Server
		}
		if flags&1 != 0 {
			cfg.Deflate = fuzzParams(flags)
		}
		s := NewSender(cfg)
		defer s.Close()
		var in []byte
		var want []string
		op, message := frame.Binary, ""
		for i, step := range script {
			// Of step: the opcode, whether to compress, whether the message ends here, a Ping behind it, the size.
			if step&1 != 0 {
				in = s.AppendControl(in, frame.Ping, []byte{step}, key)
				want = append(want, fmt.Sprintf("ping %q", []byte{step}))
			}
			piece := strings.Repeat(string(data), int(step>>4))
			message += piece
			fin := step&2 != 0 || i == len(script)-1
			in = append(in, sent(s, op, piece, fin, step&4 != 0)...)
			if op = frame.Continuation; fin {
				want = append(want, "message binary "+quote(message))
				op, message = frame.Binary, ""
			}
		}
		in = s.AppendClose(in, 4000, string(data), key)
		cfg.Side = cfg.Side.Peer()
		got := receive(t, cfg, whole, in, len(in)+1)
		wantSame(t, "in pieces", receive(t, cfg, whole, in, 1+int(flags)), got)
		if len(got) != len(want)+1 || !strings.HasPrefix(got[len(want)], "close 4000 ") {
			t.Fatalf("got:\n  %s\nwant, and a close:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		wantSame(t, "received", got[:len(want)], want)
	})
}
