package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestDataExtendsTheLastFrame(t *testing.T) {
	v := converse(t, Config{Side: Server})
	a, b := v.answer(1), v.answer(3)
	v.SendData(a, []byte("he"), []byte("llo"), false)
	v.SendData(a, nil, []byte(", world"), false)
	v.SendData(b, nil, []byte("x"), false)
	v.SendData(a, nil, []byte("!"), false)
	v.SendData(a, nil, nil, true)
	v.wantOutput(`DATA stream=1 len=12 "hello, world"`, `DATA stream=3 len=1 "x"`, `DATA stream=1 len=1 "!" END_STREAM`)

	// What is written already is not extended.
	v.SendData(b, nil, []byte("y"), false)
	v.wantOutput(`DATA stream=3 len=1 "y"`)
	v.SendData(b, nil, []byte("z"), false)
	v.SendHeaders(b, Pseudo{}, []Field{{"x-end", "1"}}, true)
	v.wantOutput(`DATA stream=3 len=1 "z"`, "HEADERS stream=3 END_HEADERS END_STREAM\n  x-end: 1")
}

func TestDataExtendsUpToAFrame(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.SendData(s, nil, make([]byte, 16000), false)
	v.SendData(s, nil, make([]byte, 384), false)
	v.SendData(s, nil, make([]byte, 1), true)
	got := v.output()
	if want := 2; strings.Count(got, "DATA") != want || !strings.Contains(got, "len=16384") {
		t.Fatalf("got\n%s", got)
	}
}

func TestPartOfOutput(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.SendData(s, nil, []byte("hello"), false)
	var out []byte
	for i := range 5 {
		out = v.AppendOutput(out, 4)
		v.SendData(s, nil, []byte{byte('a' + i)}, i == 4)
	}
	for v.HasOutput() {
		n := len(out)
		if out = v.AppendOutput(out, 4); len(out)-n > 4 {
			t.Fatalf("AppendOutput appended %d bytes, the limit is 4", len(out)-n)
		}
	}
	got := string(v.printer.Append(nil, out))
	want := "DATA stream=1 len=5 \"hello\"\nDATA stream=1 len=4 \"abcd\"\nDATA stream=1 len=1 \"e\" END_STREAM\n"
	if !strings.HasPrefix(got, want[:28]) || strings.Count(got, "END_STREAM") != 1 {
		t.Fatalf("got\n%s", got)
	}
	var text []byte
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		text = append(text, strings.Split(line, `"`)[1]...)
	}
	if string(text) != "helloabcde" {
		t.Fatalf("got the text %q", text)
	}
}

func TestPendingAndWritable(t *testing.T) {
	v := converse(t, Config{Side: Server, MaxSendQueue: 1000})
	v.recv("SETTINGS INITIAL_WINDOW_SIZE=0")
	v.wantEvents("Settings")
	v.wantOutput("SETTINGS ACK")
	s := v.answer(1)
	v.SendData(s, make([]byte, 10), make([]byte, 990), false)
	v.wantOutput()
	if s.Pending() != 1000 || s.full {
		t.Fatalf("Pending is %d, full %v", s.Pending(), s.full)
	}
	v.SendData(s, nil, make([]byte, 1), false)
	if s.Pending() != 1001 || !s.full || v.HasOutput() {
		t.Fatalf("Pending is %d, full %v, output %v", s.Pending(), s.full, v.HasOutput())
	}
	v.recv("WINDOW_UPDATE stream=1 +500")
	v.output()
	v.wantEvents()
	v.recv("WINDOW_UPDATE stream=1 +1")
	v.output()
	v.wantEvents("Writable 1")
	v.recv("WINDOW_UPDATE stream=1 +1000")
	v.SendData(s, nil, nil, true)
	if !s.SendClosed() || s.Closed() {
		t.Fatal("END_STREAM was not queued")
	}
	v.output()
	v.wantEvents()
	if s.pending != nil || !s.sendDone {
		t.Fatal("the stream has still something to send")
	}
}

func TestTrailersWaitForData(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("SETTINGS INITIAL_WINDOW_SIZE=3")
	v.output()
	v.wantEvents("Settings")
	s := v.answer(1)
	v.SendData(s, nil, []byte("hello"), false)
	v.SendHeaders(s, Pseudo{}, []Field{{"x-sum", "5"}}, true)
	v.SendData(s, nil, []byte("too late"), false)
	v.wantOutput(`DATA stream=1 len=3 "hel"`)
	// Another block in between: the compression state follows the order of the output.
	v.answer(3)
	v.recv("WINDOW_UPDATE stream=1 +10\nDATA stream=1 END_STREAM")
	v.wantOutput(`DATA stream=1 len=2 "lo"`, "HEADERS stream=1 END_HEADERS END_STREAM\n  x-sum: 5")
	if !s.Closed() {
		t.Fatal("the stream is not closed")
	}
}

