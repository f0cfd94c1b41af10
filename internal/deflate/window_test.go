package deflate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// jsonText makes n bytes of text as WebSockets carry it, different for every seed.
func jsonText(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, `{"type":"trade","symbol":"%s","price":%d.%02d,"size":%.4f,"side":"%s","time":"2024-05-%02dT12:%02d:%02dZ"},`,
			[]string{"BTC-USD", "ETH-EUR"}[r.IntN(2)], 60000+r.IntN(5000), r.IntN(100), r.Float64(),
			[]string{"buy", "sell"}[r.IntN(2)], 1+r.IntN(28), r.IntN(60), r.IntN(60))
	}
	return b[:n]
}

// samples are messages that tempt a matcher to look back further than 2^bits bytes.
func samples(bits int) [][]byte {
	r := rand.New(rand.NewPCG(7, 7))
	noise := make([]byte, 1<<bits+200)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var far []byte // pieces of noise that come back after the window's size, and a bit more and less
	for _, distance := range []int{1<<bits - 1, 1 << bits, 1<<bits + 1} {
		far = append(append(far, noise[:distance]...), noise[:64]...)
	}
	return [][]byte{
		nil, {0}, []byte("Hello"), bytes.Repeat([]byte("a"), 12), bytes.Repeat([]byte("ab"), 63),
		jsonText(1, 125), jsonText(2, 127), jsonText(3, 128), jsonText(4, 300), jsonText(5, 4096),
		jsonText(6, 66000), bytes.Repeat([]byte{0}, 5000), noise[:100], far, jsonText(1, 125), jsonText(1, 4096), {},
	}
}

// "(client|server)_max_window_bits [...] the base-2 logarithm of the LZ77 sliding window size." RFC 7692, Section 7.1.2.
// No match may reach further back than that, whatever the messages and however they are cut.
func TestRFC7692Section7_1_2_NoDistanceBeyondWindow(t *testing.T) {
	for bits := minWindowBits; bits <= maxWindowBits; bits++ {
		for _, takeover := range []bool{false, true} {
			for _, chunk := range []int{0, 1000} {
				t.Run(fmt.Sprintf("bits=%d/takeover=%v/chunk=%d", bits, takeover, chunk), func(t *testing.T) {
					c := NewCompressor(bits, takeover)
					var history []byte
					for i, msg := range samples(bits) {
						if !takeover {
							history = nil
						}
						got, err := strictInflate(history, compressIn(c, msg, chunk), 1<<bits)
						if err != nil {
							t.Fatalf("message %d of %d bytes: %v", i, len(msg), err)
						}
						if !bytes.Equal(got, msg) {
							t.Fatalf("message %d of %d bytes came back different", i, len(msg))
						}
						history = append(history, msg...)
					}
				})
			}
		}
	}
}

// compressIn compresses msg in parts of chunk bytes (0: whole).
func compressIn(c *Compressor, msg []byte, chunk int) []byte {
	var out []byte
	for chunk > 0 && len(msg) > chunk {
		out = c.AppendChunk(out, msg[:chunk], false)
		msg = msg[chunk:]
	}
	return c.AppendChunk(out, msg, true)
}

// The strict decoder must catch what it is there for: a codec with a larger window fails.
func TestStrictDecoderCatchesFarDistances(t *testing.T) {
	samples := samples(13)
	far := samples[len(samples)-4]
	payload := NewCompressor(15, false).AppendMessage(nil, far)
	if _, err := strictInflate(nil, payload, 1<<15); err != nil {
		t.Fatalf("window of 2^15: %v", err)
	}
	for bits := minWindowBits; bits <= 12; bits++ {
		if _, err := strictInflate(nil, payload, 1<<bits); err == nil {
			t.Errorf("window of 2^%d: the decoder let a larger distance pass", bits)
		}
	}
}

func TestWindowKeepsTheLastBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{256, 4096} {
		w := window{size: int32(size)}
		var all []byte
		for range 300 {
			p := jsonText(r.Uint64(), r.IntN(size/4))
			if r.IntN(20) == 0 {
				p = jsonText(r.Uint64(), size+r.IntN(size))
			}
			w.push(p)
			all = append(all, p...)
			want := all[max(0, len(all)-size):]
			if !bytes.Equal(w.buf, want) {
				t.Fatalf("size %d: window of %d bytes is not the last of %d", size, len(w.buf), len(all))
			}
			if cap(w.buf) > size {
				t.Fatalf("size %d: window takes %d bytes", size, cap(w.buf))
			}
		}
	}
}
