package h2

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// FuzzRecvServer and FuzzRecvClient put the bytes behind an exchange of SETTINGS and some open streams, and check: nothing panics,
// the output is bounded by the input, what is held keeps to its limits, and the chunk law. seed also chooses the Config.

func FuzzRecvServer(f *testing.F) {
	ready := append([]byte(wire.ClientPreface), wire.AppendSettings(nil)...)
	ready = wire.AppendSettingsAck(ready)
	client := New(testNow, Config{Side: Client})
	client.AppendOutput(nil, 1<<20)
	client.Open(testNow, Pseudo{Method: "POST", Scheme: "https", Authority: "a", Path: "/"}, nil, false)
	client.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/", Protocol: "websocket"}, nil, false)
	open := client.AppendOutput(slices.Clip(ready), 1<<20)
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		prefix := open
		if seed&withoutStreams != 0 {
			prefix = ready
		}
		cfg := fuzzConfig(seed)
		cfg.Side, cfg.ConnectProtocol, cfg.WSFrame = Server, true, seed%4 > 0
		checkRecv(t, slices.Concat(prefix, in), seed, func() *Conn { return New(testNow, cfg) })
	})
}

func FuzzRecvClient(f *testing.F) {
	prefix := wire.AppendSettingsAck(wire.AppendSettings(nil, wire.Setting{ID: wire.EnableConnectProtocol, Value: 1}))
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		cfg := fuzzConfig(seed)
		cfg.Side, cfg.ConnectRule = Client, ConnectRule(seed%3)
		checkRecv(t, slices.Concat(prefix, in), seed, func() *Conn {
			c := New(testNow, cfg)
			if seed&withoutStreams != 0 {
				c.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/", Protocol: "websocket"}, nil, false)
				return c
			}
			c.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/", Protocol: "websocket"}, nil, false)
			c.Open(testNow, Pseudo{Method: "HEAD", Scheme: "https", Authority: "a", Path: "/"}, nil, true)
			c.Open(testNow, Pseudo{Method: "GET", Scheme: "https", Authority: "a", Path: "/"}, nil, true)
			for i := range byte(3) {
				c.OpenFrame(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/", Protocol: "websocket"}, nil, [8]byte{i})
			}
			return c
		})
	})
}

const (
	withoutStreams = 1 << 8 // in a seed: the connection has no streams yet, or just one
	smallLimits    = 1 << 9 // in a seed: everything is as small as it can be set
)

func fuzzConfig(seed uint64) Config {
	if seed&smallLimits == 0 {
		return Config{MaxHeaderListSize: 1000, MaxConcurrentStreams: 4}
	}
	return Config{
		MaxConcurrentStreams: 2, InitialWindowSize: 100, ConnWindowSize: 1, MaxBufferedBytes: 50, HeaderTableSize: 100, MaxHeaderListSize: 200,
		MaxHeaderFields: 5, MaxContinuations: 1, MaxSendQueue: 10, PingInterval: time.Second, ResetBurst: 2, ControlBurst: 5,
	}
}

