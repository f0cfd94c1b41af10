package proto

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// checkLaw gives input to Receivers in many cuts and all modes, holds the events to the chunk law, and returns those of
// Whole mode. Each Receiver's buffers are checked by a ledger.
func checkLaw(t testing.TB, cfg Config, input []byte) (events []string) {
	t.Helper()
	for mode := range modes {
		want := receive(t, cfg, mode, input, len(input)+1)
		for _, size := range []int{1, 2, 3, 5, 7, 64, 1000} {
			if size <= len(input) && len(input)/size < 5000 {
				wantSame(t, fmt.Sprintf("mode %v, pieces of %d", mode, size), receive(t, cfg, mode, input, size), want)
			}
		}
		// Every single cut, and of a long input those where its frames are likely to begin and end.
		for cut := range len(input) {
			if cut < 40 || cut > len(input)-20 {
				wantSame(t, fmt.Sprintf("mode %v, cut at %d", mode, cut), receive(t, cfg, mode, input, cut, len(input)), want)
			}
		}
		if mode != chunks {
			events = want
		}
	}
	return events
}

// How a Receiver delivers.
const (
	chunks = iota
	whole
	wholeOwned
	modes
)

// receive gives a copy of input to a Receiver in pieces of the given sizes, the last of which repeats, and returns the
// events as text, with neighbouring chunks of a message joined.
func receive(t testing.TB, cfg Config, mode int, input []byte, sizes ...int) []string {
	t.Helper()
	l := ledger{t: t, out: map[*byte]bool{}}
	cfg.Alloc, cfg.Free = l.alloc, l.free
	r := NewReceiver(cfg)
	r.Whole, r.Own = mode != chunks, mode == wholeOwned
	input = slices.Clone(input)
	total := len(input)
	defer func() { l.checkMost(cfg, total) }()
	var log eventLog
	var owned [][]byte
	for len(input) > 0 {
		size := min(sizes[0], len(input))
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
		piece := input[:size:size]
		input = input[size:]
		for {
			ev, n := r.Recv(piece)
			if n < 0 || n > len(piece) {
				t.Fatalf("Recv took %d of %d bytes", n, len(piece))
			}
			if cfg.MaxMessageBytes > 0 && int64(len(ev.Payload)) > max(cfg.MaxMessageBytes, frame.MaxControlPayload) {
				t.Fatalf("a payload of %d bytes, limit %d", len(ev.Payload), cfg.MaxMessageBytes)
			}
			if ev.Kind == NeedMore {
				if n != len(piece) {
					t.Fatalf("NeedMore after %d of %d bytes", n, len(piece))
				}
				break
			}
			if piece = piece[n:]; len(piece) == 0 && size > 0 {
				size = 0 // the next call has to say NeedMore
			}
			log.add(ev)
			for i := range ev.Payload { // whoever keeps it will see this
				ev.Payload[i] = 0xdb
			}
			if ev.Owned {
				owned = append(owned, ev.Payload)
			}
		}
		if r.Idle() && len(l.out) > 0 {
			t.Fatalf("holds %d buffers while idle", len(l.out))
		}
	}
	r.Close()
	if len(l.out) > 0 {
		t.Fatalf("holds %d buffers after Close", len(l.out))
	}
	for _, p := range owned {
		if mode != wholeOwned || len(bytes.TrimLeft(p, "\xdb")) > 0 {
			t.Fatalf("mode %d: a payload of %d bytes that was the caller's has changed", mode, len(p))
		}
	}
	return log.lines
}

// An eventLog is events as text.
type eventLog struct {
	lines []string
	chunk strings.Builder
	open  bool
}

func (l *eventLog) add(ev Event) {
	if ev.Kind == Chunk {
		l.open = true
		l.chunk.Write(ev.Payload)
		if !ev.Last {
			return
		}
		l.open = false
		l.lines = append(l.lines, fmt.Sprintf("chunk %v %s last", ev.Opcode, quote(l.chunk.String())))
		l.chunk.Reset()
		return
	}
	if l.open {
		l.lines = append(l.lines, "chunk "+quote(l.chunk.String()))
		l.open = false
		l.chunk.Reset()
	}
	switch ev.Kind {
	case Message:
		l.lines = append(l.lines, fmt.Sprintf("message %v %s", ev.Opcode, quote(string(ev.Payload))))
	case Ping, Pong:
		l.lines = append(l.lines, fmt.Sprintf("%v %q", ev.Kind, ev.Payload))
	case Close:
		l.lines = append(l.lines, fmt.Sprintf("close %d %q", ev.Code, ev.Reason))
	case Failed:
		l.lines = append(l.lines, fmt.Sprintf("failed %s: %s", ev.Violation.Name, ev.Detail))
	}
}

