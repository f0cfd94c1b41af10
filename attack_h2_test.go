package weft_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/weftws/weft"
)

// An h2Attack is repeated until the server ends the connection.
type h2Attack struct {
	name  string
	deaf  bool                // the attacker reads nothing
	begin func(x *h2Attacker) // once; may be nil
	again func(x *h2Attacker)
	times int // at most
	rule  string
}

// tooManyResets: once 1000 handlers are behind with streams that are reset, further ones are refused, which has the other budget.
const tooManyResets = "too-many-resets or too-many-control-frames"

var h2Attacks = []h2Attack{
	{name: "rapid reset", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) { // CVE-2023-44487
		x.fr.WriteRSTStream(x.get("/", true), http2.ErrCodeCancel)
	}},
	{name: "rapid reset of WebSockets", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.fr.WriteRSTStream(x.open("/ws"), http2.ErrCodeCancel)
	}},
	// MadeYouReset, CVE-2025-8671, in its variants; CVE-2019-9514.
	{name: "made you reset by an increment of 0", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, x.get("/", false), []byte{0, 0, 0, 0})
	}},
	{name: "made you reset by a window that overflows", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.fr.WriteWindowUpdate(x.get("/", false), 1<<31-1)
	}},
	{name: "made you reset by PRIORITY on itself", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		id := x.get("/", false)
		x.fr.WritePriority(id, http2.PriorityParam{StreamDep: id})
	}},
	{name: "made you reset by PRIORITY of 4 bytes", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.fr.WriteRawFrame(http2.FramePriority, 0, x.get("/", false), make([]byte, 4))
	}},
	{name: "made you reset by HEADERS after the end", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		id := x.get("/large", true)
		x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: x.encode("a: b"), EndHeaders: true, EndStream: true})
	}},
	{name: "made you reset by DATA after the end", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.fr.WriteData(x.get("/large", true), true, []byte("x"))
	}},
	{name: "made you reset by malformed requests", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) {
		x.request(true, ":method: GET", ":scheme: https", ":path: /", ":authority: localhost", "connection: close")
	}},
	{name: "fields without name or value", times: 20000, rule: tooManyResets, again: func(x *h2Attacker) { // CVE-2019-9516
		id := x.nextID
		x.nextID += 2
		x.fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, EndHeaders: true, EndStream: true,
			BlockFragment: append(x.encode(":method: GET", ":scheme: https", ":path: /", ":authority: localhost"), strings.Repeat("\x00\x00\x00", 200)...),
		})
	}},
	{name: "more streams than there are", times: 20000, rule: tooManyResets, begin: func(x *h2Attacker) {
		for range 1000 {
			x.open("/ws")
		}
	}, again: func(x *h2Attacker) { x.open("/ws") }},

	{name: "CONTINUATION", times: 100, rule: "too-many-continuations", begin: func(x *h2Attacker) { // CVE-2023-45288, CVE-2024-27316
		x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: x.encode(":method: GET")})
	}, again: func(x *h2Attacker) {
		x.fr.WriteContinuation(1, false, x.encode("x: "+strings.Repeat("y", 16000)))
	}},
	{name: "empty CONTINUATION", times: 100, rule: "too-many-continuations", begin: func(x *h2Attacker) {
		x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
	}, again: func(x *h2Attacker) { x.fr.WriteContinuation(1, false, nil) }},

	{name: "SETTINGS", times: 50000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WriteSettings() }}, // CVE-2019-9515
	{name: "SETTINGS of windows, on open streams", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) {
		for range 900 {
			x.open("/ws")
		}
	}, again: func(x *h2Attacker) {
		x.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2})
	}},
	{name: "SETTINGS, reading nothing", deaf: true, times: 100000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WriteSettings() }},
	{name: "PING", times: 50000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WritePing(false, [8]byte{}) }}, // CVE-2019-9512
	{name: "PING, reading nothing", deaf: true, times: 100000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WritePing(false, [8]byte{}) }},
	{name: "acks of no PING", times: 50000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WritePing(true, [8]byte{}) }},
	{name: "empty DATA", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) { x.open("/ws") }, // CVE-2019-9518
		again: func(x *h2Attacker) { x.fr.WriteData(1, false, nil) }},
	{name: "DATA of padding", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) { x.open("/ws") },
		again: func(x *h2Attacker) { x.fr.WriteDataPadded(1, false, nil, make([]byte, 3)) }},
	{name: "DATA on a stream that is over", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) {
		x.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, x.open("/ws"), []byte{0, 0, 0, 0})
	}, again: func(x *h2Attacker) { x.fr.WriteData(1, false, []byte("x")) }},
	{name: "PRIORITY", times: 50000, rule: "too-many-control-frames", // CVE-2019-9513
		again: func(x *h2Attacker) { x.fr.WritePriority(1, http2.PriorityParam{StreamDep: 3, Weight: 7}) }},
	{name: "PRIORITY_UPDATE", times: 50000, rule: "too-many-control-frames",
		again: func(x *h2Attacker) { x.fr.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1")) }},
	{name: "unknown frames", times: 50000, rule: "too-many-control-frames",
		again: func(x *h2Attacker) { x.fr.WriteRawFrame(0xf0, 0, 1, []byte("x")) }},
	{name: "WINDOW_UPDATE", times: 50000, rule: "too-many-control-frames", again: func(x *h2Attacker) { x.fr.WriteWindowUpdate(0, 1) }},
	{name: "WINDOW_UPDATE of a stream", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) { x.open("/ws") },
		again: func(x *h2Attacker) { x.fr.WriteWindowUpdate(1, 1) }},
	{name: "RST_STREAM of what is over", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) {
		x.fr.WriteRSTStream(x.open("/ws"), http2.ErrCodeCancel)
	}, again: func(x *h2Attacker) { x.fr.WriteRSTStream(1, http2.ErrCodeCancel) }},
	{name: "data dribble", times: 50000, rule: "too-many-control-frames", begin: func(x *h2Attacker) { // CVE-2019-9511
		x.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		for range 10 {
			x.get("/large", true)
		}
	}, again: func(x *h2Attacker) { x.fr.WriteWindowUpdate(1+2*uint32(x.turn%10), 1) }},
}

