package transport

import (
	"strings"
	"testing"
)

// A build that keeps account says who has what, and who has lost it.
func TestBuffersOut(t *testing.T) {
	if !CountsBuffers {
		t.Skip("needs the build tag weftleak")
	}
	begin := BuffersTaken()
	kept, back, dropped := GetBuffer(512), GetBuffer(4<<10), GetBuffer(8<<10)
	lose()
	PutBuffer(back)
	DropBuffer(dropped)
	held, lost := BuffersOut(begin)
	if len(held) != 1 || !strings.HasPrefix(held[0], "1 x 512 bytes, taken by <- transport.TestBuffersOut:") {
		t.Errorf("held: %q", held)
	}
	if len(lost) != 1 || !strings.HasPrefix(lost[0], "1 x 2048 bytes, taken by <- transport.lose:") {
		t.Errorf("lost: %q", lost)
	}
	PutBuffer(kept)
	if held, _ = BuffersOut(begin); held != nil {
		t.Errorf("given back, and held: %q", held)
	}
	if held, lost = BuffersOut(BuffersTaken()); held != nil || lost != nil {
		t.Errorf("since now: %q, %q", held, lost)
	}
}

//go:noinline
func lose() { GetBuffer(2 << 10) }
