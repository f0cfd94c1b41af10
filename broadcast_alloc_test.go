package weft

import (
	"net"
	"testing"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// A sink is a stream whose network takes everything.
type sink struct{ bytes int }

func (s *sink) TrySend(p []byte) bool               { s.bytes += len(p); return true }
func (s *sink) Send(head, body []byte) (int, error) { return len(head) + len(body), nil }
func (*sink) Receive() ([]byte, error)              { return nil, net.ErrClosed }
func (*sink) Handle(func(p []byte, err error))      {}
func (*sink) SetReadDeadline(time.Time)             {}
func (*sink) SetWriteDeadline(time.Time)            {}
func (*sink) Close(time.Duration)                   {}
func (*sink) Abort()                                {}
func (*sink) Done() <-chan struct{}                 { return nil }
func (*sink) Info() transport.Info                  { return transport.Info{StreamID: 1} }

// A delivery allocates nothing, compressed or not.
func TestBroadcastDoesNotAllocate(t *testing.T) {
	for name, params := range map[string]*deflate.Params{
		"plain":       nil,
		"no takeover": {ServerNoContextTakeover: true, ServerMaxWindowBits: 15},
		"takeover":    {ServerMaxWindowBits: 12},
	} {
		var b Broadcaster
		s := new(sink)
		for range 100 {
			b.Add(newConn(s, &connOptions{side: frame.Server, deflate: params}))
		}
		m, err := Prepare(MessageText, make([]byte, 5000))
		if err != nil {
			t.Fatal(err)
		}
		b.Send(m) // compresses it, and fills the windows
		sent := s.bytes
		if allocs := testing.AllocsPerRun(100, func() { b.Send(m) }); allocs != 0 {
			t.Errorf("%s: %v allocations for 100 deliveries, want 0", name, allocs)
		}
		if s.bytes != 102*sent || (params == nil) != (sent > 100*5000) {
			t.Errorf("%s: %d bytes, then %d", name, sent, s.bytes)
		}
	}
}
