package proto

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// sent is one frame of a message as it goes out.
func sent(s *Sender, op frame.Opcode, p string, fin, compress bool) string {
	head, body, _ := s.Message(nil, op, []byte(p), fin, compress, key)
	return string(head) + string(body)
}

// "An endpoint MUST encapsulate the /data/ in a WebSocket frame", "the opcode (frame-opcode) of the first frame containing
// the data MUST be set to the appropriate value", "the FIN bit (frame-fin) of the last frame containing the data MUST be set
// to 1", "if the data is being sent by the client, the frame(s) MUST be masked". With the examples of Section 5.7.
func TestRFC6455Section6_1Sending(t *testing.T) {
	server, client := NewSender(Config{Side: frame.Server}), NewSender(Config{Side: frame.Client})
	for name, tt := range map[string]struct{ got, want string }{
		"text":               {sent(server, frame.Text, "Hello", true, false), "\x81\x05Hello"},
		"binary":             {sent(server, frame.Binary, "\xff", true, false), "\x82\x01\xff"},
		"empty":              {sent(server, frame.Text, "", true, false), "\x81\x00"},
		"no agreement":       {sent(server, frame.Text, "Hello", true, true), "\x81\x05Hello"},
		"masked text":        {sent(client, frame.Text, "Hello", true, false), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"},
		"masked and empty":   {sent(client, frame.Text, "", true, false), "\x81\x80\x37\xfa\x21\x3d"},
		"fragments":          {sent(server, frame.Text, "Hel", false, false) + sent(server, frame.Continuation, "", false, false) + sent(server, frame.Continuation, "lo", true, false), "\x01\x03Hel\x00\x00\x80\x02lo"},
		"256 bytes":          {sent(server, frame.Binary, strings.Repeat("x", 256), true, false), "\x82\x7e\x01\x00" + strings.Repeat("x", 256)},
		"64 KiB":             {sent(server, frame.Binary, strings.Repeat("x", 65536), true, false), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 65536)},
		"ping":               {string(server.AppendControl(nil, frame.Ping, []byte("Hello"), key)), "\x89\x05Hello"},
		"pong, masked":       {string(client.AppendControl(nil, frame.Pong, []byte("Hello"), key)), "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"},
		"an empty ping":      {string(server.AppendControl(nil, frame.Ping, nil, key)), "\x89\x00"},
		"close":              {string(NewSender(Config{Side: frame.Server}).AppendClose(nil, 1000, "bye", key)), "\x88\x05\x03\xe8bye"},
		"close, no status":   {string(NewSender(Config{Side: frame.Server}).AppendClose(nil, frame.NoStatus, "", key)), "\x88\x00"},
		"close, masked":      {string(NewSender(Config{Side: frame.Client}).AppendClose(nil, 1000, "", key)), "\x88\x82\x37\xfa\x21\x3d\x34\x12"},
		"close, long reason": {string(NewSender(Config{Side: frame.Server}).AppendClose(nil, 1000, strings.Repeat("\u20ac", 50), key)), "\x88\x7d\x03\xe8" + strings.Repeat("\u20ac", 41)},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: % x\nwant % x", name, tt.got, tt.want)
		}
	}
}

// RSV1 goes on the first frame of a compressed message and on nothing else.
func TestRFC7692Section6Sending(t *testing.T) {
	s := NewSender(Config{Side: frame.Server, Deflate: noTakeover})
	want := func(name, got, first string) {
		t.Helper()
		if !strings.HasPrefix(got, first) {
			t.Errorf("%s begins % x, want % x", name, got[:1], first)
		}
	}
	want("a compressed message", sent(s, frame.Text, "Hello", true, true), "\xc1")
	want("an uncompressed message", sent(s, frame.Text, "Hello", true, false), "\x81\x05Hello")
	want("the first fragment", sent(s, frame.Binary, "Hello", false, true), "\x42")
	want("a ping between", string(s.AppendControl(nil, frame.Ping, []byte("raw"), key)), "\x89\x03raw")
	want("the second fragment", sent(s, frame.Continuation, "Hello", false, false), "\x00")
	want("the last fragment", sent(s, frame.Continuation, "Hello", true, false), "\x80")
	want("the first of an uncompressed one", sent(s, frame.Text, "Hel", false, false), "\x01\x03Hel")
	want("its last, whatever compress says", sent(s, frame.Continuation, "lo", true, true), "\x80\x02lo")
}

