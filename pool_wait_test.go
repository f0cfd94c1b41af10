package weft_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// Dials that find every connection full share the ones that are made, several of which are under way at once.
func TestDialsBeyondFullConnections(t *testing.T) {
	const sockets, streams = 400, 10
	for _, c := range carriers[2:4] {
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				e := newEnv(t, n, c, http.HandlerFunc(echoCallbacks), func(s *weft.Server) { s.Options.MaxConcurrentStreams = streams })
				first := e.dial("/", nil)
				defer first.CloseNow()
				before := n.Stats().Opened
				start := time.Now()
				var mu sync.Mutex
				conns := make(map[uint64]int)
				eachOf(sockets, func(int) {
					c := e.dial("/", nil)
					t.Cleanup(func() { c.CloseNow() })
					mu.Lock()
					defer mu.Unlock()
					conns[c.Trace().ConnID]++
				})
				if opened := n.Stats().Opened - before; opened > sockets/streams+8 || len(conns) < sockets/streams {
					t.Errorf("%d connections were made, %d were used, for %d WebSockets, %d on each", opened, len(conns), sockets, streams)
				}
				// One connection after the other would be 40 times 3 round trips, or 2 without TLS.
				if got := time.Since(start); got > 25*rtt {
					t.Errorf("it took %v", got)
				}
			})
		})
	}
}