// Floods of frames that cost the peer little each cost it the connection, and nobody else anything.
func TestAttackHTTP2Floods(t *testing.T) {
	for _, attack := range h2Attacks {
		t.Run(attack.name, func(t *testing.T) {
			a := newArena(t, false, nil)
			a.beside(floodHeap, func() {
				x := a.attackH2(attack.deaf)
				if attack.begin != nil {
					attack.begin(x)
				}
				sent := 0
				for ; sent < attack.times; sent++ {
					attack.again(x)
					x.turn++
					if sent%100 == 99 && !x.flush() {
						break
					}
				}
				x.flush()
				a.wantEnd(attack.rule)
				if !attack.deaf {
					x.wantGoAway(http2.ErrCodeEnhanceYourCalm)
				}
			})
		})
	}
}

// wantEnd waits until the Observer has been told once of one of the rules that end a connection.
func (a *arena) wantEnd(rules string) {
	a.Helper()
	n := 0
	a.await("the count of "+rules, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		n = 0
		for rule := range strings.SplitSeq(rules, " or ") {
			n += a.counts["http2/"+rule]
		}
		return n > 0
	})
	if n != 1 {
		a.Errorf("the Observer counted %d of %s, want 1", n, rules)
	}
}

// floodHeap is what a flood may add to the heap: the handlers of 1000 requests with their buffers, the attacker, and garbage.
const floodHeap = 64 << 20

// Header bombs cost the stream: one byte on the wire stands for 4 KiB, or for a crumb of cookie.
func TestAttackHeaderBombs(t *testing.T) {
	for name, bomb := range map[string]struct {
		entry string // to the table
		field string // one byte each: the entry
		n     int
	}{
		"4 KiB each": {entry: "x: " + strings.Repeat("y", 3900), n: 16000},
		"crumbs":     {entry: "cookie: a=b", n: 16000},
		"few":        {entry: "x: " + strings.Repeat("y", 3900), n: 17},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t, false, nil)
			const times = 50
			a.beside(16<<20, func() {
				x := a.attackH2(false)
				head := []string{":method: GET", ":scheme: https", ":path: /", ":authority: localhost"}
				x.request(true, append(head, bomb.entry)...)
				for range times {
					id := x.nextID
					x.nextID += 2
					// Index 62 is the newest entry of the dynamic table. RFC 7541, Section 2.3.3.
					block := append(x.encode(head...), strings.Repeat("\xbe", bomb.n)...)
					x.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:min(len(block), 16000)], EndHeaders: len(block) <= 16000, EndStream: true})
					if len(block) > 16000 {
						x.fr.WriteContinuation(id, true, block[16000:])
					}
					x.flush()
				}
				x.sees("the resets", func() bool { return x.resets["ENHANCE_YOUR_CALM"] == times && x.status["200"] == 1 })
			})
			a.wantCount("http2/header-list-too-large", times)
		})
	}
}

// A connection's slots are its own: one more WebSocket is refused, the rest stay, and others have theirs.
func TestAttackStreamSlots(t *testing.T) {
	a := newArena(t, false, func(s *weft.Server) { s.Options.MaxConcurrentStreams = 200 })
	a.beside(16<<20, func() {
		x := a.attackH2(false)
		for range 250 {
			x.open("/ws")
		}
		x.fr.WritePing(false, [8]byte{1})
		x.flush()
		x.sees("the refusals", func() bool { return x.resets["REFUSED_STREAM"] == 50 && x.status["200"] == 200 && x.acks == 1 })
	})
	a.wantCount("http2/stream-limit", 50)
}
