package weft

import (
	"context"
	"testing"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
)

// observed returns an open Conn of a server that somebody observes, with a Handler that answers each message.
func observed(o *Observer) (*Conn, inbox) {
	c := newConn(new(sink), &connOptions{side: frame.Server, observer: o})
	c.observeOpen(context.Background(), "/")
	c.setMode(true, false)
	c.handled.Store(true)
	return c, inbox{c: c, h: HandlerFuncs{Message: func(c *Conn, typ MessageType, p []byte) { c.Write(context.Background(), typ, p) }}}
}

// batch is n messages of 125 bytes, as one read from the network brings them.
func batch(n int) (p []byte) {
	s := proto.NewSender(proto.Config{Side: frame.Client})
	for range n {
		head, body, _ := s.Message(nil, frame.Binary, make([]byte, 125), true, false, [4]byte{1, 2, 3, 4})
		p = append(append(p, head...), body...)
	}
	return p
}

// Messages cost an observed WebSocket no allocation, and the observer hears of none.
func TestObservedMessagesDoNotAllocate(t *testing.T) {
	told := 0
	c, in := observed(&Observer{
		Opened:    func(context.Context, Opened) { told++ },
		Closed:    func(Closed) { told++ },
		Violation: func(Violation) { told++ },
	})
	frames := batch(16)
	p := make([]byte, len(frames))
	if allocs := testing.AllocsPerRun(100, func() {
		copy(p, frames) // it is unmasked in place
		in.receive(p, nil)
	}); allocs != 0 {
		t.Errorf("%v allocations for 16 messages and their answers, want 0", allocs)
	}
	const n = 101 * 16
	if got, want := c.Stats(), (Stats{n, n * 125, n, n * 125}); got != want || told != 1 {
		t.Errorf("counted %v and told %d things, want %v and 1", got, told, want)
	}
}

// BenchmarkObserved is one message and its answer, without a transport: with an Observer and without, one in a batch and 16.
func BenchmarkObserved(b *testing.B) {
	for name, o := range map[string]*Observer{"nobody": nil, "observer": {Closed: func(Closed) {}}} {
		for size, n := range map[string]int{"1": 1, "16": 16} {
			b.Run(name+"/"+size, func(b *testing.B) {
				_, in := observed(o)
				frames := batch(n)
				p := make([]byte, len(frames))
				b.ReportAllocs()
				began := time.Now()
				for b.Loop() {
					copy(p, frames)
					in.receive(p, nil)
				}
				b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(b.N*n), "ns/message")
			})
		}
	}
}
