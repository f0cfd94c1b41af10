package proto

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// A whole message, and a whole control frame, is delivered where it lies.
func TestReceiverIsZeroCopy(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    fr
		want EventKind
	}{
		{"text", text("gr\u00fc\u00df dich"), Message}, {"binary", bin("Hello"), Message}, {"ping", ping("Hello"), Ping}, {"pong", pong("Hello"), Pong},
		{"a long one", text(strings.Repeat("x", 70000)), Message},
	} {
		bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
			cfg.Alloc = func(n int) []byte { t.Errorf("%s: asked for %d bytes", tt.name, n); return make([]byte, 0, n) }
			r := NewReceiver(cfg)
			r.Whole = true
			in := append(wire(peer, tt.f), "more"...)
			ev, n := r.Recv(in)
			if ev.Kind != tt.want || n != len(in)-4 || string(ev.Payload) != tt.f.payload {
				t.Fatalf("%s: %v %.20q, %d bytes", tt.name, ev.Kind, ev.Payload, n)
			}
			if last := len(ev.Payload) - 1; &ev.Payload[last] != &in[n-1] {
				t.Errorf("%s: was copied", tt.name)
			}
			if cap(ev.Payload) != len(ev.Payload) {
				t.Errorf("%s: could be extended into what follows", tt.name)
			}
		})
	}
}

// The short way is taken for what it is for, and the long one comes to the same.
func TestShortWay(t *testing.T) {
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		cfg.MaxMessageBytes = 65535
		r := NewReceiver(cfg)
		for _, f := range []fr{
			text(""), text("Hello"), text("gr\u00fc\u00df dich"), bin("\xff"), bin(strings.Repeat("x", 125)),
			bin(strings.Repeat("x", 126)), text(strings.Repeat("x", 65535)),
		} {
			in := append(wire(peer, f), "more"...)
			op, payload, n := Single(r.side, r.MaxMessageBytes, bytes.Clone(in), false)
			if op != f.Opcode || string(payload) != f.payload || n != len(in)-4 {
				t.Errorf("%v of %d bytes: %v, %d bytes, took %d of %d", f.Opcode, len(f.payload), op, len(payload), n, len(in))
			}
			lent := bytes.Clone(in)
			if op2, owned, n2 := Single(r.side, r.MaxMessageBytes, lent, true); op2 != op || !bytes.Equal(owned, payload) || n2 != n {
				t.Errorf("%v of %d bytes, a copy: %v, %d bytes, took %d", f.Opcode, len(f.payload), op2, len(owned), n2)
			}
			if !bytes.Equal(lent, in) {
				t.Error("a copy of the payload, and it was changed where it lay")
			}
			ev, n := r.recv(in)
			if ev.Kind != Chunk || !ev.Last || ev.Opcode != op || string(ev.Payload) != f.payload || n != len(in)-4 {
				t.Errorf("the long way: %v, took %d of %d", ev, n, len(in))
			}
		}
		for _, f := range []fr{
			text("\xff"), text("ab\xc3"), text("x").more(), text("x").rsv1(), cont("x"), ping("x"), text("x").unlikeSide(),
			bin(strings.Repeat("x", 65536)),
		} {
			in := wire(peer, f)
			same := bytes.Clone(in)
			for _, own := range []bool{false, true} {
				if _, _, n := Single(r.side, r.MaxMessageBytes, in, own); n != 0 || !bytes.Equal(in, same) {
					t.Errorf("%v: took %d, changed the bytes: %v", f, n, !bytes.Equal(in, same))
				}
			}
		}
	})
}

