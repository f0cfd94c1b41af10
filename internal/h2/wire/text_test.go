package wire

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Canonical text: it is printed as it was parsed.
var canonical = []string{
	"PREFACE\nSETTINGS ENABLE_PUSH=0 0x7=5\n",
	"SETTINGS ENABLE_CONNECT_PROTOCOL=0\n",
	"SETTINGS ACK\n",
	"SETTINGS stream=1\n",
	"SETTINGS MAX_FRAME_SIZE=16384 ACK\n",
	"DATA stream=1 len=5 \"hello\" END_STREAM\n",
	"DATA stream=1 len=0 \"\"\n",
	"DATA stream=0 len=3 \"a\\x00\\xff\" pad=0\n",
	"DATA stream=1 len=20000 \"x\" pad=255\n",
	"DATA stream=1 len=2 \"\\\" \" padding=00ff\n",
	"PRIORITY stream=3 dep=1 weight=256 EXCLUSIVE\n",
	"RST_STREAM stream=1 CANCEL\n",
	"RST_STREAM stream=1 0xff flags=0x2\n",
	"PUSH_PROMISE stream=1 promised=2 END_HEADERS pad=1\n  :method: GET\n",
	"PING 0102030405060708\n",
	"PING stream=1 0000000000000000 ACK\n",
	"GOAWAY last=0 PROTOCOL_ERROR \"ENABLE_CONNECT_PROTOCOL went from 1 to 0\"\n",
	"GOAWAY last=2147483647 NO_ERROR\n",
	"WINDOW_UPDATE stream=0 +65535\n",
	"WINDOW_UPDATE stream=5 +0\n",
	"FRAME type=0xf0 stream=0 flags=0x0 0a0b0c\n",
	"FRAME type=WS_OPEN stream=0 flags=0x0 0a0b0c\n",
	"FRAME type=WS_OPEN stream=0 flags=0x0 0200000001000000000000000100\n",
	"WS_OPEN id=3 nonce=0102030405060708\n",
	"WS_OPEN stream=3 id=4294967295 nonce=0102030405060708 flags=0x1\n  :method: CONNECT\n  a: \"\\x00\"\n  a:\n  \"\":\n",
	"WS_ACCEPT id=3 nonce=0102030405060708\n",
	"WS_ACCEPT stream=1 id=3 nonce=0102030405060708 version=2\n",
	"ALTSVC stream=0 \"https://example.com\" \"h3=\\\":443\\\"\"\n",
	"ALTSVC stream=1 \"\" \"clear\" flags=0x3\n",
	"ORIGIN\n",
	"ORIGIN stream=1 \"https://a\" \"\" \"https://b\" flags=0x8\n",
	"FRAME type=PING stream=0 flags=0x1 01\n",
	"FRAME type=DATA stream=1 flags=0x8 0561\n",
	"FRAME type=GOAWAY stream=0 flags=0x0 8000000000000000\n",
	"RAW 00000100008000000161\n",
	"HEADERS stream=1 END_HEADERS END_STREAM\n  :method: CONNECT\n  :protocol: websocket\n  x:\n  odd: \" a\"\n" +
		"  \"a b\": \"\\x00\"\n  \"a:b\": \"\\\"\"\n  long: \"y\"*5000\n",
	"HEADERS stream=1 dep=3 weight=1 pad=2\n  :method: GET\nCONTINUATION stream=1\nCONTINUATION stream=1 END_HEADERS\n  a: b\n",
	"HEADERS stream=1 END_HEADERS block=ff\nHEADERS stream=3 END_HEADERS block=82\n",
	"CONTINUATION stream=1 END_HEADERS flags=0x40\n",
}

