package frame

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// RFC 6455, Sections 7.4.1 and 7.4.2, and the codes registered since.
func TestRFC6455Section7_4CloseCodes(t *testing.T) {
	valid := func(c CloseCode) bool {
		switch c {
		case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
			return true
		}
		return c/1000 == 3 || c/1000 == 4
	}
	for c := range CloseCode(65535) {
		if c.Valid() != valid(c) {
			t.Errorf("%d: Valid() = %v", c, c.Valid())
		}
		named := c >= 1000 && c <= 1015 && c != 1004
		if (c.Name() != "") != named {
			t.Errorf("%d: Name() = %q", c, c.Name())
		}
	}
	if got := ProtocolError.String(); got != "1002 (protocol error)" {
		t.Errorf("String() = %q", got)
	}
	if got := CloseCode(4000).String(); got != "4000" {
		t.Errorf("String() = %q", got)
	}
}

// RFC 6455, Sections 5.5.1, 7.1.5 and 7.1.6.
func TestRFC6455Section5_5_1ParseClose(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		code          CloseCode
		reason        string
		fault         CloseFault
	}{
		{"empty", "", NoStatus, "", NoCloseFault},
		{"one byte", "\x03", 0, "", CloseTooShort},
		{"a code alone", "\x03\xe8", 1000, "", NoCloseFault},
		{"a code and a reason", "\x0f\xa0gr\u00fc\u00df", 4000, "gr\u00fc\u00df", NoCloseFault},
		{"the longest reason", "\x03\xe9" + strings.Repeat("x", 123), 1001, strings.Repeat("x", 123), NoCloseFault},
		{"code 0", "\x00\x00", 0, "", CloseBadCode},
		{"999", "\x03\xe7", 999, "", CloseBadCode},
		{"1005", "\x03\xed", 1005, "", CloseBadCode},
		{"1006 with a bad reason", "\x03\xee\xff", 1006, "", CloseBadCode},
		{"5000", "\x13\x88", 5000, "", CloseBadCode},
		{"an invalid reason", "\x03\xe8a\xff", 1000, "", CloseBadReason},
		{"a reason that ends inside a character", "\x03\xe8\xe2\x82", 1000, "", CloseBadReason},
	} {
		code, reason, fault := ParseClose([]byte(tt.payload))
		if code != tt.code || string(reason) != tt.reason || fault != tt.fault {
			t.Errorf("%s: %v, %q, fault %d", tt.name, code, reason, fault)
		}
	}
}

func TestAppendCloseFitsAControlFrame(t *testing.T) {
	for _, tt := range []struct {
		name   string
		code   CloseCode
		reason string
		want   string
	}{
		{"no status", NoStatus, "dropped", ""},
		{"1006 is never sent", AbnormalClosure, "dropped", ""},
		{"1015 is never sent", TLSHandshake, "", ""},
		{"a code alone", NormalClosure, "", "\x03\xe8"},
		{"exactly full", NormalClosure, strings.Repeat("x", 123), "\x03\xe8" + strings.Repeat("x", 123)},
		{"one too many", NormalClosure, strings.Repeat("x", 124), "\x03\xe8" + strings.Repeat("x", 123)},
		{"cut before a character of two", NormalClosure, strings.Repeat("x", 122) + "\u00fcx", "\x03\xe8" + strings.Repeat("x", 122)},
		{"cut before a character of four", NormalClosure, strings.Repeat("x", 120) + "\U0001f600", "\x03\xe8" + strings.Repeat("x", 120)},
		{"cut after a character", NormalClosure, strings.Repeat("x", 121) + "\u00fcx", "\x03\xe8" + strings.Repeat("x", 121) + "\u00fc"},
		{"made valid", NormalClosure, "a\xffb", "\x03\xe8a\ufffdb"},
	} {
		if got := AppendClose([]byte("head"), tt.code, tt.reason); string(got) != "head"+tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got[4:], tt.want)
		}
	}
}

// FuzzCloseRoundTrip: what AppendClose writes is short enough, valid, and comes back.
func FuzzCloseRoundTrip(f *testing.F) {
	f.Add(uint16(1000), "bye")
	f.Add(uint16(4999), strings.Repeat("\u20ac", 60))
	f.Add(uint16(1005), "\xff")
	f.Fuzz(func(t *testing.T, c uint16, reason string) {
		p := AppendClose(nil, CloseCode(c), reason)
		if len(p) > MaxControlPayload {
			t.Fatalf("%d bytes", len(p))
		}
		code, got, fault := ParseClose(p)
		if fault != NoCloseFault {
			t.Fatalf("fault %d in % x", fault, p)
		}
		if !CloseCode(c).Valid() {
			if code != NoStatus {
				t.Fatalf("code %d went out as %d", c, code)
			}
			return
		}
		if code != CloseCode(c) || utf8.ValidString(reason) && !strings.HasPrefix(reason, string(got)) ||
			utf8.ValidString(reason) && len(reason) <= MaxCloseReason && !bytes.Equal(got, []byte(reason)) {
			t.Fatalf("%d %q came back as %d %q", c, reason, code, got)
		}
	})
}