// Switched off inside a message, what was gathered comes as the first Chunk; on, from the next message on.
func TestWholeChanges(t *testing.T) {
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		l := ledger{t: t, out: map[*byte]bool{}}
		cfg.Alloc, cfg.Free = l.alloc, l.free
		r := NewReceiver(cfg)
		want := func(in []byte, want string) {
			t.Helper()
			ev, n := r.Recv(in)
			got := fmt.Sprintf("%v %v %q last %v, %d of %d", ev.Kind, ev.Opcode, ev.Payload, ev.Last, n, len(in))
			if got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		start := wire(peer, text("abc"))
		again := bytes.Clone(start)
		cut := len(start) - 1
		part := len(wire(peer, text("abc").more(), cont("d").more()))

		r.Whole = true
		want(start[:cut], fmt.Sprintf(`need more continuation "" last false, %d of %d`, cut, cut))
		r.Whole = false
		want(start[cut:], `chunk text "ab" last false, 0 of 1`)
		r.Whole = true // too late for this one
		want(start[cut:], `chunk text "c" last true, 1 of 1`)

		in := wire(peer, text("abc").more(), cont("d").more())
		want(in, fmt.Sprintf(`need more continuation "" last false, %d of %d`, part, part))
		r.Whole = false
		want(nil, `chunk text "abcd" last false, 0 of 0`)
		want(nil, `need more continuation "" last false, 0 of 0`)
		r.Whole = true
		end := wire(peer, cont(""))
		want(end, fmt.Sprintf(`chunk text "" last true, %d of %d`, len(end), len(end)))
		whole := wire(peer, text("abc"))
		want(whole, fmt.Sprintf(`message text "abc" last false, %d of %d`, len(whole), len(whole)))

		r.Whole = false
		want(again[:cut], fmt.Sprintf(`chunk text "ab" last false, %d of %d`, cut, cut))
		r.Whole = true // again too late
		want(again[cut:], `chunk text "c" last true, 1 of 1`)
		if r.Recv(nil); !r.Idle() || len(l.out) > 0 {
			t.Errorf("idle %v, %d buffers", r.Idle(), len(l.out))
		}
	})
}

func TestEventKindNames(t *testing.T) {
	for kind, want := range []string{"need more", "message", "chunk", "ping", "pong", "close", "failed"} {
		if got := EventKind(kind).String(); got != want {
			t.Errorf("kind %d: %q, want %q", kind, got, want)
		}
	}
}

// Chunks come as their bytes come; only the last may be empty.
func TestChunksAreNotHeldBack(t *testing.T) {
	r := NewReceiver(Config{Side: frame.Client, Alloc: func(n int) []byte { t.Error("gathered"); return make([]byte, 0, n) }})
	in := wire(frame.Server, text("").more(), cont("Hel").more(), cont("").more(), cont("lo"), bin("").more(), cont(""))
	var got []string
	for i := range in {
		if ev, _ := r.Recv(in[i : i+1]); ev.Kind != NeedMore {
			got = append(got, fmt.Sprintf("%v %s %v", ev.Kind, ev.Payload, ev.Last))
		}
	}
	wantEvents(t, got, "chunk H false", "chunk e false", "chunk l false", "chunk l false", "chunk o true", "chunk  true")
}

func TestIdle(t *testing.T) {
	in := wire(frame.Client, text("a").more(), ping("b"), cont("c"), ping("d"))
	r := NewReceiver(Config{Side: frame.Server})
	r.Whole = true
	if !r.Idle() {
		t.Error("not idle at first")
	}
	message, control := len(wire(frame.Client, text("a"), ping("b"), cont("c"))), len(in)
	for i := range in {
		r.Recv(in[i : i+1])
		if want := i+1 == message || i+1 == control; r.Idle() != want {
			t.Errorf("after %d bytes: idle %v", i+1, r.Idle())
		}
	}
}

// Close gives back whatever is half received.
func TestReceiverClose(t *testing.T) {
	in := wire(frame.Client, text("Hello").more(), cont("again"), ping("Hello"), text("\xf2\x48\xcd\xc9\xc9\x07\x00").rsv1())
	for n := range len(in) + 1 {
		l := ledger{t: t, out: map[*byte]bool{}}
		r := NewReceiver(Config{Side: frame.Server, Deflate: takeover, Alloc: l.alloc, Free: l.free})
		r.Whole = true
		for piece := bytes.Clone(in[:n]); len(piece) > 0; {
			_, took := r.Recv(piece[:min(3, len(piece))])
			piece = piece[took:]
		}
		r.Close()
		r.Close()
		if len(l.out) > 0 {
			t.Errorf("after %d bytes and Close: %d buffers are out", n, len(l.out))
		}
		if ev, took := r.Recv([]byte{0x80}); ev.Kind != NeedMore || took != 1 || !r.Idle() {
			t.Errorf("after Close: %v, took %d", ev.Kind, took)
		}
	}
}