// END_STREAM without DATA needs neither window nor turn.
func TestEndAloneIsSentAtOnce(t *testing.T) {
	v := converse(t, Config{Side: Server})
	a, b := v.answer(1), v.answer(3)
	v.SendData(a, nil, make([]byte, 65535+100), false)
	if a.Pending() == 0 || !v.HasOutput() {
		t.Fatal("nothing waits")
	}
	v.SendData(b, nil, nil, true)
	v.SendData(b, nil, []byte("misuse"), false)
	if got := v.output(); !strings.HasSuffix(got, "DATA stream=3 len=0 \"\" END_STREAM\n") {
		t.Fatalf("got\n%s", got)
	}
}

func TestTurns(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("WINDOW_UPDATE stream=0 +1000000\nSETTINGS INITIAL_WINDOW_SIZE=1000000")
	v.wantEvents("Settings")
	v.output()
	streams := []*Stream{v.answer(1), v.answer(3), v.answer(5)}
	for _, s := range streams {
		v.SendData(s, nil, make([]byte, 150000), true)
	}
	out := string(v.printer.Append(nil, v.AppendOutput(nil, 1<<30)))
	var order []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		order = append(order, strings.TrimPrefix(strings.Fields(line)[1], "stream="))
	}
	// The first stream had the output buffer for itself; what follows goes round.
	if got, want := strings.Join(order, " "), "1 1 1 1 1 1 1 1 1 3 5 1 3 5 3 5 3 5 3 5 3 5 3 5 3 5 3 5 3 5"; got != want {
		t.Fatalf("order is\n%s, want\n%s", got, want)
	}
}

// What AppendOutput appends is as much as was asked for: DATA that waits is cut to fit.
func TestOutputFillsItsBuffer(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("WINDOW_UPDATE stream=0 +1000000\nSETTINGS INITIAL_WINDOW_SIZE=1000000")
	v.wantEvents("Settings")
	v.output()
	v.SendData(v.answer(1), nil, make([]byte, 300_000), false)
	for range 4 {
		if out := v.AppendOutput(nil, 1<<16); len(out) != 1<<16 {
			t.Fatalf("%d bytes, asked for 65536", len(out))
		}
	}
}

// DATA leaves room in a buffer of 128 KiB for frames of other types, which would else be the reason to copy it.
func TestOutputLeavesRoom(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("WINDOW_UPDATE stream=0 +1000000\nSETTINGS INITIAL_WINDOW_SIZE=1000000")
	v.wantEvents("Settings")
	v.output()
	s := v.answer(1)
	v.SendData(s, nil, make([]byte, 100_000), false)
	if v.SwapOutput(make([]byte, 0, 128<<10)) == nil {
		t.Fatal("the output does not change hands")
	}
	v.SendData(s, nil, make([]byte, 300_000), false)
	if v.OutputSize() < 120<<10 || cap(v.out) != 128<<10 || cap(v.out)-len(v.out) < 1<<10 {
		t.Errorf("%d bytes of output in a buffer of %d", len(v.out), cap(v.out))
	}
}

// Large output changes hands; small output, what has no room, and what is half written are copied.
func TestSwapOutput(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.output()
	v.SendData(s, nil, make([]byte, 100), false)
	if v.SwapOutput(make([]byte, 0, 1<<16)) != nil {
		t.Error("a small message changed hands")
	}
	v.SendData(s, nil, make([]byte, 8000), false)
	if v.SwapOutput(make([]byte, 0, 8000)) != nil {
		t.Error("8 KB changed hands for less")
	}
	if out := v.SwapOutput(make([]byte, 0, 1<<16)); len(out) < 8100 || cap(v.out) != 1<<16 || v.HasOutput() {
		t.Errorf("got %d bytes for a buffer of %d", len(out), cap(v.out))
	}
	v.SendData(s, nil, make([]byte, 8000), false)
	v.AppendOutput(nil, 10)
	if v.SwapOutput(make([]byte, 0, 1<<16)) != nil {
		t.Error("half of the output changed hands")
	}
}

// A small message on one stream does not overtake others that wait for their turn.
func TestTurnsComeBeforeTheDirectWay(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("WINDOW_UPDATE stream=0 +1000000\nSETTINGS INITIAL_WINDOW_SIZE=1000000")
	v.output()
	v.wantEvents("Settings")
	a, b := v.answer(1), v.answer(3)
	v.SendData(a, nil, make([]byte, 100000), false)
	v.SendData(b, nil, []byte("small"), false)
	out := v.AppendOutput(nil, 64<<10)
	for !bytes.Contains(out, []byte("small")) {
		if !v.HasOutput() || len(out) > 64<<10+2*16384+100 {
			t.Fatalf("the small message is not among the first %d bytes", len(out))
		}
		out = v.AppendOutput(out, 16384)
	}
}

func TestConnWindowBlocksAll(t *testing.T) {
	v := converse(t, Config{Side: Server})
	a, b := v.answer(1), v.answer(3)
	v.SendData(a, nil, make([]byte, 65530), false)
	v.SendData(b, nil, []byte("0123456789"), true)
	v.output()
	if v.HasOutput() {
		t.Fatal("there is output without a window")
	}
	v.recv("WINDOW_UPDATE stream=0 +3")
	v.wantOutput(`DATA stream=3 len=3 "567"`)
	v.recv("WINDOW_UPDATE stream=0 +3")
	v.wantOutput(`DATA stream=3 len=2 "89" END_STREAM`)
}

