package weft_test

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// What an open WebSocket over HTTP/2 costs that has echoed once and rests: live heap and stacks, of both ends together, with
// 1,000 on one connection. The client has callbacks.
func TestIdleWebSocketsAreSmall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(*weft.Conn)
		limit int64 // bytes; with goroutines generous: the runtime begins with larger stacks where others were large
	}{
		{"callbacks", serveCallbacks, 2000},
		{"goroutine", func(c *weft.Conn) { go readWrite(c) }, 6500},
		{"handler", readWrite, 9000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if raceDetector && tt.name != "callbacks" {
				t.Skip("the race detector makes frames larger, and with them stacks")
			}
			overH2(t, tt.serve, func(t *testing.T, e *env) {
				const n = 1000
				first := openIdle(e, 1)
				before := restingMemory()
				conns := openIdle(e, n)
				each := (restingMemory() - before) / n
				t.Logf("%d bytes", each)
				if each > tt.limit {
					t.Errorf("an idle WebSocket costs %d bytes on both ends together, want at most %d", each, tt.limit)
				}
				closeAll(first)
				closeAll(conns)
			})
		})
	}
}

// What large messages needed is given back when they are over.
func TestLargeMessagesLeaveNothingBehind(t *testing.T) {
	for name, serve := range map[string]func(*weft.Conn){"callbacks": serveCallbacks, "goroutine": func(c *weft.Conn) { go readWrite(c) }} {
		t.Run(name, func(t *testing.T) {
			overH2(t, serve, func(t *testing.T, e *env) {
				const n = 32
				conns := openIdle(e, n)
				before := restingMemory()
				var wg sync.WaitGroup
				for _, c := range conns {
					wg.Go(func() { c.echo(context.Background(), make([]byte, 512<<10)) })
				}
				wg.Wait()
				// The buffers of TLS stay as large as a record, and stacks that have grown stay larger than they were.
				const limit = n * 16 << 10
				if kept := restingMemory() - before; kept > limit {
					t.Errorf("%d WebSockets that echoed 512 KiB keep %d bytes, want at most %d", n, kept, limit)
				}
				closeAll(conns)
			})
		})
	}
}

// A connection that had many WebSockets and has one is not larger for that.
func TestManyWebSocketsLeaveNothingBehind(t *testing.T) {
	overH2(t, serveCallbacks, func(t *testing.T, e *env) {
		const n = 2000
		first := openIdle(e, 1)
		before := restingMemory()
		closeAll(openIdle(e, n))
		const limit = n * 160 // most of it is the runtime's heap of timers
		if kept := restingMemory() - before; kept > limit {
			t.Errorf("%d WebSockets that are closed keep %d bytes, want at most %d", n, kept, limit)
		}
		if err := first[0].Ping(e.ctx); err != nil {
			t.Error(err)
		}
		closeAll(first)
	})
}

func overH2(t *testing.T, serve func(*weft.Conn), f func(t *testing.T, e *env)) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		h := func(w http.ResponseWriter, r *http.Request) {
			if c, err := weft.Accept(w, r, nil); err == nil {
				serve(c)
			}
		}
		c := carrier{scheme: "wss", rungs: []weft.Rung{weft.Settings}}
		f(t, newEnv(t, n, c, http.HandlerFunc(h), func(s *weft.Server) { s.Options.MaxConcurrentStreams = 5000 }))
	})
}

func serveCallbacks(c *weft.Conn) {
	c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
		c.Write(context.Background(), typ, p)
	}})
}

func readWrite(c *weft.Conn) {
	defer c.CloseNow()
	for {
		typ, p, err := c.Read(context.Background())
		if err != nil || c.Write(context.Background(), typ, p) != nil {
			return
		}
	}
}

// An idleConn is a client's end with callbacks.
type idleConn struct {
	*weft.Conn
	echoed chan struct{}
}

func (c *idleConn) OnMessage(*weft.Conn, weft.MessageType, []byte) { c.echoed <- struct{}{} }
func (c *idleConn) OnClose(*weft.Conn, error)                      {}

// echo sends p and waits for its echo.
func (c *idleConn) echo(ctx context.Context, p []byte) {
	if c.Write(ctx, weft.MessageBinary, p) == nil {
		<-c.echoed
	}
}

// openIdle opens n WebSockets that have echoed once. The context that all of them wrote with ends when the last has: it leaves nothing.
func openIdle(e *env, n int) []*idleConn {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conns := make([]*idleConn, n)
	echoed := make(chan struct{}, n)
	for i := range conns {
		c := &idleConn{e.dial("/", nil), echoed}
		c.Handle(c)
		c.echo(ctx, make([]byte, 125))
		conns[i] = c
	}
	return conns
}

func closeAll(conns []*idleConn) {
	for _, c := range conns {
		c.Close(weft.StatusNormalClosure, "")
	}
}

// restingMemory is what is in use when everything has come to rest, in bytes.
func restingMemory() int64 {
	time.Sleep(5 * time.Second)
	for range 3 { // a pool keeps what it has for one collection, and stacks shrink by half in each
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
