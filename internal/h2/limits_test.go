package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// TestFloods mounts the attacks that cost the peer little: each ends the connection, none before its budget is used up.
func TestFloods(t *testing.T) {
	const burst = 50
	tests := []struct {
		name  string
		frame string
		want  string
	}{
		{"ping", "PING 0102030405060708", "too-many-control-frames"},
		{"ping ack", "PING 0102030405060708 ACK", "too-many-control-frames"},
		{"settings", "SETTINGS", "too-many-control-frames"},
		{"settings of 32", "SETTINGS" + strings.Repeat(" MAX_HEADER_LIST_SIZE=1", 32), "too-many-control-frames"},
		{"priority", "PRIORITY stream=9 dep=1 weight=1", "too-many-control-frames"},
		{"window update", "WINDOW_UPDATE stream=0 +1", "too-many-control-frames"},
		{"stream window update", "WINDOW_UPDATE stream=1 +1", "too-many-control-frames"},
		{"empty data", "DATA stream=1 len=0", "too-many-control-frames"},
		{"padding", `DATA stream=1 "" pad=0`, "too-many-control-frames"},
		{"unknown", "FRAME type=0xf0 stream=0 flags=0x0 0a", "too-many-control-frames"},
		{"reset of nothing", "RST_STREAM stream=3 CANCEL", "too-many-control-frames"},
		{"data on nothing", `DATA stream=5 len=1 "x"`, "too-many-control-frames"},
		{"goaway", "GOAWAY last=0 NO_ERROR", "too-many-control-frames"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := converse(t, Config{Side: Server, ControlBurst: burst, ControlRate: 1})
			v.request(1)
			v.request(3)
			v.recv("RST_STREAM stream=3 CANCEL")
			v.wantEvents("Reset 3 peer: peer reset the stream (CANCEL, stream 3)")
			v.Reset(v.now, v.request(5), wire.Cancel)
			sent := 0
			for ; !v.Conn.Failed() && sent <= burst; sent++ {
				v.recv(tt.frame)
			}
			if !v.Conn.Failed() || sent < burst/3 {
				t.Fatalf("failed %v after %d frames", v.Conn.Failed(), sent)
			}
			wantFailure(v, tt.want)
		})
	}
}

// wantFailure takes events up to the end of the connection.
func wantFailure(v *conversation, name string) {
	v.Helper()
	for ev := v.NextEvent(); ev != nil; ev = v.NextEvent() {
		if ev.Kind == EventConnFailed {
			if ev.Violation.Name != name {
				v.Fatalf("the connection failed for %s, want %s", ev.Violation.Name, name)
			}
			if got := v.output(); !strings.Contains(got, "GOAWAY") || !strings.Contains(got, ev.Code.String()) {
				v.Fatalf("there is no GOAWAY in\n%s", got)
			}
			return
		}
	}
	v.Fatalf("the connection did not fail, want %s", name)
}

// WINDOW_UPDATE that answers our DATA costs nothing.
func TestEarnedWindowUpdates(t *testing.T) {
	v := converse(t, Config{Side: Server, ControlBurst: 5, ControlRate: 1})
	s := v.answer(1)
	for range 1000 {
		v.SendData(s, nil, make([]byte, 100), false)
		v.output()
		v.recv("WINDOW_UPDATE stream=1 +100\nWINDOW_UPDATE stream=0 +100")
	}
	v.SendData(s, nil, make([]byte, 16384), false)
	v.output()
	for range 16 {
		v.recv("WINDOW_UPDATE stream=1 +1024")
	}
	v.wantEvents()
}

func TestRapidReset(t *testing.T) {
	v := converse(t, Config{Side: Server, ResetBurst: 20, ResetRate: 10})
	id := uint32(1)
	attack := func() {
		v.recv(fmt.Sprintf("HEADERS stream=%d END_HEADERS%sRST_STREAM stream=%d CANCEL", id, getRequest, id))
		for ev := v.NextEvent(); ev != nil; ev = v.NextEvent() {
			if ev.Kind == EventHeaders {
				v.Release(ev.Stream)
			}
		}
		id += 2
	}
	for range 20 {
		attack()
	}
	v.now = v.now.Add(time.Second)
	for range 10 {
		attack()
	}
	if v.Conn.Failed() {
		t.Fatal("the budget is smaller than it should be")
	}
	v.recv(fmt.Sprintf("HEADERS stream=%d END_HEADERS%sRST_STREAM stream=%d CANCEL", id, getRequest, id))
	wantFailure(v, "too-many-resets")
}

// A slot is free only when the driver is done with the stream.
func TestSlotsOfResetStreams(t *testing.T) {
	v := converse(t, Config{Side: Server, MaxConcurrentStreams: 2})
	a := v.request(1)
	v.request(3)
	v.recv("RST_STREAM stream=1 CANCEL")
	v.wantEvents("Reset 1 peer: peer reset the stream (CANCEL, stream 1)")
	v.recv("HEADERS stream=5 END_HEADERS" + getRequest)
	v.wantEvents()
	v.wantOutput("RST_STREAM stream=5 REFUSED_STREAM")
	if v.OpenStreams() != 2 {
		t.Fatalf("%d streams are open", v.OpenStreams())
	}
	v.Release(a)
	v.request(7)
	v.recv("HEADERS stream=9 END_HEADERS" + getRequest)
	v.wantEvents("Reset 9 stream-limit local: peer opened more than 2 streams (REFUSED_STREAM, stream 9)")
}