// What one end sends, the other receives: all sides, agreements and fragmentations.
func TestSenderMeetsReceiver(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		cfg := Config{Side: frame.Side(rnd.IntN(2)), MaxMessageBytes: 1 << 20}
		switch rnd.IntN(3) {
		case 1:
			cfg.Deflate = takeover
		case 2:
			cfg.Deflate = noTakeover
		}
		s := NewSender(cfg)
		var in []byte
		var want []string
		for range 1 + rnd.IntN(6) {
			op, message := frame.Text, strings.Repeat("gr\u00fc\u00df dich ", rnd.IntN(40))
			if rnd.IntN(2) == 0 {
				op, message = frame.Binary, strings.Repeat("\x00\xff\xfe", rnd.IntN(60))
			}
			compress := rnd.IntN(2) == 0
			rest, next := message, op
			for fin := false; !fin; next = frame.Continuation {
				n := len(rest)
				if fin = rnd.IntN(3) > 0; !fin {
					n = rnd.IntN(n + 1)
				}
				in = append(in, sent(s, next, rest[:n], fin, compress)...)
				if rest = rest[n:]; !fin && rnd.IntN(2) == 0 {
					in = s.AppendControl(in, frame.Ping, []byte("p"), key)
					want = append(want, `ping "p"`)
				}
			}
			want = append(want, fmt.Sprintf("message %v %s", op, quote(message)))
		}
		in = s.AppendClose(in, 4000, "bye", key)
		want = append(want, `close 4000 "bye"`)
		cfg.Side = cfg.Side.Peer()
		got := checkLaw(t, cfg, in)
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d events, want %d:\n  %s", seed, len(got), len(want), strings.Join(got, "\n  "))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("seed %d: event %d: %s\nwant %s", seed, i, got[i], want[i])
			}
		}
		s.Close()
	}
}

func TestReceiverAllocs(t *testing.T) {
	batch := bytes.Repeat(wire(frame.Client, text(strings.Repeat("x", 125))), 20)
	fragments := wire(frame.Client, text("\u00fc").more(), ping("p"), cont("\u00fc"), bin(""))
	var room []byte
	cfg := Config{
		Side:  frame.Server,
		Alloc: func(n int) []byte { return room[:0] },
		Free:  func(b []byte) { room = b },
	}
	room = make([]byte, 0, 8192)
	for _, whole := range []bool{true, false} {
		r := NewReceiver(cfg)
		r.Whole = whole
		work := make([]byte, len(batch))
		for name, in := range map[string][]byte{"batch": batch, "fragments": fragments} {
			for _, size := range []int{len(in), 100} {
				if n := testing.AllocsPerRun(100, func() {
					copy(work, in)
					for rest := work[:len(in)]; len(rest) > 0; {
						ev, n := r.Recv(rest[:min(size, len(rest))])
						if ev.Kind == Failed {
							t.Fatal(ev.Detail)
						}
						rest = rest[n:]
					}
				}); n != 0 {
					t.Errorf("%s in pieces of %d, whole %v: %v allocations", name, size, whole, n)
				}
			}
		}
	}
}

// An idle WebSocket has 1 KB for everything.
func TestReceiverIsSmall(t *testing.T) {
	if r, s := unsafe.Sizeof(Receiver{}), unsafe.Sizeof(Sender{}); r > 256 || s > 48 {
		t.Errorf("a Receiver takes %d bytes, a Sender %d", r, s)
	}
}