func TestTextRoundTrip(t *testing.T) {
	for _, text := range canonical {
		b, err := NewParser().Append(nil, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		p := NewPrinter()
		if got := string(p.Append(nil, b)); got != text {
			t.Errorf("parsed and printed\n%sas\n%s(%x)", text, got, b)
		}
		if len(p.Rest()) > 0 {
			t.Errorf("%s: rest %x", text, p.Rest())
		}
	}
}

// The dynamic tables of both sides stay in step over all frames of a connection, however the bytes arrive.
func TestTextState(t *testing.T) {
	text := strings.Repeat("HEADERS stream=1 END_HEADERS\n  :method: CONNECT\n  x-custom: value\n", 3)
	b, err := NewParser().Append(nil, "PREFACE\n"+text)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("CONNECT")); n > 1 {
		t.Errorf("the third block says CONNECT again: %q", b)
	}
	p := NewPrinter()
	var got []byte
	for i := range b {
		got = p.Append(got, b[i:i+1])
	}
	if string(got) != "PREFACE\n"+text {
		t.Errorf("byte by byte:\n%s", got)
	}
}

func TestTextShorthand(t *testing.T) {
	tests := []struct{ text, want string }{
		{"# a comment\n\n   \nPING  0102030405060708\n", "PING 0102030405060708\n"},
		{"DATA END_STREAM \"hello\" stream=1", "DATA stream=1 len=5 \"hello\" END_STREAM\n"},
		{"DATA stream=1 len=3", "DATA stream=1 len=3 \"\\x00\\x00\\x00\"\n"},
		{"DATA stream=1 6869", "DATA stream=1 len=2 \"hi\"\n"},
		{"DATA stream=1 len=2 6869", "DATA stream=1 len=2 \"hi\"\n"},
		{"DATA stream=1 len=5 \"ab\"", "DATA stream=1 len=5 \"ababa\"\n"},
		{"DATA stream=1 \"ab\"*3", "DATA stream=1 len=6 \"ababab\"\n"},
		{"PRIORITY stream=3 dep=0", "PRIORITY stream=3 dep=0 weight=16\n"},
		{"FRAME type=0xf6 stream=1 \"abc\"", "FRAME type=WS_ACCEPT stream=1 flags=0x0 616263\n"},
		{"HEADERS stream=1 END_HEADERS\n  2 * a: b", "HEADERS stream=1 END_HEADERS\n  a: b\n  a: b\n"},
		{"HEADERS stream=1 END_HEADERS block=82\n  a: \"b\"*2", "HEADERS stream=1 END_HEADERS\n  :method: GET\n  a: bb\n"},
	}
	for _, tt := range tests {
		b, err := NewParser().Append(nil, tt.text)
		if got := string(NewPrinter().Append(nil, b)); err != nil || got != tt.want {
			t.Errorf("%s:\n%s%v, want\n%s", tt.text, got, err, tt.want)
		}
	}
}

func TestTextErrors(t *testing.T) {
	for _, text := range []string{
		"NONSENSE", "  a: b", "PREFACE 1", "RAW xyz", "RAW 123", "FRAME type=NONE", "FRAME stream=1",
		"DATA stream=x", "DATA stream=1 len=1 \"ab\"", "DATA stream=1 len=1 \"\"", "DATA stream=1 \"ab", "DATA stream=1 \"a\"b",
		"DATA stream=1 FOO", "DATA stream=1 END_HEADERS", "DATA stream=1 pad=256", "DATA stream=1 len=99 \"abc\"...",
		"SETTINGS FOO=1", "SETTINGS ENABLE_PUSH", "SETTINGS ENABLE_PUSH=4294967296", "PING 01", "PING",
		"GOAWAY last=0", "GOAWAY last=0 FOO", "RST_STREAM stream=1", "WINDOW_UPDATE stream=1", "WINDOW_UPDATE stream=1 +2147483648",
		"PRIORITY stream=1", "PRIORITY stream=1 dep=1 weight=0", "HEADERS stream=1\n  novalue", "HEADERS stream=1\n  a: \"b",
		"HEADERS stream=1\n  a: \"b\"c", "HEADERS stream=1 block=8", "PING 0102030405060708\n  a: b",
		"WS_OPEN id=1", "WS_OPEN id=4294967296 nonce=0102030405060708", "WS_ACCEPT id=1 nonce=01", "WS_ACCEPT id=1 nonce=0102030405060708\n  a: b",
		"WS_OPEN id=1 nonce=0102030405060708\n  a: \"b\"*65536", "ALTSVC \"a\"", "ALTSVC \"a\" \"b\" \"c\"", "ORIGIN a",
	} {
		prefix := []byte("prefix")
		if b, err := NewParser().Append(prefix, text); err == nil || !strings.HasPrefix(err.Error(), "line ") || string(b) != "prefix" {
			t.Errorf("%q: %q, %v, want an error and the prefix alone", text, b, err)
		}
	}
}

