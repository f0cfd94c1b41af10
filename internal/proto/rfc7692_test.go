package proto

import (
	"strings"
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// A message whose first frame has the "Per-Message Compressed" bit is compressed, one whose first frame has not is not,
// with the extension agreed. "PMCEs do not change the opcode field. The opcode of the first frame of a compressed message
// indicates the opcode of the original message."
func TestRFC7692Section6Framing(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	for name, tt := range map[string]struct {
		frames []fr
		want   []string
	}{
		"compressed text":     {[]fr{text(hello).rsv1()}, []string{`message text "Hello"`}},
		"compressed binary":   {[]fr{bin(hello).rsv1()}, []string{`message binary "Hello"`}},
		"uncompressed":        {[]fr{text("Hello")}, []string{`message text "Hello"`}},
		"uncompressed parts":  {[]fr{text("Hel").more(), cont("lo")}, []string{`message text "Hello"`}},
		"one after the other": {[]fr{text(hello).rsv1(), text("Hello"), bin(hello).rsv1()}, []string{`message text "Hello"`, `message text "Hello"`, `message binary "Hello"`}},
		// Control frames between the fragments of a compressed message are as ever.
		"control frames between": {[]fr{text(hello[:3]).rsv1().more(), ping("raw"), cont(hello[3:])}, []string{`ping "raw"`, `message text "Hello"`}},
		// "The concatenation of the output data corresponding to the application data portion of frames of a compressed text
		// message is not required to be valid UTF-8."
		"frames that are no UTF-8": {[]fr{text(hello[:1]).rsv1().more(), cont(hello[1:4]).more(), cont("").more(), cont(hello[4:])}, []string{`message text "Hello"`}},
		"closed inside":            {[]fr{text(hello[:3]).rsv1().more(), closing("\x03\xe8")}, []string{`close 1000 ""`}},
		"text that comes in the middle of the next": {[]fr{text(hello).rsv1(), text("\u00fc"), text(hello).rsv1().more(), cont("")},
			[]string{`message text "Hello"`, `message text "ü"`, `message text "Hello"`}},
	} {
		t.Run(name, func(t *testing.T) {
			bothSides(t, func(t *testing.T, cfg Config, peer frame.Side) {
				cfg.Deflate, cfg.MaxMessageBytes = takeover, 1000
				wantEvents(t, checkLaw(t, cfg, wire(peer, tt.frames...)), tt.want...)
			})
		})
	}
}

// The examples of Sections 7.2.3.1 to 7.2.3.6, received.
func TestRFC7692Section7_2_3Examples(t *testing.T) {
	for name, in := range map[string]string{
		"7.2.3.1, one frame":                "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
		"7.2.3.1, two fragments":            "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
		"7.2.3.3, a block not compressed":   "\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
		"7.2.3.4, a block with BFINAL":      "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"7.2.3.5, two blocks":               "\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		"7.2.3.6, an empty fragment at end": "\x41\x0b\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x80\x01\x00",
	} {
		t.Run(name, func(t *testing.T) {
			wantEvents(t, checkLaw(t, Config{Side: frame.Client, Deflate: takeover}, []byte(in)), `message text "Hello"`)
		})
	}
	t.Run("7.2.3.2, a shared window", func(t *testing.T) {
		in := []byte("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00")
		wantEvents(t, checkLaw(t, Config{Side: frame.Client, Deflate: takeover}, in), `message text "Hello"`, `message text "Hello"`)
		wantEvents(t, checkLaw(t, Config{Side: frame.Client, Deflate: noTakeover}, in), `message text "Hello"`, "failed corrupt-deflate: ...")
	})
}

// Each direction has parameters of its own: "server_no_context_takeover" speaks of what the server sends.
func TestRFC7692Section7_1Directions(t *testing.T) {
	params := &deflate.Params{ServerNoContextTakeover: true, ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	twice := []fr{text("\xf2\x48\xcd\xc9\xc9\x07\x00").rsv1(), text("\xf2\x00\x11\x00\x00").rsv1()}
	wantEvents(t, checkLaw(t, Config{Side: frame.Server, Deflate: params}, wire(frame.Client, twice...)), `message text "Hello"`, `message text "Hello"`)
	wantEvents(t, checkLaw(t, Config{Side: frame.Client, Deflate: params}, wire(frame.Server, twice...)), `message text "Hello"`, "failed corrupt-deflate: ...")

	for _, side := range []frame.Side{frame.Client, frame.Server} {
		s := NewSender(Config{Side: side, Deflate: params})
		message := []byte("a message that is long enough to be found again")
		_, first, _ := s.Message(nil, frame.Text, message, true, true, [4]byte{})
		n := len(first)
		_, second, _ := s.Message(nil, frame.Text, message, true, true, [4]byte{})
		if shorter := len(second) < n/2; shorter != (side == frame.Client) {
			t.Errorf("%v: the same message took %d bytes, then %d", side, n, len(second))
		}
	}
}

// RFC 7692, Section 7.2.3.6: an empty message is one octet 00, in one frame or at the end of several.
func TestRFC7692Section7_2_3_6EmptyMessage(t *testing.T) {
	for _, params := range []*deflate.Params{takeover, noTakeover} {
		s := NewSender(Config{Side: frame.Server, Deflate: params})
		head, body, _ := s.Message(nil, frame.Text, nil, true, true, [4]byte{})
		if got := string(head) + string(body); got != "\xc1\x01\x00" {
			t.Errorf("an empty message: % x", got)
		}
		var in []byte
		head, body, _ = s.Message(nil, frame.Text, []byte("Hello"), false, true, [4]byte{})
		in = append(append(in, head...), body...)
		head, body, _ = s.Message(nil, frame.Continuation, nil, true, false, [4]byte{})
		if got := string(head) + string(body); got != "\x80\x01\x00" {
			t.Errorf("an empty last fragment: % x", got)
		}
		in = append(append(in, head...), body...)
		wantEvents(t, checkLaw(t, Config{Side: frame.Client, Deflate: params}, in), `message text "Hello"`)
	}
}

// A message that inflates to far more than expected outgrows the buffer that was asked for; both are given back.
func TestInflatingOutgrowsItsBuffer(t *testing.T) {
	message := strings.Repeat("x", 100_000)
	in := []byte(sent(NewSender(Config{Side: frame.Client, Deflate: noTakeover}), frame.Text, message, true, true))
	l := ledger{t: t, out: map[*byte]bool{}}
	r := NewReceiver(Config{Side: frame.Server, Deflate: noTakeover, Alloc: l.alloc, Free: l.free})
	r.Whole = true
	ev, _ := r.Recv(in)
	if ev.Kind != Message || string(ev.Payload) != message {
		t.Fatalf("%v of %d bytes: %s", ev.Kind, len(ev.Payload), ev.Detail)
	}
	if r.Recv(nil); len(l.out) != 0 || l.grown != 1 {
		t.Errorf("%d buffers are out, %d grown ones came back", len(l.out), l.grown)
	}
	// Without Alloc and Free the garbage collector does it.
	in = []byte(sent(NewSender(Config{Side: frame.Client, Deflate: noTakeover}), frame.Text, message, true, true))
	r = NewReceiver(Config{Side: frame.Server, Deflate: noTakeover})
	if ev, _ := r.Recv(in); ev.Kind != Chunk || !ev.Last || string(ev.Payload) != message {
		t.Fatalf("%v of %d bytes: %s", ev.Kind, len(ev.Payload), ev.Detail)
	}
	r.Close()
}
