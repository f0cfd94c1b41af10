package deflate

import (
	"bytes"
	"testing"
)

// "If the compression library being used doesn't generate any data when the buffer is empty, an empty uncompressed
// DEFLATE block is used for this purpose." RFC 7692, Section 7.2.3.6.
func TestRFC7692Section7_2_3_6_EmptyMessageIsOneOctet(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		c := NewCompressor(15, takeover)
		c.AppendMessage(nil, []byte("before"))
		if got := c.AppendMessage([]byte("x"), nil); string(got) != "x\x00" {
			t.Errorf("takeover %v: got % x, want 78 00", takeover, got)
		}
	}
}

// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." RFC 7692, Section 7.2.1. Fragments before the last keep
// theirs, so that each can be inflated at once.
func TestRFC7692Section7_2_1_Tail(t *testing.T) {
	tail := []byte(emptyBlockLengths)
	for _, msg := range samples(10) {
		c := NewCompressor(10, true)
		if got := c.AppendMessage(nil, msg); bytes.HasSuffix(got, tail) {
			t.Errorf("%d bytes: the message ends with % x", len(msg), tail)
		}
		chunk := c.AppendChunk(nil, msg, false)
		if !bytes.HasSuffix(chunk, tail) {
			t.Errorf("%d bytes: the first fragment does not end with % x", len(msg), tail)
		}
		if last := c.AppendChunk(nil, nil, true); string(last) != "\x00" {
			t.Errorf("%d bytes: the empty last fragment is % x, want 00", len(msg), last)
		}
	}
}

func TestTakeoverPays(t *testing.T) {
	with, without := NewCompressor(15, true), NewCompressor(15, false)
	var nWith, nWithout, n int
	for i := range uint64(50) {
		msg := jsonText(i, 125)
		n += len(msg)
		nWith += len(with.AppendMessage(nil, msg))
		nWithout += len(without.AppendMessage(nil, msg))
	}
	if nWith > n/2 || nWith > nWithout/2 {
		t.Errorf("%d bytes became %d with context takeover and %d without", n, nWith, nWithout)
	}
}

func TestIdleCompressorHoldsOnlyItsWindow(t *testing.T) {
	with, without := NewCompressor(15, true), NewCompressor(15, false)
	for i := range uint64(10) {
		with.AppendMessage(nil, jsonText(i, 5000))
		without.AppendMessage(nil, jsonText(i, 5000))
		without.AppendChunk(nil, jsonText(i, 5000), false)
		without.AppendChunk(nil, nil, true)
	}
	if n := cap(with.window.buf); n > maxHistory {
		t.Errorf("with takeover %d bytes are held, want at most %d", n, maxHistory)
	}
	if without.window.buf != nil {
		t.Error("something is held that has no use")
	}
	small := NewCompressor(15, true)
	small.AppendMessage(nil, []byte("hello"))
	if n := cap(small.window.buf); n > minWindowAlloc {
		t.Errorf("after 5 bytes %d are held", n)
	}
	small.Close()
	if small.window.buf != nil {
		t.Error("Close keeps the window")
	}
}

func TestWindowBitsOutOfRangePanic(t *testing.T) {
	for _, bits := range []int{-1, 1, 7, 16} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewCompressor(%d) did not panic", bits)
				}
			}()
			NewCompressor(bits, true)
		}()
	}
}
