package h2

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/h2/wire"
)

// Both fuzz targets put the bytes behind an exchange of SETTINGS and two open streams, and check: nothing panics, the
// output is bounded by the input, and the chunk law.

func FuzzRecvServer(f *testing.F) {
	prefix := append([]byte(wire.ClientPreface), wire.AppendSettings(nil)...)
	prefix = wire.AppendSettingsAck(prefix)
	client := New(testNow, Config{Side: Client})
	client.AppendOutput(nil, 1<<20)
	client.Open(testNow, Pseudo{Method: "POST", Scheme: "https", Authority: "a", Path: "/"}, nil, false)
	client.Open(testNow, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "a", Path: "/", Protocol: "websocket"}, nil, false)
	prefix = client.AppendOutput(prefix, 1<<20)
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		checkRecv(t, slices.Concat(prefix, in), seed, func() *Conn {
			return New(testNow, Config{Side: Server, ConnectProtocol: true, WSFrame: seed%4 > 0, MaxHeaderListSize: 1000, MaxConcurrentStreams: 4})
		})
	})
}

func FuzzRecvClient(f *testing.F) {
	prefix := wire.AppendSettingsAck(wire.AppendSettings(nil, wire.Setting{ID: wire.EnableConnectProtocol, Value: 1}))
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		checkRecv(t, slices.Concat(prefix, in), seed, func() *Conn {
			c := New(testNow, Config{Side: Client, MaxHeaderListSize: 1000})
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
		if c.buffered < 0 || c.owed < 0 || c.slotsUsed < 0 || c.recvWindow < 0 {
			t.Fatalf("buffered %d, owed %d, slots %d, window %d", c.buffered, c.owed, c.slotsUsed, c.recvWindow)
		}
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
