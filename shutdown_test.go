package weft_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// Peers that do not answer hold up nobody else's Close frame, however many they are, nor Shutdown for longer than one of them.
func TestShutdownWithManyDeafPeers(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		e := newEnv(t, n, carriers[3], http.HandlerFunc(echo), nil)
		read := func(c *weft.Conn) <-chan time.Duration {
			return begin(func() time.Duration {
				if _, _, err := c.Read(e.ctx); weft.CloseStatus(err) != weft.StatusGoingAway {
					t.Error(err)
				}
				return time.Duration(time.Now().UnixNano())
			})
		}
		first := read(e.dial("/", nil))
		for range 1200 {
			defer e.dial("/", nil).CloseNow()
		}
		last := read(e.dial("/", nil))
		synctest.Wait()
		start := time.Now()
		if err := e.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 5*time.Second || d > 8*time.Second {
			t.Errorf("Shutdown took %v, want 5 s and a little", d)
		}
		for _, at := range []<-chan time.Duration{first, last} {
			if d := <-at - time.Duration(start.UnixNano()); d > rtt {
				t.Errorf("one was told after %v", d)
			}
		}
	})
}