// MadeYouReset: the peer makes us send the resets.
func TestMadeYouReset(t *testing.T) {
	for _, sin := range []string{
		"WINDOW_UPDATE stream=%d +0",
		"WINDOW_UPDATE stream=%d +2147483647",
		"PRIORITY stream=%[1]d dep=%[1]d weight=1",
		"HEADERS stream=%d END_HEADERS",
		`DATA stream=%d len=16384 "x"`,
	} {
		v := converse(t, Config{Side: Server, ResetBurst: 20, ResetRate: 1, InitialWindowSize: 10000})
		v.wantOutput()
		for i := range uint32(21) {
			if v.Conn.Failed() {
				t.Fatalf("%s: failed at %d", sin, i)
			}
			id := 2*i + 1
			v.recv(fmt.Sprintf("HEADERS stream=%d END_HEADERS%s", id, getRequest))
			v.recv(fmt.Sprintf(sin, id))
		}
		wantFailure(v, "too-many-resets")
	}
}

// A peer that causes replies and reads none.
func TestRepliesAreCapped(t *testing.T) {
	v := converse(t, Config{Side: Server, ControlBurst: 1 << 20})
	ping := wire.AppendPing(nil, false, [8]byte{1})
	v.Recv(v.now, bytes.Repeat(ping, maxReplies))
	if v.Conn.Failed() {
		t.Fatal("failed too early")
	}
	v.AppendOutput(nil, 1<<30)
	v.Recv(v.now, bytes.Repeat(ping, maxReplies))
	if v.Conn.Failed() {
		t.Fatal("replies that are written still count")
	}
	v.Recv(v.now, ping)
	wantFailure(v, "replies-not-read")
}

func TestTimeouts(t *testing.T) {
	server := func(t *testing.T) *conversation {
		v := converse(t, Config{Side: Server})
		v.Conn = New(testNow, Config{Side: Server, SettingsTimeout: time.Second, HeadersTimeout: 3 * time.Second,
			PingInterval: 30 * time.Second, PingTimeout: 5 * time.Second})
		v.printer, v.parser = wire.NewPrinter(), wire.NewParser()
		return v
	}
	pass := func(v *conversation, want time.Duration) {
		v.Helper()
		due := v.NextTimeout()
		if got := due.Sub(v.now); got != want {
			v.Fatalf("the next timeout is in %v, want %v", got, want)
		}
		v.Advance(due.Add(-1))
		v.wantEvents()
		v.now = due
		v.Advance(v.now)
	}
	t.Run("settings", func(t *testing.T) {
		v := server(t)
		pass(v, time.Second)
		v.wantEvents("ConnFailed settings-timeout local: peer did not send SETTINGS within 1s (SETTINGS_TIMEOUT)")
		if !v.NextTimeout().IsZero() {
			t.Fatal("a dead connection has a timeout")
		}
	})
	t.Run("settings ack", func(t *testing.T) {
		v := server(t)
		v.recv("PREFACE\nSETTINGS")
		v.wantEvents("Settings first")
		pass(v, time.Second)
		v.wantEvents("ConnFailed settings-timeout local: peer did not acknowledge SETTINGS within 1s (SETTINGS_TIMEOUT)")
	})
	t.Run("headers", func(t *testing.T) {
		v := server(t)
		v.recv("PREFACE\nSETTINGS\nSETTINGS ACK\nHEADERS stream=1" + getRequest)
		v.wantEvents("Settings first")
		v.now = v.now.Add(2 * time.Second)
		v.recv("CONTINUATION stream=1")
		pass(v, time.Second)
		v.wantEvents("ConnFailed headers-timeout local: peer did not end the field block of stream 1 within 3s (ENHANCE_YOUR_CALM)")
	})
	t.Run("keepalive", func(t *testing.T) {
		v := server(t)
		v.recv("PREFACE\nSETTINGS\nSETTINGS ACK")
		v.wantEvents("Settings first")
		v.output()
		pass(v, 30*time.Second)
		v.wantOutput("PING 776566746b610001")
		v.now = v.now.Add(time.Second)
		v.recv("PING 776566746b610001 ACK")
		v.wantEvents()
		pass(v, 30*time.Second)
		v.wantOutput("PING 776566746b610002")
		// Anything that comes shows that the peer is there.
		v.now = v.now.Add(4 * time.Second)
		v.recv("PRIORITY stream=1 dep=0 weight=1")
		pass(v, 5*time.Second)
		v.wantEvents("ConnFailed ping-timeout local: peer did not answer a PING within 5s (PROTOCOL_ERROR)")
	})
}

func TestPing(t *testing.T) {
	v := converse(t, Config{Side: Client})
	v.Ping(v.now, [8]byte{1})
	v.Ping(v.now.Add(time.Millisecond), [8]byte{2})
	v.wantOutput("PING 0100000000000000", "PING 0200000000000000")
	v.now = v.now.Add(20 * time.Millisecond)
	v.recv("PING 0200000000000000 ACK\nPING 0300000000000000 ACK\nPING 0100000000000000 ACK\nPING 0100000000000000 ACK\nPING 09ffffffffffffff")
	v.wantEvents("Pong 0200000000000000 19ms", "Pong 0100000000000000 20ms")
	v.wantOutput("PING 09ffffffffffffff ACK")
	for i := range maxPings + 1 {
		v.Ping(v.now, [8]byte{byte(i)})
	}
	if len(v.pings) != maxPings || v.pings[0].data[0] != 1 {
		t.Fatalf("%d pings are remembered, from %d on", len(v.pings), v.pings[0].data[0])
	}
}
