package frame

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Every impossible byte fails where it stands, whatever the pieces. The sequences are those of RFC 3629, Section 4, at
// the edges of its ranges.
func TestUTF8FailsAtTheFirstImpossibleByte(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		bad        int // -1: none
		complete   bool
	}{
		{"empty", "", -1, true},
		{"ASCII", "Hello", -1, true},
		{"two bytes", "\u00b5", -1, true},
		{"first and last of each length", "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff", -1, true},
		{"cut off after one of two", "ab\xc2", -1, false},
		{"cut off after two of three", "ab\xe2\x82", -1, false},
		{"cut off after three of four", "ab\xf0\x9d\x92", -1, false},
		{"a continuation byte alone", "a\x80b", 1, true},
		{"the last continuation byte alone", "a\xbfb", 1, true},
		{"overlong of two, c0", "a\xc0\x80", 1, true},
		{"overlong of two, c1", "a\xc1\xbf", 1, true},
		{"overlong of three", "a\xe0\x9f\x80", 2, true},
		{"overlong of four", "a\xf0\x8f\xbf\xbf", 2, true},
		{"the first surrogate", "a\xed\xa0\x80", 2, true},
		{"the last surrogate", "a\xed\xbf\xbf", 2, true},
		{"the first above U+10FFFF", "a\xf4\x90\x80\x80", 2, true},
		{"f5", "a\xf5\x80\x80\x80", 1, true},
		{"ff", "a\xff", 1, true},
		{"ASCII in place of the second byte", "\xc2a", 1, true},
		{"ASCII in place of the third byte", "\xe2\x82a", 2, true},
		{"ASCII in place of the fourth byte", "\xf0\x9d\x92a", 3, true},
		{"a lead in place of a continuation", "\xe2\xe2\x82\xac", 1, true},
		{"after a long valid text", strings.Repeat("gr\u00fc\u00df dich ", 20) + "\xed\xa0", 241, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.text)+1; size++ {
				var u UTF8
				bad := -1
				for at := 0; at < len(tt.text) && bad < 0; at += size {
					piece := tt.text[at:min(at+size, len(tt.text))]
					if bad = u.Check([]byte(piece)); bad >= 0 {
						bad += at
					}
				}
				if bad != tt.bad {
					t.Fatalf("in pieces of %d: bad = %d, want %d", size, bad, tt.bad)
				}
				if bad < 0 && u.Complete() != tt.complete {
					t.Fatalf("in pieces of %d: Complete() = %v", size, u.Complete())
				}
				u.Reset()
				if u.Check([]byte("ok")) != -1 || !u.Complete() {
					t.Fatal("unusable after Reset")
				}
			}
		})
	}
}

// FuzzUTF8 compares with unicode/utf8: the same verdict on the whole; up to the first bad byte, and not with it, the text
// can be completed; the same answer in two pieces.
func FuzzUTF8(f *testing.F) {
	f.Add([]byte("gr\u00fc\u00df \U0001f600 \xed\xa0\x80"), uint(3))
	f.Add([]byte("\xf4\x8f\xbf\xbf\xf4\x90"), uint(5))
	f.Add([]byte("\xe2\x82"), uint(1))
	f.Fuzz(func(t *testing.T, p []byte, cut uint) {
		var u UTF8
		bad := u.Check(p)
		if want := utf8.Valid(p); (bad < 0 && u.Complete()) != want {
			t.Fatalf("bad = %d, complete = %v; utf8.Valid = %v", bad, u.Complete(), want)
		}
		if bad >= 0 {
			if !completable(p[:bad]) {
				t.Fatalf("byte %d is said to be the first bad one, but what is before it is bad too", bad)
			}
			if completable(p[:bad+1]) {
				t.Fatalf("byte %d is said to be bad, but the text can be completed after it", bad)
			}
		} else if !completable(p) {
			t.Fatal("passed a text that cannot be completed")
		}
		var v UTF8
		c := int(cut % uint(len(p)+1))
		got := v.Check(p[:c])
		if got < 0 {
			if got = v.Check(p[c:]); got >= 0 {
				got += c
			}
		}
		if got != bad || bad < 0 && v.Complete() != u.Complete() {
			t.Fatalf("cut at %d: bad = %d, at once %d", c, got, bad)
		}
	})
}

// completable reports whether some bytes after p make it valid UTF-8, by trying.
func completable(p []byte) bool {
	for _, first := range []string{"", "\x80", "\x90", "\xa0", "\xbf"} {
		for _, more := range []string{"", "\x80", "\x80\x80"} {
			if utf8.Valid([]byte(string(p) + first + more)) {
				return true
			}
		}
	}
	return false
}

func BenchmarkUTF8(b *testing.B) {
	for name, text := range map[string]string{
		"ascii": strings.Repeat("a", 1024), "german": strings.Repeat("gr\u00fc\u00df dich ", 80), "chinese": strings.Repeat("\u4e2d\u6587", 170),
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(text)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				var u UTF8
				if u.Check(p) >= 0 {
					b.Fatal("invalid")
				}
			}
		})
	}
}
