package weft_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// overFull runs f over every carrier with a client that has read nothing of what a server has sent, until that could send no more; the server then only
// reads. n is how many messages wait for the client.
func overFull(t *testing.T, f func(t *testing.T, e *env, c *weft.Conn, n int)) {
	for _, cr := range carriers {
		t.Run(cr.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, network *simnet.Network) {
				network.SetLink(serverAddr, simnet.Link{SendBuffer: 64 << 10})
				full := make(chan int, 1)
				e := newEnv(t, network, cr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c, err := weft.Accept(w, r, nil)
					if err != nil {
						return
					}
					defer c.CloseNow()
					for n := 0; ; n++ {
						ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
						err := c.Write(ctx, weft.MessageText, []byte(strings.Repeat("x", 60<<10)))
						cancel()
						if err != nil {
							full <- n
							break
						}
					}
					c.Read(context.Background())
				}), nil)
				c := e.dial("/", nil)
				defer c.CloseNow()
				f(t, e, c, <-full)
			})
		})
	}
}

// A Ping is answered when there is room for the Pong, though no message follows that it could go with.
func TestPongWaitsForRoom(t *testing.T) {
	overFull(t, func(t *testing.T, e *env, c *weft.Conn, n int) {
		pinged := begin(func() error {
			ctx, cancel := context.WithTimeout(e.ctx, time.Minute)
			defer cancel()
			return c.Ping(ctx)
		})
		time.Sleep(time.Second)
		for range n {
			if _, p, err := c.Read(e.ctx); err != nil || len(p) != 60<<10 {
				t.Fatalf("%d bytes, %v", len(p), err)
			}
		}
		go c.Read(e.ctx)
		if err := <-pinged; err != nil {
			t.Errorf("Ping: %v", err)
		}
	})
}

// A Close frame is answered when there is room, though the handler calls CloseNow on its way out.
func TestCloseAnswerWaitsForRoom(t *testing.T) {
	overFull(t, func(t *testing.T, e *env, c *weft.Conn, n int) {
		if err := c.Close(weft.StatusNormalClosure, ""); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