func addSeeds(f *testing.F) {
	for _, text := range []string{
		"DATA stream=1 \"hello\" END_STREAM\nPING 0102030405060708\nDATA stream=1 \"x\"",
		"HEADERS stream=5 END_HEADERS END_STREAM" + getRequest + "RST_STREAM stream=5 CANCEL\nHEADERS stream=5 END_HEADERS" + getRequest,
		"HEADERS stream=1 END_HEADERS\n  :status: 103\nHEADERS stream=1\n  :status: 200\nCONTINUATION stream=1 END_HEADERS\n  a: b",
		"HEADERS stream=3 END_HEADERS dep=3 weight=1\n  :status: 204\nDATA stream=3 \"x\" pad=5",
		"SETTINGS INITIAL_WINDOW_SIZE=0 HEADER_TABLE_SIZE=0\nWINDOW_UPDATE stream=1 +5\nWINDOW_UPDATE stream=0 +2147483647",
		"GOAWAY last=1 NO_ERROR \"x\"\nPRIORITY stream=9 dep=9 weight=3\nFRAME type=0xf0 stream=0 flags=0x0 0a0b",
		"PUSH_PROMISE stream=1 promised=2 END_HEADERS\n  a: b",
		"WS_OPEN id=5 nonce=0000000000000000" + connectRequest + "PING 0000000000000000\nWS_OPEN id=9 nonce=0100000000000000" + connectRequest +
			"RST_STREAM stream=5 CANCEL\nDATA stream=9 \"x\"",
		"WS_ACCEPT id=7 nonce=0000000000000000\nPING 0000000000000000 ACK\nPING 0100000000000000 ACK\n" +
			"WS_ACCEPT id=11 nonce=0200000000000000\nHEADERS stream=11 END_HEADERS\n  :status: 200\nDATA stream=11 \"x\"",
		"WS_ACCEPT id=7 nonce=0000000000000000\nGOAWAY last=7 NO_ERROR\nPING 0200000000000000 ACK\nHEADERS stream=7 END_HEADERS\n  :status: 200",
		"ALTSVC stream=0 \"https://a\" \"clear\"\nALTSVC stream=1 \"\" \"h3=\\\":443\\\"\"\nORIGIN \"https://a\"",
	} {
		b, err := wire.NewParser().Append(nil, text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(7))
	}
	for _, b := range transcriptSeeds(f) {
		f.Add(b, uint64(withoutStreams|1))
		f.Add(b, uint64(withoutStreams|smallLimits|2))
	}
}

// transcriptSeeds are what the peers in the transcripts say, by connection, as far as it is short.
func transcriptSeeds(f *testing.F) (seeds [][]byte) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		f.Fatal("no transcripts", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var b []byte
		parser := wire.NewParser()
		for _, step := range strings.Split(string(text), "\n\n") {
			input, _, _ := strings.Cut(step, "\n----")
			for strings.HasPrefix(input, "#") {
				_, input, _ = strings.Cut(input, "\n")
			}
			command, frames, _ := strings.Cut(input, "\n")
			switch {
			case strings.HasPrefix(command, "new "):
				seeds = append(seeds, b)
				b, parser = nil, wire.NewParser()
			case strings.HasPrefix(command, "recv"):
				frames = strings.NewReplacer("$get", getLines, "$websocket", websocketLines, "$id", "1").Replace(frames)
				if b, err = parser.Append(b, frames); err != nil {
					f.Fatalf("%s: %v", path, err)
				}
			}
		}
		seeds = append(seeds, b)
	}
	return slices.DeleteFunc(seeds, func(b []byte) bool { return len(b) == 0 || len(b) > 1000 })
}

// checkRecv gives the same bytes to engines in different ways.
func checkRecv(t *testing.T, in []byte, seed uint64, start func() *Conn) {
	whole := start()
	events, out := recvAll(whole, in, func() int { return len(in) })
	if limit := 2000 + 8*len(in); len(out) > limit {
		t.Fatalf("%d bytes of input cause %d of output", len(in), len(out))
	}
	rnd := rand.New(rand.NewPCG(seed, 2))
	for name, step := range map[string]func() int{
		"single bytes": func() int { return 1 },
		"random parts": func() int { return 1 + rnd.IntN(30) },
	} {
		c := start()
		gotEvents, gotOut := recvAll(c, in, step)
		if gotEvents != events {
			t.Fatalf("in %s the events are\n%s\nat once\n%s", name, gotEvents, events)
		}
		if !bytes.Equal(gotOut, out) {
			t.Fatalf("in %s the output is\n%x\nat once\n%x", name, gotOut, out)
		}
	}
	recvBusy(t, start(), in, rnd)
}

// recvAll feeds in to c in steps and returns the events as text, and the output.
func recvAll(c *Conn, in []byte, step func() int) (string, []byte) {
	var events strings.Builder
	from, to := 0, 0
	for to < len(in) {
		to = min(len(in), to+step())
		from += c.Recv(testNow, in[from:to])
		for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
			events.WriteString(eventLine(ev))
			events.WriteByte('\n')
		}
	}
	return events.String(), c.AppendOutput(nil, 1<<30)
}

