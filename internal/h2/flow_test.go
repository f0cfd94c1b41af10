package h2

import (
	"strings"
	"testing"
)

func TestStreamWindowIsExact(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 1000})
	v.request(1)
	v.request(3)
	v.recv(`DATA stream=1 len=1000 "x"`)
	v.wantEvents("Data 1 1000 bytes")
	v.recv(`DATA stream=3 len=1016 "x"`)
	v.wantEvents("Reset 3 stream-window-exceeded local: peer exceeded stream window by 16 bytes (FLOW_CONTROL_ERROR, stream 3)")
	v.wantOutput("RST_STREAM stream=3 FLOW_CONTROL_ERROR")

	// An empty frame needs no window.
	v.recv(`DATA stream=1 len=0 END_STREAM`)
	v.wantEvents(`Data 1 "" end`)
}

func TestConnWindowIsExact(t *testing.T) {
	v := converse(t, Config{Side: Server, ConnWindowSize: 65535, MaxBufferedBytes: 1})
	v.request(1)
	v.recv(strings.Repeat(`DATA stream=1 len=13107 "x"`+"\n", 5))
	v.wantEvents("Data 1 13107 bytes", "Data 1 13107 bytes", "Data 1 13107 bytes", "Data 1 13107 bytes", "Data 1 13107 bytes")
	v.wantOutput()
	v.recv(`DATA stream=1 "abc"`)
	v.wantEvents("ConnFailed connection-window-exceeded local: peer exceeded connection window by 3 bytes (FLOW_CONTROL_ERROR)")
	v.wantOutput(`GOAWAY last=1 FLOW_CONTROL_ERROR "exceeded connection window by 3 bytes"`)
}

// Before its ack the peer may use the default window; afterwards a smaller one of ours applies and may be negative.
func TestSmallerWindowAfterAck(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 10})
	v.Conn = New(testNow, Config{Side: Server, InitialWindowSize: 10})
	v.recv("PREFACE\nSETTINGS")
	v.wantEvents("Settings first")
	v.request(1)
	v.recv(`DATA stream=1 len=100 "x"`)
	v.wantEvents("Data 1 100 bytes")
	v.recv("SETTINGS ACK")
	if w := v.stream(1).recvWindow; w != -90 {
		t.Fatalf("the window is %d, want -90", w)
	}
	v.recv(`DATA stream=1 len=0 END_STREAM`)
	v.wantEvents(`Data 1 "" end`)
}

func TestCredit(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 1000, ConnWindowSize: 65535})
	s := v.request(1)
	v.recv(`DATA stream=1 len=1000 "x"`)
	v.wantEvents("Data 1 1000 bytes")
	v.Consume(s, 499)
	v.wantOutput()
	v.Consume(s, 1)
	v.wantOutput("WINDOW_UPDATE stream=1 +500")
	v.Consume(s, 1<<20) // more than was received
	v.wantOutput("WINDOW_UPDATE stream=1 +500")
	v.Consume(s, 1)
	v.wantOutput()
	if s.recvWindow != 1000 || v.buffered != 0 {
		t.Fatalf("window %d, buffered %d", s.recvWindow, v.buffered)
	}
}

func TestPaddingIsCreditedAtOnce(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 300})
	v.request(1)
	v.recv(`DATA stream=1 "a" pad=199`)
	v.wantEvents(`Data 1 "a"`)
	v.wantOutput("WINDOW_UPDATE stream=1 +200")
}

func TestAutoConsume(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 1000})
	s := v.request(1)
	v.AutoConsume(s, true)
	v.recv(`DATA stream=1 len=600 "x"`)
	v.wantOutput("WINDOW_UPDATE stream=1 +600")
	if v.buffered != 0 || s.unconsumed != 0 {
		t.Fatalf("buffered %d, unconsumed %d", v.buffered, s.unconsumed)
	}
}

