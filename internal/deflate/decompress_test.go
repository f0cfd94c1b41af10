package deflate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 7692, Section 7.2.3, and what else a peer may rightly send. Each case is one connection with context takeover.
func TestRFC7692Section7_2_3_Examples(t *testing.T) {
	type message struct{ payload, want string }
	for _, tt := range []struct {
		name     string
		messages []message
	}{
		{"Section7_2_3_1_OneBlock", []message{{"f2 48 cd c9 c9 07 00", "Hello"}}},
		{"Section7_2_3_2_SharingTheWindow", []message{{"f2 48 cd c9 c9 07 00", "Hello"}, {"f2 00 11 00 00", "Hello"}}},
		{"Section7_2_3_3_NoCompression", []message{{"00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"}}},
		{"Section7_2_3_4_FinalBlock", []message{{"f3 48 cd c9 c9 07 00 00", "Hello"}, {"f2 00 11 00 00", "Hello"}}},
		{"Section7_2_3_5_TwoBlocks", []message{{"f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"}}},
		{"Section7_2_3_6_EmptyMessage", []message{{"00", ""}, {"f2 48 cd c9 c9 07 00", "Hello"}, {"00", ""}, {"f2 00 11 00 00", "Hello"}}},
		{"no octets at all", []message{{"", ""}}},
		{"stored blocks only", []message{{"00 02 00 fd ff 48 65 00 03 00 fc ff 6c 6c 6f 00", "Hello"}}},
		{"final block at the very end", []message{{"f3 48 cd c9 c9 07 00", "Hello"}, {"f2 00 11 00 00", "Hello"}}},
		{"empty stored final block, stripped", []message{{"f2 48 cd c9 c9 07 00 00 00 ff ff 01", "Hello"}}},
		{"a block after a final block refers to it", []message{{"f3 48 cd c9 c9 07 00 f2 00 11 00 00", "HelloHello"}}},
		{"two final blocks", []message{{"f3 48 cd c9 c9 07 00 f3 00 11 00 00", "HelloHello"}}},
		{"empty blocks around", []message{{"00 00 00 ff ff 00 00 00 ff ff f2 48 cd c9 c9 07 00", "Hello"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecompressor(15, true)
			for i, m := range tt.messages {
				got, err := d.AppendMessage(nil, unhex(t, m.payload), 100)
				if err != nil || string(got) != m.want {
					t.Errorf("message %d: got %q, %v; want %q", i, got, err, m.want)
				}
			}
		})
	}
}

func TestRFC7692Section7_2_2_CorruptPayloads(t *testing.T) {
	for _, tt := range []struct{ name, payload string }{
		{"reserved block type", "06"},
		{"cut within a Huffman block", "f2 48 cd"},
		{"cut within a stored block", "00 05 00 fa ff 48 65"},
		{"cut within a long stored block", "00 64 00 9b ff 48 65"},
		{"cut within a stored block's lengths", "00 05"},
		{"cut within a dynamic block's codes", "04 c0"},
		{"LEN does not go with NLEN", "00 05 00 fb ff 48 65 6c 6c 6f 00"},
		{"distance before the first byte", "f2 00 11 00 00"},
		{"trailing octet that starts no block", "f2 48 cd c9 c9 07 00 00 00 ff ff 07"},
		{"trailing text", "f2 48 cd c9 c9 07 00 48 65 6c 6c 6f"},
		{"garbage after a final block", "f3 48 cd c9 c9 07 00 ff"},
		{"final block cut", "f3 48 cd"},
		{"cut within a code that has zeroes and ones alike", "f2 48 cd c9 c9 07 00 00 00 ff ff fa ff ff ff ff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := NewDecompressor(15, true).AppendMessage(nil, unhex(t, tt.payload), 0)
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %q, error %v, want ErrCorrupt", got, err)
			}
		})
	}
}

// Without context takeover, a message cannot refer to the one before, nor to one before with a final block inside.
func TestRFC7692Section7_1_1_NoTakeoverForgets(t *testing.T) {
	for _, first := range []string{"f2 48 cd c9 c9 07 00", "f3 48 cd c9 c9 07 00 f2 00 11 00 00"} {
		d := NewDecompressor(15, false)
		if _, err := d.AppendMessage(nil, unhex(t, first), 0); err != nil {
			t.Fatal(err)
		}
		if d.window.buf != nil {
			t.Errorf("the idle Decompressor holds %d bytes", cap(d.window.buf))
		}
		if got, err := d.AppendMessage(nil, unhex(t, "f2 00 11 00 00"), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %q, error %v, want ErrCorrupt", got, err)
		}
	}
}

func TestLimit(t *testing.T) {
	const limit = 1 << 20
	zeros := func(n int) []byte { return NewCompressor(15, false).AppendMessage(nil, make([]byte, n)) }
	for _, tt := range []struct {
		name  string
		size  int
		limit int64
		want  error
	}{
		{"exactly the limit", limit, limit, nil},
		{"one byte more", limit + 1, limit, ErrTooBig},
		{"a bomb", 16 << 20, limit, ErrTooBig},
		{"empty under a limit of 1", 0, 1, nil},
		{"two bytes under a limit of 1", 2, 1, ErrTooBig},
		{"no limit", 3 << 20, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := NewDecompressor(15, true).AppendMessage([]byte("before"), zeros(tt.size), tt.limit)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if n := int64(len(got) - len("before")); tt.limit > 0 && n > tt.limit {
				t.Errorf("%d bytes came out, limit %d", n, tt.limit)
			}
			if err == nil && len(got) != len("before")+tt.size {
				t.Errorf("%d bytes came out, want %d", len(got)-len("before"), tt.size)
			}
		})
	}
}

// A bomb costs memory in proportion to the limit: the buffer doubles up to it.
func TestLimitBoundsMemory(t *testing.T) {
	const limit = 1 << 20
	bomb := NewCompressor(15, false).AppendMessage(nil, make([]byte, 32<<20))
	d := NewDecompressor(15, true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, err := d.AppendMessage(nil, bomb, limit)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooBig) {
		t.Fatalf("error %v, want ErrTooBig", err)
	}
	if cap(out) > limit+limit/4 {
		t.Errorf("the buffer has grown to %d bytes, limit %d", cap(out), limit)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*limit {
		t.Errorf("%d bytes were allocated in all, limit %d", n, limit)
	}
}

func TestIdleDecompressorHoldsOnlyItsWindow(t *testing.T) {
	c, d := NewCompressor(15, true), NewDecompressor(9, true)
	for i, most := range []int{minWindowAlloc, 512, 512} {
		if _, err := d.AppendMessage(nil, c.AppendMessage(nil, jsonText(uint64(i), 200+i*150)), 0); err != nil {
			t.Fatal(err)
		}
		if n := cap(d.window.buf); n > most {
			t.Errorf("after %d messages %d bytes are held, want at most %d", i+1, n, most)
		}
	}
	d.Close()
	if d.window.buf != nil {
		t.Error("Close keeps the window")
	}
}

func TestFinalBlocksAreBounded(t *testing.T) {
	final := []byte{0x03, 0x00} // an empty final block
	d := NewDecompressor(15, true)
	if _, err := d.AppendMessage(nil, append(bytes.Repeat(final, maxFinalBlocks), 0), 0); err != nil {
		t.Errorf("%d final blocks: %v", maxFinalBlocks, err)
	}
	if _, err := d.AppendMessage(nil, append(bytes.Repeat(final, maxFinalBlocks+1), 0), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%d final blocks: error %v, want ErrCorrupt", maxFinalBlocks+1, err)
	}
}