// checkState holds what an engine has in hand to its limits, and its parts to one another.
func checkState(t *testing.T, c *Conn) {
	t.Helper()
	if c.failed {
		return
	}
	if c.buffered < 0 || c.owed < 0 || c.slotsUsed < 0 || c.recvWindow < 0 || c.recvWindow+c.owed != int64(c.cfg.ConnWindowSize) {
		t.Fatalf("buffered %d, owed %d, slots %d, window %d of %d", c.buffered, c.owed, c.slotsUsed, c.recvWindow, c.cfg.ConnWindowSize)
	}
	if limit := c.cfg.MaxBufferedBytes + int64(c.cfg.ConnWindowSize); c.buffered > limit {
		t.Fatalf("%d bytes are buffered, limit %d", c.buffered, limit)
	}
	if c.cfg.Side == Server && (len(c.streams) > int(c.cfg.MaxConcurrentStreams) || c.slotsUsed < len(c.streams)) {
		t.Fatalf("%d streams, %d slots of %d", len(c.streams), c.slotsUsed, c.cfg.MaxConcurrentStreams)
	}
	if c.replies > maxReplies+1 || len(c.closedIDs.byUs.ids) > rememberByUs || len(c.closedIDs.other.ids) > rememberOther || c.spareBytes > maxSpareBytes {
		t.Fatalf("%d replies, %d and %d closed streams are remembered, %d spare bytes", c.replies, len(c.closedIDs.byUs.ids),
			len(c.closedIDs.other.ids), c.spareBytes)
	}
	var unconsumed int64
	waiting := 0
	for id, s := range c.streams {
		unconsumed += int64(s.unconsumed)
		if s.inReady {
			waiting++
		}
		if s.ID != id || s.closed || s.unconsumed < 0 || s.owed < 0 || s.recvWindow+s.owed > int32(c.recvInitial) ||
			s.inReady != (s.pending != nil && s.sendWindow > 0) || s.pending != nil && s.Pending() <= 0 {
			t.Fatalf("stream %d is %+v", id, *s)
		}
	}
	if unconsumed > c.buffered {
		t.Fatalf("%d bytes of streams are buffered, of all %d", unconsumed, c.buffered)
	}
	for s := c.ready.head; s != nil; s = s.next {
		waiting--
	}
	if waiting != 0 {
		t.Fatalf("%d streams are ready and not in the queue", waiting)
	}
}

// recvBusy has a driver do things on every event.
func recvBusy(t *testing.T, c *Conn, in []byte, rnd *rand.Rand) {
	from, to := 0, 0
	for to < len(in) {
		to = min(len(in), to+1+rnd.IntN(100))
		from += c.Recv(testNow, in[from:to])
		for ev := c.NextEvent(); ev != nil; ev = c.NextEvent() {
			if s := ev.Stream; s != nil {
				busyDriver(c, ev, rnd)
			}
		}
		c.AppendOutput(nil, 1+rnd.IntN(1000))
		checkState(t, c)
	}
	for next := c.NextTimeout(); !next.IsZero(); next = c.NextTimeout() {
		c.Advance(next)
		c.AppendOutput(nil, 1<<30)
		if !c.Failed() && !c.NextTimeout().After(next) {
			t.Fatal("Advance at its time changes nothing")
		}
	}
}

func busyDriver(c *Conn, ev *Event, rnd *rand.Rand) {
	s := ev.Stream
	switch rnd.IntN(8) {
	case 0:
		c.Reset(testNow, s, wire.Cancel)
	case 1:
		c.SendHeaders(s, Pseudo{Status: 200}, []Field{{"a", "b"}}, rnd.IntN(2) == 0)
	case 2:
		c.SendHeaders(s, Pseudo{}, []Field{{"a", "b"}}, true)
	case 3:
		c.Release(s)
	case 4:
		c.AutoConsume(s, rnd.IntN(2) == 0)
	default:
		c.SendHeaders(s, Pseudo{Status: 200}, nil, false)
		c.SendData(s, ev.Data, make([]byte, rnd.IntN(1000)), rnd.IntN(4) == 0)
	}
	c.Consume(s, ev.Size)
}