// The connection's credit is given on receipt, but not while too much waits to be consumed.
func TestConnCreditUnderCap(t *testing.T) {
	v := converse(t, Config{Side: Server, InitialWindowSize: 1 << 20, ConnWindowSize: 65535, MaxBufferedBytes: 40000})
	s := v.request(1)
	const third = `DATA stream=1 len=16000 "x"` + "\n"
	v.recv(third + third)
	v.wantOutput() // under half a window
	v.recv(third)
	v.wantOutput() // 48000 bytes wait
	v.Consume(s, 8000)
	v.wantOutput()
	v.Consume(s, 1)
	v.wantOutput("WINDOW_UPDATE stream=0 +48000")

	// A stream that is reset gives its share back.
	v.recv(third + third + third)
	v.wantOutput()
	v.Reset(v.now, s, 8)
	v.wantOutput("WINDOW_UPDATE stream=0 +48000", "RST_STREAM stream=1 CANCEL")
	if v.buffered != 0 {
		t.Fatalf("%d bytes are still counted as buffered", v.buffered)
	}
	// DATA that was under way is ignored, and credited.
	v.recv(third + third + third)
	v.wantOutput("WINDOW_UPDATE stream=0 +48000")
	v.Consume(s, 1000)
	v.wantOutput()
}

func TestUnconsumedAfterTheEnd(t *testing.T) {
	v := converse(t, Config{Side: Server, ConnWindowSize: 65535, MaxBufferedBytes: 1})
	s := v.answer(1)
	v.recv(`DATA stream=1 len=16000 END_STREAM "x"`)
	v.SendData(s, nil, nil, true)
	if !s.Closed() || v.buffered != 16000 {
		t.Fatalf("closed %v, buffered %d", s.Closed(), v.buffered)
	}
	v.Consume(s, 6000)
	v.Release(s)
	if v.buffered != 0 {
		t.Fatalf("%d bytes are still counted as buffered", v.buffered)
	}
	v.Consume(s, 10000)
	if v.buffered != 0 {
		t.Fatalf("bytes were counted twice: %d", v.buffered)
	}
}

func TestInitialWindowChange(t *testing.T) {
	v := converse(t, Config{Side: Server})
	s := v.answer(1)
	v.recv("SETTINGS INITIAL_WINDOW_SIZE=10")
	v.SendData(s, nil, []byte("0123456789abcdef"), false)
	v.wantOutput("SETTINGS ACK", `DATA stream=1 len=10 "0123456789"`)
	v.recv("SETTINGS INITIAL_WINDOW_SIZE=5")
	if s.sendWindow != -5 {
		t.Fatalf("the window is %d, want -5", s.sendWindow)
	}
	v.recv("WINDOW_UPDATE stream=1 +5")
	v.wantOutput("SETTINGS ACK")
	v.recv("WINDOW_UPDATE stream=1 +2")
	v.wantOutput(`DATA stream=1 len=2 "ab"`)
	v.recv("SETTINGS INITIAL_WINDOW_SIZE=1 INITIAL_WINDOW_SIZE=100")
	v.wantOutput("SETTINGS ACK", `DATA stream=1 len=4 "cdef"`)
	v.recv("WINDOW_UPDATE stream=1 +2147483500\nSETTINGS INITIAL_WINDOW_SIZE=2147483647")
	v.wantOutput(`GOAWAY last=1 FLOW_CONTROL_ERROR "raised a stream window above 2^31-1 by INITIAL_WINDOW_SIZE = 2147483647"`)
}

func TestWindowOverflow(t *testing.T) {
	v := converse(t, Config{Side: Server})
	v.request(1)
	v.recv("WINDOW_UPDATE stream=1 +2147483647")
	v.wantEvents("Reset 1 stream-window-overflow local: peer raised stream window 65535 bytes above 2^31-1 (FLOW_CONTROL_ERROR, stream 1)")
	v.recv("WINDOW_UPDATE stream=0 +2147418112")
	v.wantEvents()
	v.recv("WINDOW_UPDATE stream=0 +1")
	v.wantEvents("ConnFailed connection-window-overflow local: peer raised connection window 1 bytes above 2^31-1 (FLOW_CONTROL_ERROR)")
}
