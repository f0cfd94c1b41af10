package weft_test

import (
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// wantBuffersBack checks, with the build tag weftleak, that whoever takes buffers from here on has given them back when the test is cleaned up and
// everything has ended, but for what mayBeKept. wait, in a bubble or not, lets time pass.
func wantBuffersBack(t *testing.T, wait func(time.Duration)) {
	if !transport.CountsBuffers {
		return
	}
	begin := transport.BuffersTaken()
	t.Cleanup(func() {
		held, lost := []string{""}, []string(nil)
		for patience := time.Millisecond; len(held) > 0 && patience < 10*time.Minute; patience *= 4 {
			wait(patience) // for whatever lingers
			held, lost = transport.BuffersOut(begin)
			held, lost = slices.DeleteFunc(held, mayBeKept.MatchString), slices.DeleteFunc(lost, mayBeKept.MatchString)
		}
		for _, l := range held {
			t.Errorf("held for ever: %s", l)
		}
		for _, l := range lost {
			t.Errorf("lost to the pool: %s", l)
		}
	})
}

// inFakeTime is a wait in a bubble.
func inFakeTime(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// mayBeKept until the garbage collector finds it is what a goroutine with a WebSocket of its own does not come back for after its end: the last
// bytes that it received, which it may still be looking at, as long as somebody has the Conn, and what it had of a message; and a buffer that a write outgrew.
var mayBeKept = regexp.MustCompile(`\.\(\*[sS]tream\)\.read:|\(\*recvQueue\)\.append:|weft\.\(\*Conn\)\.nextPiece:|\(\*Flusher\)\.run:`)
