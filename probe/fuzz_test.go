package probe

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/fuzzing"
	"github.com/weftws/weft/internal/h2/wire"
)

// Whatever a server says, on every connection and in whatever pieces: a verdict on each rung, with a reason, and evidence that does a
// terminal no harm.
func FuzzRun(f *testing.F) {
	for _, text := range []string{
		"SETTINGS ENABLE_CONNECT_PROTOCOL=1\nSETTINGS ACK\nHEADERS stream=1 END_HEADERS\n  :status: 200\nDATA stream=1 \"\\x8a\\x04weft\\x88\\x00\" END_STREAM",
		"SETTINGS\nPING 0102030405060708\nHEADERS stream=1 END_HEADERS\n  :status: 501\n  server: a\n  alt-svc: \"h3=\\\":443\\\"\"\nGOAWAY last=1 NO_ERROR",
		"SETTINGS ENABLE_CONNECT_PROTOCOL=0\nRST_STREAM stream=1 PROTOCOL_ERROR\nALTSVC stream=0 \"https://a\" \"h3=\\\":1\\\"\"\nWS_ACCEPT id=1 nonce=0000000000000000",
		"SETTINGS ENABLE_CONNECT_PROTOCOL=2\nHEADERS stream=1\n  :status: 103\nCONTINUATION stream=1 END_HEADERS\n  a: \"b\\r\\n\"*100",
	} {
		b, err := wire.NewParser().Append(nil, text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0))
		f.Add(b, uint8(3))
	}
	for _, text := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n\x8a\x04weft",
		"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 404 Not Found\r\nServer: a\x1b[31m\r\nAlt-Svc: h3=\":443\"\r\n\r\nno", "SSH-2.0-x\r\n", "",
	} {
		f.Add([]byte(text), uint8(0))
		f.Add([]byte(text), uint8(5))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		r, err := Run(context.Background(), "ws://a.test/chat", Options{
			Thorough: true,
			NetDial: func(context.Context, string, string) (net.Conn, error) {
				return &fuzzing.Conn{In: in, Step: int(step)}, nil
			},
		})
		if err != nil || len(r.Rungs) != len(rungs) || r.Advice == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, result := range r.Rungs {
			if result.Verdict == "" || result.Reason == "" || len(result.Evidence) > maxLines+2 {
				t.Errorf("%x: %+v", in, result)
			}
			for _, line := range append(result.Evidence, result.Reason, r.Server, r.Advice) {
				if strings.ContainsFunc(line, unicode.IsControl) {
					t.Errorf("%x: %q", in, line)
				}
			}
		}
	})
}

// A field is read from the evidence as it came on the wire.
func FuzzField(f *testing.F) {
	f.Add("server", "a b")
	f.Add("x-a", " \"quoted\": \\ *3 ")
	f.Add(":x:", strings.Repeat("z", 300))
	f.Add("\x00:", "\xff\r\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		if name == "" || len(name)+len(value) > maxHeaderBytes {
			return
		}
		printer := wire.NewPrinter()
		printer.MaxData, printer.MaxFields = 64, 16<<10
		b, err := wire.NewParser().Append(nil, "HEADERS stream=1 END_HEADERS\n"+fmt.Sprintf("  %q: %q\n", name, value))
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(printer.Append(nil, b)), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("%q: printed as %q", name, lines)
		}
		gotName, gotValue, ok := parseField(lines[1])
		if !ok || gotName != name || gotValue != value {
			t.Errorf("%q: %q is printed as %q and read as %q: %q, %v", name, value, lines[1], gotName, gotValue, ok)
		}
	})
}

// A conversation over WebSocket frames goes the same in whatever pieces they come.
func FuzzTalk(f *testing.F) {
	f.Add([]byte("\x81\x05Hello\x8a\x04weft\x88\x00"), uint8(2))
	f.Add([]byte("\x81\x85abcd"), uint8(1))
	f.Add([]byte("\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole, pieces := &talk{}, &talk{}
		whole.take(in)
		for rest := in; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			pieces.take(rest[:n])
			rest = rest[n:]
		}
		if whole.ponged != pieces.ponged || whole.closed != pieces.closed || whole.fault != pieces.fault {
			t.Errorf("%x in pieces of %d: %+v, at once %+v", in, step+1, pieces, whole)
		}
		if len(pieces.in) > maxBody+frame.MaxHeaderLen && whole.fault == "" && !whole.closed {
			t.Errorf("%d bytes are kept", len(pieces.in))
		}
	})
}
