package h2

import (
	"strings"
	"testing"

	"github.com/weftws/weft/internal/h2/wire"
)

func TestFirstOutput(t *testing.T) {
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Side: Client},
			"PREFACE\nSETTINGS ENABLE_PUSH=0 INITIAL_WINDOW_SIZE=262144 MAX_HEADER_LIST_SIZE=65536\nWINDOW_UPDATE stream=0 +983041\n"},
		{Config{Side: Server, ConnectProtocol: true},
			"SETTINGS MAX_CONCURRENT_STREAMS=1000 INITIAL_WINDOW_SIZE=262144 MAX_HEADER_LIST_SIZE=65536 ENABLE_CONNECT_PROTOCOL=1\n" +
				"WINDOW_UPDATE stream=0 +983041\n"},
		{Config{Side: Server, ConnWindowSize: 1, HeaderTableSize: 100, MaxFrameSize: 1 << 20, MaxConcurrentStreams: 3, InitialWindowSize: 65535},
			"SETTINGS HEADER_TABLE_SIZE=100 MAX_CONCURRENT_STREAMS=3 MAX_FRAME_SIZE=1048576 MAX_HEADER_LIST_SIZE=65536\n"},
	}
	for _, tt := range tests {
		got := string(wire.NewPrinter().Append(nil, New(testNow, tt.cfg).AppendOutput(nil, 1<<20)))
		if got != tt.want {
			t.Errorf("%+v:\ngot\n%s\nwant\n%s", tt.cfg, got, tt.want)
		}
	}
}

func TestPreface(t *testing.T) {
	c := New(testNow, Config{Side: Server})
	p := []byte(wire.ClientPreface)
	for n := range p {
		if got := c.Recv(testNow, p[:n]); got != 0 || c.Failed() {
			t.Fatalf("took %d of %d bytes of the preface, failed %v", got, n, c.Failed())
		}
	}
	if got := c.Recv(testNow, p); got != len(p) || c.Failed() {
		t.Fatalf("took %d bytes of the preface, failed %v", got, c.Failed())
	}

	c = New(testNow, Config{Side: Server})
	if n := c.Recv(testNow, []byte("PRJ")); n != 3 || !c.Failed() {
		t.Fatalf("took %d bytes of something else, failed %v", n, c.Failed())
	}
	if n := c.Recv(testNow, p); n != len(p) {
		t.Fatalf("took %d bytes after the end", n)
	}
}

// Frames on closed streams, by how the stream came to be closed.
func TestClosedStreams(t *testing.T) {
	closers := map[string]func(*conversation){
		"ended": func(v *conversation) {
			v.recv("DATA stream=1 END_STREAM")
			v.SendData(v.stream(1), nil, nil, true)
		},
		"reset by peer": func(v *conversation) { v.recv("RST_STREAM stream=1 CANCEL") },
		"reset by us":   func(v *conversation) { v.Reset(v.now, v.stream(1), wire.Cancel) },
		"long ago": func(v *conversation) {
			v.recv("RST_STREAM stream=1 CANCEL")
			v.closedIDs = closedIDs{}
		},
	}
	tests := []struct {
		how, frame, want string
	}{
		{"ended", "DATA stream=1 \"x\"", "RST_STREAM stream=1 STREAM_CLOSED"},
		{"ended", "HEADERS stream=1 END_HEADERS END_STREAM\n  a: b", `GOAWAY last=1 STREAM_CLOSED "sent HEADERS on closed stream 1"`},
		{"ended", "WINDOW_UPDATE stream=1 +1\nRST_STREAM stream=1 CANCEL\nPRIORITY stream=1 dep=1 weight=1", ""},
		{"reset by peer", "DATA stream=1 \"x\"", "RST_STREAM stream=1 STREAM_CLOSED"},
		{"reset by peer", "DATA stream=1 \"x\"\nDATA stream=1 \"x\"", "RST_STREAM stream=1 STREAM_CLOSED"},
		{"reset by peer", "HEADERS stream=1 END_HEADERS END_STREAM\n  a: b", "RST_STREAM stream=1 STREAM_CLOSED"},
		{"reset by us", "DATA stream=1 \"x\"\nHEADERS stream=1 END_HEADERS END_STREAM\n  a: b\nRST_STREAM stream=1 CANCEL\nWINDOW_UPDATE stream=1 +0", ""},
		{"long ago", "DATA stream=1 \"x\"", "RST_STREAM stream=1 STREAM_CLOSED"},
		{"long ago", "HEADERS stream=1 END_HEADERS END_STREAM\n  a: b", `GOAWAY last=1 PROTOCOL_ERROR "sent HEADERS on stream 1 after stream 1"`},
	}
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			v := converse(t, Config{Side: Server})
			s := v.answer(1)
			closers[tt.how](v)
			v.Release(s)
			v.output()
			v.recv(tt.frame)
			v.wantOutput(tt.want)
		})
	}
}