// "The application MUST NOT send any more data frames after sending a Close frame." RFC 6455, Section 5.5.1.
func TestRFC6455Section5_5_1NothingAfterClose(t *testing.T) {
	s := NewSender(Config{Side: frame.Server})
	sent(s, frame.Text, "unfinished", false, false)
	if s.Closed() {
		t.Error("closed too early")
	}
	if got := s.AppendClose(nil, 1001, "", key); string(got) != "\x88\x02\x03\xe9" || !s.Closed() {
		t.Errorf("close: % x, Closed %v", got, s.Closed())
	}
	buf := []byte("queued")
	if head, body, newBuf := s.Message(buf, frame.Continuation, []byte("x"), true, false, key); len(head) != 0 || body != nil || string(newBuf) != "queued" {
		t.Errorf("a message after Close: %d bytes of header, body %q, buf %q", len(head), body, newBuf)
	}
	if got := s.AppendControl(buf, frame.Pong, nil, key); string(got) != "queued" {
		t.Errorf("a pong after Close: %q", got)
	}
	if got := s.AppendClose(buf, 1000, "", key); string(got) != "queued" {
		t.Errorf("a second Close: %q", got)
	}
}

func TestSenderPanicsOnMisuse(t *testing.T) {
	for name, misuse := range map[string]func(s *Sender){
		"a continuation of nothing":  func(s *Sender) { sent(s, frame.Continuation, "x", true, false) },
		"a message inside a message": func(s *Sender) { sent(s, frame.Text, "x", false, false); sent(s, frame.Text, "x", true, false) },
		"a ping as a message":        func(s *Sender) { sent(s, frame.Ping, "x", true, false) },
		"text as a control frame":    func(s *Sender) { s.AppendControl(nil, frame.Text, nil, key) },
		"close as a control frame":   func(s *Sender) { s.AppendControl(nil, frame.Close, nil, key) },
		"126 bytes of ping":          func(s *Sender) { s.AppendControl(nil, frame.Ping, make([]byte, 126), key) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse(NewSender(Config{Side: frame.Server}))
		}()
	}
}

// body is p itself where nothing has to be changed; p never changes; buf keeps what it holds.
func TestSenderBuffers(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg      Config
		compress bool
		zeroCopy bool
	}{
		"server":             {Config{Side: frame.Server}, false, true},
		"server, not agreed": {Config{Side: frame.Server}, true, true},
		"server, compressed": {Config{Side: frame.Server, Deflate: noTakeover}, true, false},
		"client":             {Config{Side: frame.Client}, false, false},
		"client, compressed": {Config{Side: frame.Client, Deflate: noTakeover}, true, false},
	} {
		s := NewSender(tt.cfg)
		p := []byte("a message")
		buf := append(make([]byte, 0, 1000), "queued"...)
		_, body, newBuf := s.Message(buf, frame.Text, p, true, tt.compress, key)
		if string(p) != "a message" {
			t.Errorf("%s: the message was changed to %q", name, p)
		}
		if zeroCopy := &body[0] == &p[0]; zeroCopy != tt.zeroCopy {
			t.Errorf("%s: body is p: %v", name, zeroCopy)
		}
		want := "queued"
		if !tt.zeroCopy {
			want += string(body)
		}
		if string(newBuf) != want || &newBuf[0] != &buf[0] {
			t.Errorf("%s: buf: %q, want %q in place", name, newBuf, want)
		}
	}
}

func TestSenderAllocs(t *testing.T) {
	p := bytes.Repeat([]byte(`{"x":1}`), 18)
	for _, cfg := range []Config{
		{Side: frame.Server}, {Side: frame.Client},
		{Side: frame.Server, Deflate: noTakeover}, {Side: frame.Client, Deflate: noTakeover},
	} {
		s := NewSender(cfg)
		buf := make([]byte, 0, 4096)
		run := func() {
			_, _, buf = s.Message(buf[:0], frame.Text, p, true, true, key)
			buf = s.AppendControl(buf[:0], frame.Ping, p[:10], key)
		}
		run() // makes the compressor
		if raceEnabled && cfg.Deflate != nil {
			continue // a sync.Pool drops at random under the race detector
		}
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%v, deflate %v: %v allocations", cfg.Side, cfg.Deflate != nil, n)
		}
	}
	s := NewSender(Config{Side: frame.Client})
	buf := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(10, func() {
		s.closed = false
		buf = s.AppendClose(buf[:0], 1000, "bye", key)
	}); n != 0 {
		t.Errorf("AppendClose: %v allocations", n)
	}
}

func BenchmarkSender(b *testing.B) {
	p := bytes.Repeat([]byte("x"), 125)
	for name, cfg := range map[string]Config{
		"server": {Side: frame.Server}, "client": {Side: frame.Client},
		"deflate": {Side: frame.Server, Deflate: &deflate.Params{ServerNoContextTakeover: true}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s := NewSender(cfg)
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				_, _, buf = s.Message(buf[:0], frame.Text, p, true, true, key)
			}
		})
	}
}