func TestMisuseDoesNothing(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.request(1)
	v.SendData(s, nil, []byte("before the headers"), false)
	v.SendHeaders(s, Pseudo{}, nil, true)
	v.SendHeaders(s, Pseudo{Status: 103}, nil, true)
	v.wantOutput()
	v.SendHeaders(s, Pseudo{Status: 200}, []Field{{"Upper", "1"}, {"connection", "close"}, {"a", "b\n"}, {"ok", "1"}}, false)
	v.SendHeaders(s, Pseudo{Status: 200}, nil, false)
	v.wantOutput("HEADERS stream=1 END_HEADERS\n  :status: 200\n  ok: 1")
	v.Reset(v.now, s, 8)
	v.Reset(v.now, s, 8)
	v.SendData(s, nil, []byte("x"), true)
	v.SendHeaders(s, Pseudo{}, nil, true)
	v.Consume(s, 1)
	v.Release(s)
	v.Release(s)
	v.wantOutput("RST_STREAM stream=1 CANCEL")
	if v.OpenStreams() != 0 {
		t.Fatalf("%d streams are open", v.OpenStreams())
	}
	if _, err := v.Open(v.now, Pseudo{Method: "GET"}, nil, true); err == nil {
		t.Fatal("a server opened a stream")
	}
}

func TestOpen(t *testing.T) {
	v := converse(t, Config{Side: Client})
	v.recv("SETTINGS MAX_CONCURRENT_STREAMS=2 ENABLE_CONNECT_PROTOCOL=1")
	v.output()
	v.wantEvents("Settings")
	a, err := v.Open(v.now, Pseudo{Method: "GET", Scheme: "https", Authority: "example.com", Path: "/"}, []Field{{"a", "1"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Open(v.now, Pseudo{Method: "CONNECT", Scheme: "https", Authority: "example.com", Path: "/chat", Protocol: "websocket"}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	v.wantOutput(
		"HEADERS stream=1 END_HEADERS END_STREAM\n  :method: GET\n  :scheme: https\n  :authority: example.com\n  :path: /\n  a: 1",
		"HEADERS stream=3 END_HEADERS\n  :method: CONNECT\n  :protocol: websocket\n  :scheme: https\n  :authority: example.com\n  :path: /chat")
	if _, err := v.Open(v.now, Pseudo{Method: "GET"}, nil, true); err != ErrNoSlot {
		t.Fatalf("got %v, want ErrNoSlot", err)
	}
	v.recv("HEADERS stream=1 END_HEADERS END_STREAM\n  :status: 204\nHEADERS stream=3 END_HEADERS\n  :status: 200")
	v.wantEvents("Headers 1 204 end", "Headers 3 200")
	if !a.Closed() || b.Closed() || v.Slots() != 1 {
		t.Fatalf("closed %v %v, slots %d", a.Closed(), b.Closed(), v.Slots())
	}
	// A tunnel ends with DATA, never with HEADERS.
	v.SendHeaders(b, Pseudo{}, []Field{{"x", "y"}}, true)
	v.wantOutput("DATA stream=3 len=0 \"\" END_STREAM")
	v.GoAway(0, "bye")
	if _, err := v.Open(v.now, Pseudo{Method: "GET"}, nil, true); err != ErrDraining || v.Slots() != 0 {
		t.Fatalf("got %v, want ErrDraining; %d slots", err, v.Slots())
	}
}

func TestOpenBeforeSettings(t *testing.T) {
	c := New(testNow, Config{Side: Client})
	for range assumedSlots {
		if _, err := c.Open(testNow, Pseudo{Method: "GET", Scheme: "https", Path: "/"}, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Open(testNow, Pseudo{Method: "GET"}, nil, false); err != ErrNoSlot {
		t.Fatalf("got %v, want ErrNoSlot", err)
	}
}

func TestNoIdentifiersLeft(t *testing.T) {
	v := converse(t, Config{Side: Client})
	v.nextID = 1<<31 - 3
	for _, want := range []error{nil, nil, ErrDraining} {
		if _, err := v.Open(v.now, Pseudo{Method: "GET", Scheme: "https", Path: "/"}, nil, true); err != want {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
}

// A long response block is split, and goes through a peer of ours.
func TestLongBlock(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.request(1)
	var fields []Field
	for i := range 50 {
		fields = append(fields, Field{fmt.Sprintf("x-%d", i), strings.Repeat("\\", 900)})
	}
	v.SendHeaders(s, Pseudo{Status: 200}, fields, true)
	got := v.output()
	if n := strings.Count(got, "CONTINUATION stream=1"); n < 2 || strings.Count(got, "  x-") != len(fields) {
		t.Fatalf("%d CONTINUATION frames, %d fields", n, strings.Count(got, "  x-"))
	}
	if cap(v.encoded) > largeBlockCap {
		t.Errorf("the block's buffer of %d bytes is kept", cap(v.encoded))
	}
}
