package weft

import (
	"math/rand/v2"
	"testing"

	"github.com/weftws/weft/internal/frame"
)

// However frames are cut into Writes, the end of each is found, and nothing else.
func TestFrameEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b []byte
		ends := map[int]bool{0: true}
		closed := len(b) + 1<<30
		for _, op := range []frame.Opcode{frame.Text, frame.Continuation, frame.Ping, frame.Binary, frame.Close, frame.Text} {
			h := frame.Header{Fin: r.IntN(2) == 0 || op.IsControl(), Opcode: op, Masked: r.IntN(4) == 0, Length: r.Int64N(126)}
			if !op.IsControl() {
				h.Length = []int64{0, 1, 125, 126, 300, 70_000}[r.IntN(6)]
			}
			b = frame.AppendHeader(b, h)
			if op == frame.Close {
				closed = len(b)
			}
			b = append(b, make([]byte, h.Length)...)
			ends[len(b)] = true
		}
		var e frameEnd
		for at := 0; at < len(b); {
			n := min([]int{1, 3, 100, 65_536}[r.IntN(4)], len(b)-at)
			stop := r.IntN(2) == 0
			took := e.pass(b[at:at+n], stop)
			if !stop && took != n || took < n && !ends[at+took] {
				t.Fatalf("pass took %d of %d at %d", took, n, at)
			}
			for cut := at + 1; stop && cut < at+took; cut++ {
				if ends[cut] {
					t.Fatalf("the end at %d was passed", cut)
				}
			}
			at += took
			if e.here() != ends[at] || e.lost || e.closed != (at >= closed) {
				t.Fatalf("at %d of %d: %+v", at, len(b), e)
			}
		}
	}
	var e frameEnd
	if e.pass([]byte("HTTP/1.1"), true); e.here() || !e.lost {
		t.Errorf("after no frame: %+v", e)
	}
}