func TestPrinterMaxData(t *testing.T) {
	b := AppendData(nil, 1, []byte("0123456789"), true)
	b = AppendGoAway(b, 0, NoError, "0123456789")
	p := NewPrinter()
	p.MaxData = 4
	want := "DATA stream=1 len=10 \"0123\"... END_STREAM\nGOAWAY last=0 NO_ERROR \"0123\"...\n"
	if got := string(p.Append(nil, b)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A block with a table size update and a never-indexed field prints as plain fields.
// A block of 300 bytes that stands for 120,000 is not printed in full.
func TestPrinterMaxFields(t *testing.T) {
	b, err := NewParser().Append(nil, "HEADERS stream=1 END_HEADERS\n  :status: 200\n  300 * x: "+strings.Repeat("ab", 200)+"\n")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPrinter()
	p.MaxFields = 1000
	got := string(p.Append(nil, b))
	if !strings.HasSuffix(got, "\n# more fields\n") || len(got) > 1100 || strings.Count(got, "  x: ab") != 2 {
		t.Errorf("printed %d bytes: %q", len(got), got)
	}
	if _, err := NewParser().Append(nil, got); err != nil {
		t.Errorf("what is printed does not parse: %v", err)
	}
}

func TestPrinterDecodes(t *testing.T) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	enc.WriteField(hpack.HeaderField{Name: "cookie", Value: "secret", Sensitive: true})
	b := AppendHeaders(nil, 1, block.Bytes(), false, 3)
	want := "HEADERS stream=1\n" + strings.Repeat("CONTINUATION stream=1\n", (block.Len()-1)/3-1) +
		"CONTINUATION stream=1 END_HEADERS\n  cookie: secret\n"
	if got := string(NewPrinter().Append(nil, b)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Whatever arrives is printed, and what is printed without fields parses to the same bytes.
func FuzzPrinter(f *testing.F) {
	for _, text := range canonical {
		b, err := NewParser().Append(nil, text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := NewPrinter()
		text := string(p.Append(nil, b))
		whole := b[:len(b)-len(p.Rest())]

		split := NewPrinter()
		half := split.Append(nil, b[:len(b)/2])
		if got := string(split.Append(half, b[len(b)/2:])); got != text {
			t.Fatalf("%x in two halves:\n%sin one:\n%s", b, got, text)
		}
		again, err := NewParser().Append(nil, text)
		if err != nil {
			t.Fatalf("%x printed as\n%s%v", b, text, err)
		}
		if hasHeaders(whole) {
			// A raw block may mean something else behind blocks that were encoded afresh.
			if got := string(NewPrinter().Append(nil, again)); got != text && !strings.Contains(text, "block=") {
				t.Fatalf("%x printed as\n%sand then as\n%s", b, text, got)
			}
			return
		}
		if !bytes.Equal(again, whole) {
			t.Fatalf("%x printed as\n%sparsed as %x", whole, text, again)
		}
	})
}

// hasHeaders reports whether there is a field block, which may be encoded in more than one way.
func hasHeaders(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte(ClientPreface))
	for {
		h, ok := ParseFrameHeader(b)
		if !ok {
			return false
		}
		if h.Type == Headers || h.Type == Continuation || h.Type == PushPromise {
			return true
		}
		b = b[HeaderLen+int(h.Length):]
	}
}

// Whatever text parses prints as text that parses.
func FuzzParser(f *testing.F) {
	for _, text := range canonical {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "*=") && len(text) > 200 {
			t.Skip("lengths and repetitions add up to more memory than a fuzzing process has")
		}
		b, err := NewParser().Append(nil, text)
		if err != nil || len(b) > 1<<20 {
			return
		}
		printed := string(NewPrinter().Append(nil, b))
		if _, err := NewParser().Append(nil, printed); err != nil {
			t.Fatalf("%q printed as\n%s%v", text, printed, err)
		}
	})
}
