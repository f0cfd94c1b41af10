package frame

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// "transformed-octet-i = original-octet-i XOR masking-key-octet-j", "j = i MOD 4". RFC 6455, Section 5.3.
func TestRFC6455Section5_3Masking(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	rnd := rand.New(rand.NewPCG(1, 2))
	for length := range 300 {
		p := make([]byte, length)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		for pos := range 8 {
			got := bytes.Clone(p)
			Mask(got, key, pos)
			want := naiveMask(p, key, pos)
			if !bytes.Equal(got, want) {
				t.Fatalf("length %d from position %d: % x, want % x", length, pos, got, want)
			}
			same, to := bytes.Clone(p), bytes.Repeat([]byte{0xee}, length+20)
			MaskTo(to[10:10+length], p, key, pos)
			if !bytes.Equal(to[10:10+length], want) || !bytes.Equal(p, same) {
				t.Fatalf("MaskTo, length %d from position %d: % x, want % x", length, pos, to[10:10+length], want)
			}
			if around := append(bytes.Clone(to[:10]), to[10+length:]...); !bytes.Equal(around, bytes.Repeat([]byte{0xee}, 20)) {
				t.Fatalf("MaskTo, length %d: around it % x", length, around)
			}
		}
		masked := AppendMasked([]byte("before"), p, key)
		if want := append([]byte("before"), naiveMask(p, key, 0)...); !bytes.Equal(masked, want) {
			t.Fatalf("AppendMasked of %d bytes: % x, want % x", length, masked, want)
		}
	}
}

func TestMaskReportsASCII(t *testing.T) {
	key := [4]byte{0x80, 0xff, 0x01, 0x7f}
	for _, length := range []int{0, 1, 3, 4, 7, 8, 9, 63, 64, 65, 127, 128, 200} {
		text := bytes.Repeat([]byte("a"), length)
		masked := naiveMask(text, key, 0)
		if !Mask(bytes.Clone(masked), key, 0) || !MaskTo(make([]byte, length), masked, key, 0) {
			t.Errorf("%d ASCII bytes: not reported", length)
		}
		for i := range length {
			p := bytes.Clone(masked)
			p[i] ^= 0x80
			if MaskTo(make([]byte, length), p, key, 0) || Mask(p, key, 0) {
				t.Errorf("%d bytes with byte %d not ASCII: reported as ASCII", length, i)
			}
		}
	}
}

// FuzzMask: the same as the definition, at once and in two pieces; twice is nothing.
func FuzzMask(f *testing.F) {
	f.Add([]byte("Hello, masked world"), uint32(0x37fa213d), uint(3), uint(7))
	f.Add(bytes.Repeat([]byte{0xff, 0}, 100), uint32(1), uint(0), uint(65))
	f.Fuzz(func(t *testing.T, p []byte, k uint32, pos, cut uint) {
		key := [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)}
		at := int(pos % (1 << 30))
		want := naiveMask(p, key, at)
		got := bytes.Clone(p)
		ascii := Mask(got, key, at)
		if !bytes.Equal(got, want) {
			t.Fatalf("% x, want % x", got, want)
		}
		if want := !bytes.ContainsFunc(got, func(r rune) bool { return r >= 0x80 }); ascii != want {
			t.Fatalf("ascii = %v, want %v", ascii, want)
		}
		Mask(got, key, at)
		if !bytes.Equal(got, p) {
			t.Fatal("masking twice changed the data")
		}
		checkBlocks(t, p, uint64(k)<<32|uint64(k))
		c := int(cut % uint(len(p)+1))
		Mask(got[:c], key, at)
		Mask(got[c:], key, at+c)
		if !bytes.Equal(got, want) {
			t.Fatalf("in two pieces, cut at %d: % x, want % x", c, got, want)
		}
	})
}

// checkBlocks holds maskBlocks, which a processor may have its own of, to maskWords.
func checkBlocks(t *testing.T, p []byte, k uint64) {
	words, blocks := bytes.Clone(p), bytes.Clone(p)
	n, or := maskWords(unsafe.SliceData(words), words, k)
	m, or2 := maskBlocks(unsafe.SliceData(blocks), blocks, k)
	if m < n || m%8 != 0 || m > len(p) {
		t.Fatalf("%d bytes: maskBlocks masks %d, maskWords %d", len(p), m, n)
	}
	for ; n < m; n += 8 {
		or |= xor64(words[n:n+8], k)
	}
	if !bytes.Equal(words, blocks) || or != or2 {
		t.Fatalf("maskBlocks: % x, %x\nmaskWords: % x, %x", blocks, or2, words, or)
	}
}

func TestMaskAllocs(t *testing.T) {
	p, dst := make([]byte, 1000), make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		Mask(p, [4]byte{1, 2, 3, 4}, 1)
		dst = AppendMasked(dst[:0], p, [4]byte{1, 2, 3, 4})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{13, 125, 1024, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Mask(p, [4]byte{1, 2, 3, 4}, 0)
			}
		})
	}
}

func BenchmarkAppendMasked(b *testing.B) {
	for _, n := range []int{125, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, dst := make([]byte, n), make([]byte, 0, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				dst = AppendMasked(dst[:0], p, [4]byte{1, 2, 3, 4})
			}
		})
	}
}

func naiveMask(p []byte, key [4]byte, pos int) []byte {
	out := make([]byte, len(p))
	for i := range p {
		out[i] = p[i] ^ key[(pos+i)%4]
	}
	return out
}
