package weft_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// A thousand WebSockets on one QUIC connection, over a network that of a hundred datagrams loses one, doubles one, damages one and delays two: every message
// arrives once and in order.
func TestH3Loss(t *testing.T) {
	const sockets, messages = 1000, 5
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.Seed(1)
		n.SetUDP("", simnet.UDP{Loss: 0.01, Reorder: 0.02, Duplicate: 0.01, Damage: 0.01})
		e := newEnv(t, n, carriers[4], http.HandlerFunc(echoCallbacks), nil)
		conns := make([]*weft.Conn, sockets)
		eachOf(sockets, func(i int) { conns[i] = e.dial("/", nil) })
		ids := make(map[uint64]int)
		for _, c := range conns {
			ids[c.Trace().ConnID]++
		}
		if len(ids) != 1 {
			t.Errorf("WebSockets by connection: %v", ids)
		}
		start := time.Now()
		eachOf(sockets, func(i int) {
			for m := range messages {
				if err := conns[i].Write(e.ctx, weft.MessageText, fmt.Appendf(nil, "%d of %d", m, i)); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
			for m := range messages {
				if _, p, err := conns[i].Read(e.ctx); err != nil || string(p) != fmt.Sprintf("%d of %d", m, i) {
					t.Errorf("message %d of %d: %q, %v", m, i, p, err)
					return
				}
			}
		})
		if took := time.Since(start); took < 2*rtt {
			t.Errorf("it took %v: nothing was lost", took)
		} else {
			t.Logf("%d messages took %v", sockets*messages, took)
		}
		eachOf(sockets, func(i int) {
			if err := conns[i].Close(weft.StatusNormalClosure, ""); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	})
}

// A WebSocket whose reader has stopped fills its own window and no other's: its neighbours on the connection go on, over HTTP/3 as over
// HTTP/2.
func TestStalledNeighbour(t *testing.T) {
	for _, cr := range []carrier{carriers[4], carriers[2]} {
		t.Run(cr.name, func(t *testing.T) {
			stalled := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/stalled" {
					echo(w, r)
					return
				}
				if c, err := weft.Accept(w, r, nil); err == nil {
					<-r.Context().Done() // it never reads
					c.CloseNow()
				}
			}
			over(t, cr, http.HandlerFunc(stalled), func(t *testing.T, e *env) {
				neighbour := e.dial("/", nil)
				defer neighbour.CloseNow()
				c := e.dial("/stalled", nil)
				if a, b := c.Trace().ConnID, neighbour.Trace().ConnID; a != b {
					t.Fatalf("connections %d and %d", a, b)
				}
				ctx, cancel := context.WithCancel(e.ctx)
				done := make(chan int)
				go func() {
					sent := 0
					for c.Write(ctx, weft.MessageBinary, make([]byte, 64<<10)) == nil {
						sent++
					}
					done <- sent
				}()
				time.Sleep(time.Minute) // the window is full
				for range 100 {
					start := time.Now()
					if err := neighbour.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
						t.Fatal(err)
					}
					if _, _, err := neighbour.Read(e.ctx); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(start); took != rtt {
						t.Errorf("an echo beside the stalled WebSocket took %v", took)
					}
				}
				cancel()
				if sent := <-done; sent == 0 || sent > 1000 {
					t.Errorf("the stalled WebSocket took %d messages of 64 KiB", sent)
				}
				c.CloseNow()
			})
		})
	}
}

// eachOf runs f for 0 to n-1, all at once.
func eachOf(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
