package micro

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	_ "github.com/coder/websocket"
	"github.com/gobwas/ws"
	_ "github.com/gorilla/websocket"
	_ "github.com/lxzan/gws"

	"github.com/weftws/weft/internal/frame"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

var maskers = []struct {
	name string
	mask func(p []byte)
}{
	{"weft", func(p []byte) { frame.Mask(p, key, 0) }},
	{"gobwas", func(p []byte) { ws.Cipher(p, key, 0) }},
	{"gws", func(p []byte) { maskGWS(p, key[:]) }},
	{"coder", func(p []byte) { maskCoder(p, binary.LittleEndian.Uint32(key[:])) }},
	{"gorilla", func(p []byte) { maskGorilla(key, 0, p) }},
}

// They all do the same.
func TestMaskers(t *testing.T) {
	for n := range 300 {
		p := bytes.Repeat([]byte("abcdefghijklmnopq"), 20)[:n]
		want := bytes.Clone(p)
		frame.Mask(want, key, 0)
		for _, m := range maskers {
			got := bytes.Clone(p)
			if m.mask(got); !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes: %x, want %x", m.name, n, got, want)
			}
		}
	}
}

// BenchmarkMask also has what copying the same bytes costs: the memory's speed. weft's tells besides whether the bytes are ASCII.
func BenchmarkMask(b *testing.B) {
	for _, size := range []int{16, 125, 1 << 10, 64 << 10} {
		p, q := make([]byte, size), make([]byte, size)
		all := maskers
		all = append(all[:len(all):len(all)], struct {
			name string
			mask func(p []byte)
		}{"copy", func(p []byte) { copy(q, p) }})
		for _, m := range all {
			b.Run(fmt.Sprintf("size=%d/by=%s", size, m.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					m.mask(p)
				}
			})
		}
	}
}

var texts = []struct{ name, text string }{
	{"short", "Hello, world"},
	{"ascii", strings.Repeat("a", 1024)},
	{"json", strings.Repeat("{\"id\":12345,\"user\":\"j\u00fcrgen\",\"text\":\"caf\u00e9 \u2013 na\u00efve\"},", 16)},
	{"german", strings.Repeat("gr\u00fc\u00df dich ", 80)},
	{"chinese", strings.Repeat("\u4e2d\u6587", 170)},
	{"emoji", strings.Repeat("\U0001f600", 256)},
}

// BenchmarkUTF8 compares with unicode/utf8, which wants the text whole.
func BenchmarkUTF8(b *testing.B) {
	for _, t := range texts {
		p := []byte(t.text)
		b.Run("text="+t.name+"/by=weft", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				var u frame.UTF8
				if u.Check(p) >= 0 || !u.Complete() {
					b.Fatal("invalid")
				}
			}
		})
		b.Run("text="+t.name+"/by=utf8.Valid", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if !utf8.Valid(p) {
					b.Fatal("invalid")
				}
			}
		})
		b.Run("text="+t.name+"/by=weft-in-pieces-of-100", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				var u frame.UTF8
				for rest := p; len(rest) > 0; {
					n := min(100, len(rest))
					if u.Check(rest[:n]) >= 0 {
						b.Fatal("invalid")
					}
					rest = rest[n:]
				}
			}
		})
	}
}

// BenchmarkFrameHeader writes and reads the headers of masked frames of 125, 1000 and 100,000 bytes.
func BenchmarkFrameHeader(b *testing.B) {
	lengths := []int64{125, 1000, 100_000}
	b.Run("append/by=weft", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = buf[:0]
			for _, n := range lengths {
				buf = frame.AppendHeader(buf, frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: key, Length: n})
			}
		}
	})
	b.Run("append/by=gobwas", func(b *testing.B) {
		var buf bytes.Buffer
		for b.Loop() {
			buf.Reset()
			for _, n := range lengths {
				ws.WriteHeader(&buf, ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Mask: key, Length: n})
			}
		}
	})
	var in []byte
	for _, n := range lengths {
		in = frame.AppendHeader(in, frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: key, Length: n})
	}
	b.Run("parse/by=weft", func(b *testing.B) {
		for b.Loop() {
			for rest := in; len(rest) > 0; {
				_, n, fault := frame.ParseHeader(rest)
				if n == 0 || fault != frame.NoFault {
					b.Fatal(fault)
				}
				rest = rest[n:]
			}
		}
	})
	b.Run("parse/by=gobwas", func(b *testing.B) {
		r := bytes.NewReader(in)
		for b.Loop() {
			for r.Reset(in); r.Len() > 0; {
				if _, err := ws.ReadHeader(r); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