func BenchmarkReceiver(b *testing.B) {
	const count = 64
	for _, bm := range []struct {
		name string
		side frame.Side
		f    fr
	}{
		{"text125/server", frame.Server, text(strings.Repeat("x", 125))},
		{"text125/client", frame.Client, text(strings.Repeat("x", 125))},
		{"utf8/server", frame.Server, text(strings.Repeat("gr\u00fc\u00df dich ", 10))},
		{"binary125/server", frame.Server, bin(strings.Repeat("\xff", 125))},
		{"ping/server", frame.Server, ping("12345678")},
	} {
		b.Run(bm.name, func(b *testing.B) {
			batch := bytes.Repeat(wire(bm.side.Peer(), bm.f), count)
			work := make([]byte, len(batch))
			r := NewReceiver(Config{Side: bm.side, MaxMessageBytes: 1 << 20})
			r.Whole = true
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				copy(work, batch)
				n := 0
				for rest := work; len(rest) > 0; n++ {
					ev, took := r.Recv(rest)
					if ev.Kind == NeedMore || ev.Kind == Failed {
						b.Fatal(ev.Kind, ev.Detail)
					}
					rest = rest[took:]
				}
				if n != count {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/message")
		})
	}
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("gathered/%d", size), func(b *testing.B) {
			in := wire(frame.Client, bin(strings.Repeat("x", size)))
			work := make([]byte, 16<<10)
			var room [2][]byte
			free := room[:0]
			r := NewReceiver(Config{Side: frame.Server,
				Alloc: func(n int) []byte {
					for i, f := range free {
						if cap(f) >= n {
							free[i] = free[len(free)-1]
							free = free[:len(free)-1]
							return f
						}
					}
					return make([]byte, 0, 2<<20)
				},
				Free: func(b []byte) { free = append(free, b) },
			})
			r.Whole = true
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for rest := in; len(rest) > 0; {
					n := copy(work, rest)
					rest = rest[n:]
					r.Recv(work[:n])
				}
			}
		})
	}
}

// What a Receiver is given inflates what refers to a message that another one got.
func TestInflaterChangesHands(t *testing.T) {
	cfg := Config{Side: frame.Server, Deflate: &deflate.Params{}}
	s := NewSender(Config{Side: frame.Client, Deflate: cfg.Deflate})
	var inflater *deflate.Decompressor
	for range 3 {
		head, body, _ := s.Message(nil, frame.Text, []byte("What a Receiver is given"), true, true, [4]byte{1, 2, 3, 4})
		r := NewReceiver(cfg)
		r.Whole = true
		r.SetInflater(inflater)
		in := append(bytes.Clone(head), body...)
		ev, _ := r.Recv(in)
		if ev.Kind != Message || string(ev.Payload) != "What a Receiver is given" {
			t.Fatalf("got %v %q %s", ev.Kind, ev.Payload, ev.Detail)
		}
		if !r.Spare() {
			t.Fatal("the Receiver is not spare after a message")
		}
		inflater = r.Inflater()
	}
	if inflater == nil {
		t.Error("the Receiver has no inflater after a compressed message")
	}
}

// A Receiver knows nothing of its connection where it says so: another one goes on in its place.
func TestSpare(t *testing.T) {
	bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
		r := NewReceiver(cfg)
		for _, tt := range []struct {
			name string
			in   []byte
			want bool
		}{
			{"message", wire(peer, text("Hello")), true},
			{"control frame", wire(peer, ping("Hello")), true},
			{"part of a header", wire(peer, text("Hello"))[:1], false},
			{"part of a message", wire(peer, text("Hello"))[:4], false},
			{"Close frame", wire(peer, closing("\x03\xe8")), false},
		} {
			r.Reset(cfg)
			for in := tt.in; len(in) > 0; {
				_, n := r.Recv(in)
				in = in[n:]
			}
			if got := r.Spare(); got != tt.want {
				t.Errorf("after a %s: %v, want %v", tt.name, got, tt.want)
			}
			r.Close()
		}
	})
}