func TestIdleStreams(t *testing.T) {
	for _, side := range []Side{Server, Client} {
		for _, frame := range []string{"DATA stream=7 \"x\"", "RST_STREAM stream=7 CANCEL", "WINDOW_UPDATE stream=7 +1",
			"DATA stream=2 \"x\"", "RST_STREAM stream=2 CANCEL", "WINDOW_UPDATE stream=2 +1", "HEADERS stream=2 END_HEADERS",
			"PRIORITY stream=7 dep=7 weight=1"} {
			v := converse(t, Config{Side: side})
			v.recv(frame)
			if !v.Conn.Failed() {
				t.Errorf("%v takes %s on an idle stream", side, frame)
			}
		}
		v := converse(t, Config{Side: side})
		v.recv("PRIORITY stream=7 dep=1 weight=1")
		v.wantEvents()
	}
}

func TestGracefulShutdown(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.GoAway(wire.NoError, "")
	v.request(3)
	v.GoAway(wire.NoError, "")
	v.wantOutput(`GOAWAY last=2147483647 NO_ERROR`, `GOAWAY last=3 NO_ERROR`)
	// Streams that are not counted are ignored; what they do to the connection is not.
	v.recv("HEADERS stream=5 END_HEADERS\n  :method: GET\n  :scheme: https\n  :path: /\n  x-new: y\nDATA stream=5 \"x\"\n" +
		"WINDOW_UPDATE stream=5 +1\nRST_STREAM stream=5 CANCEL")
	v.wantEvents()
	v.wantOutput()
	if v.owed != 1 {
		t.Fatalf("%d bytes of the connection's window are owed, want 1", v.owed)
	}
	v.recv("HEADERS stream=1 END_HEADERS END_STREAM\n  x-new: y")
	v.wantEvents(`Trailers 1 x-new="y" end`)
	v.SendData(s, nil, nil, true)
	v.Release(s)
	if v.OpenStreams() != 1 || !v.Draining() {
		t.Fatalf("%d streams are open, draining %v", v.OpenStreams(), v.Draining())
	}
	v.GoAway(wire.InternalError, "oops")
	v.wantOutput(`DATA stream=1 len=0 "" END_STREAM`, `GOAWAY last=3 INTERNAL_ERROR "oops"`)
}

func TestUnprocessed(t *testing.T) {
	v := converse(t, Config{Side: Client})
	for range 4 {
		v.Open(v.now, Pseudo{Method: "GET", Scheme: "https", Path: "/"}, nil, false)
	}
	v.recv("GOAWAY last=2147483647 NO_ERROR \"soon\"")
	v.wantEvents(`GoAway last=2147483647 NO_ERROR "soon"`)
	v.recv("GOAWAY last=3 NO_ERROR\nRST_STREAM stream=3 REFUSED_STREAM")
	v.wantEvents(`GoAway last=3 NO_ERROR ""`,
		"Reset 5 unprocessed peer: peer did not process the stream: GOAWAY came (REFUSED_STREAM, stream 5)",
		"Reset 7 unprocessed peer: peer did not process the stream: GOAWAY came (REFUSED_STREAM, stream 7)",
		"Reset 3 unprocessed peer: peer reset the stream (REFUSED_STREAM, stream 3)")
	if v.Slots() != 0 || v.OpenStreams() != 1 {
		t.Fatalf("%d slots, %d streams", v.Slots(), v.OpenStreams())
	}
}