// quote is s in quotes, or of a long s a sum.
func quote(s string) string {
	if len(s) > 1000 {
		return fmt.Sprintf("%d bytes %08x", len(s), crc32.ChecksumIEEE([]byte(s)))
	}
	return strconv.Quote(s)
}

// A ledger hands out buffers, scribbles over those given back, and knows which are out.
type ledger struct {
	t   testing.TB
	out map[*byte]bool
	// live is how many bytes those that are out can hold, most the most that ever were.
	live, most int
	// grown is how many buffers were given back that replaced one of ours.
	grown int
}

func (l *ledger) alloc(n int) []byte {
	b := make([]byte, 0, max(n, 1))
	l.out[&b[:1][0]] = true
	l.live += cap(b)
	l.most = max(l.most, l.live)
	return b
}

func (l *ledger) free(b []byte) {
	if len(b) != 0 {
		l.t.Errorf("a buffer given back with %d bytes in it", len(b))
	}
	p := &b[:1][0]
	if l.out[p] {
		l.live -= cap(b)
	} else {
		l.grown++
	}
	delete(l.out, p)
	b = b[:cap(b)]
	for i := range b {
		b[i] = 0xdb
	}
}

// checkMost holds the buffers to what Config allows, and to what has come: an announcement costs the peer nothing.
func (l *ledger) checkMost(cfg Config, received int) {
	if cfg.Deflate == nil && l.most > announcedBuffer+frame.MaxControlPayload+3*received {
		l.t.Fatalf("%d bytes of buffers for %d bytes received", l.most, received)
	}
	// A buffer that grows is there twice for a moment, and has room for as much again.
	if limit := cfg.MaxMessageBytes; limit > 0 {
		if cfg.Deflate != nil {
			limit += compressedLimit(limit, cfg.MaxFragments)
		}
		if int64(l.most) > 3*limit+frame.MaxControlPayload {
			l.t.Fatalf("%d bytes of buffers, limit %d", l.most, cfg.MaxMessageBytes)
		}
	}
}

func wantSame(t testing.TB, how string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n  %s\nat once:\n  %s", how, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// wantEvents compares events with lines of which those that end in "..." are prefixes.
func wantEvents(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(g, w string) bool {
		prefix, cut := strings.CutSuffix(w, "...")
		return g == w || cut && strings.HasPrefix(g, prefix)
	}) {
		t.Fatalf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// A fr is a frame that a peer sends.
type fr struct {
	frame.Header
	payload   string
	wrongMask bool
	raw       []byte // if set, all there is
}

func text(s string) fr { return fr{Header: frame.Header{Fin: true, Opcode: frame.Text}, payload: s} }
func bin(s string) fr {
	return fr{Header: frame.Header{Fin: true, Opcode: frame.Binary}, payload: s}
}
func cont(s string) fr {
	return fr{Header: frame.Header{Fin: true, Opcode: frame.Continuation}, payload: s}
}
func ping(s string) fr { return fr{Header: frame.Header{Fin: true, Opcode: frame.Ping}, payload: s} }
func pong(s string) fr { return fr{Header: frame.Header{Fin: true, Opcode: frame.Pong}, payload: s} }
func closing(s string) fr {
	return fr{Header: frame.Header{Fin: true, Opcode: frame.Close}, payload: s}
}
func bytesOf(s string) fr { return fr{raw: []byte(s)} }

// more takes FIN away.
func (f fr) more() fr { f.Fin = false; return f }

// rsv1 sets RSV1: with the extension, the frame begins a compressed message.
func (f fr) rsv1() fr { f.RSV1 = true; return f }

// unlikeSide is masked by a server, not masked by a client.
func (f fr) unlikeSide() fr { f.wrongMask = true; return f }

// wire is the frames as the given side sends them, each with a key of its own.
func wire(from frame.Side, frames ...fr) []byte {
	var b []byte
	for i, f := range frames {
		if f.raw != nil {
			b = append(b, f.raw...)
			continue
		}
		h := f.Header
		h.Length = int64(len(f.payload))
		if h.Masked = from == frame.Client != f.wrongMask; h.Masked {
			h.Key = [4]byte{0x37 + byte(i), 0xfa, 0x21, 0x3d - byte(i)}
		}
		b = frame.AppendHeader(b, h)
		b = frame.AppendMasked(b, []byte(f.payload), h.Key)
	}
	return b
}

// bothSides runs a test as a server, whose peer is a client, and as a client.
func bothSides(t *testing.T, run func(t *testing.T, cfg Config, peer frame.Side)) {
	t.Helper()
	for _, side := range []frame.Side{frame.Server, frame.Client} {
		t.Run("as "+side.String(), func(t *testing.T) { run(t, Config{Side: side}, side.Peer()) })
	}
}

var takeover = &deflate.Params{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
var noTakeover = &deflate.Params{
	ServerMaxWindowBits: 15, ClientMaxWindowBits: 15, ServerNoContextTakeover: true, ClientNoContextTakeover: true,
}