// After the driver's own Reset no event of the stream comes any more, not even from the same batch.
func TestNoEventsAfterReset(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.recv("HEADERS stream=1 END_HEADERS" + getRequest + "DATA stream=1 \"x\"\nDATA stream=1 \"y\" END_STREAM\nPING 0102030405060708")
	ev := v.NextEvent()
	v.Reset(v.now, ev.Stream, wire.InternalError)
	v.wantEvents()
	if v.buffered != 0 {
		t.Fatalf("%d bytes count as buffered", v.buffered)
	}
}

func TestFailureEndsStreams(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.SendData(s, nil, make([]byte, 100000), true)
	v.recv("DATA stream=0 \"x\"")
	v.wantEvents("ConnFailed stream-zero local: peer sent DATA on stream 0 (PROTOCOL_ERROR)")
	if !s.Closed() || s.Pending() != 0 || !v.Conn.Failed() || v.Violations() != 1 {
		t.Fatalf("closed %v, pending %d, violations %d", s.Closed(), s.Pending(), v.Violations())
	}
	if got := v.output(); !strings.HasSuffix(got, "GOAWAY last=1 PROTOCOL_ERROR \"sent DATA on stream 0\"\n") {
		t.Fatalf("got\n%s", got)
	}
	v.SendData(s, nil, []byte("x"), true)
	v.Ping(v.now, [8]byte{})
	v.GoAway(wire.NoError, "")
	v.Reset(v.now, s, wire.Cancel)
	v.Consume(s, 5)
	v.Advance(v.now)
	v.Release(s)
	v.wantOutput()
	v.wantEvents()
}

func TestTrim(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.recv("DATA stream=1 \"x\"")
	v.Trim() // an event waits
	v.wantEvents(`Data 1 "x"`)
	v.SendData(s, nil, []byte("y"), false)
	v.Trim() // output waits
	v.wantOutput(`DATA stream=1 len=1 "y"`)
	v.Trim()
	if cap(v.out)+cap(v.events)+cap(v.encoded)+cap(v.fields) != 0 {
		t.Error("storage is kept")
	}
	v.answer(3)
}

// A connection that had many streams does not keep the room for them.
func TestTrimAfterManyStreams(t *testing.T) {
	v := converse(t, Config{Side: Server})
	const n = 100
	for i := range uint32(n) {
		v.answer(2*i + 1)
	}
	v.output()
	v.Trim()
	if v.mostStreams != n {
		t.Errorf("the table is for %d streams, want %d", v.mostStreams, n)
	}
	for i := range uint32(n - 1) {
		s := v.stream(2*i + 1)
		v.Reset(testNow, s, wire.Cancel)
		v.Release(s)
	}
	v.output()
	v.Trim()
	if v.mostStreams != 1 {
		t.Errorf("the table is for %d streams, want 1", v.mostStreams)
	}
	v.stream(2*n - 1)
	v.answer(2*n + 1)
}

func TestViolationTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Violations() {
		if seen[r.Name] || r.Name != strings.ToLower(r.Name) || strings.ContainsAny(r.Name, " _") {
			t.Errorf("the name %q is not unique kebab-case", r.Name)
		}
		seen[r.Name] = true
		if !strings.HasPrefix(r.Section, "RFC ") && !strings.HasPrefix(r.Section, "WebSocket streams 1") || !strings.Contains(r.Section, ", Section ") {
			t.Errorf("%s: %q is not a citation", r.Name, r.Section)
		}
		if r.Code == wire.NoError {
			t.Errorf("%s has no code", r.Name)
		}
	}
	if len(seen) < 50 {
		t.Errorf("the table has %d rules", len(seen))
	}
}
