// Command ticker sends a price every second to 10,000 subscribers, in one process and over a dozen HTTP/2 connections, and prints what
// that costs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft"
)

func main() {
	var o options
	flag.IntVar(&o.subscribers, "subscribers", 10_000, "how many subscribe")
	flag.IntVar(&o.ticks, "ticks", 10, "after how many ticks to end; 0: with Ctrl-C")
	flag.DurationVar(&o.every, "every", time.Second, "how often to tick")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

type options struct {
	subscribers int
	ticks       int
	every       time.Duration
}

// run subscribes, ticks, and writes a line a tick to out.
func run(ctx context.Context, o options, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Memory is bounded: for a subscriber that is slow one price waits, the latest.
	feed := &weft.Broadcaster{SlowPeer: weft.Latest}
	server := &weft.Server{Handler: subscribe(feed)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Close()
		<-served
	}()

	// Every connection takes 1000 WebSockets, which is what the server allows; then the Dialer makes another one.
	dialer := &weft.Dialer{PriorKnowledge: true} // HTTP/2 without TLS
	defer dialer.Close()
	c := &crowd{dialer: dialer, url: "ws://" + l.Addr().String(), tcp: make(map[uint64]bool)}
	began := time.Now()
	if err := c.subscribe(ctx, o.subscribers); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d WebSockets on %d connections in %v\n", o.subscribers, len(c.tcp), time.Since(began).Round(time.Millisecond))

	tick := time.NewTicker(o.every)
	defer tick.Stop()
	price := 100.0
	for n := 1; o.ticks == 0 || n <= o.ticks; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		price += rand.Float64() - .5
		began := time.Now()
		c.expect(o.subscribers)
		m, err := weft.Prepare(weft.MessageText, fmt.Appendf(nil, `{"tick":%d,"price":%.2f}`, n, price))
		if err != nil {
			return err
		}
		feed.Send(m)
		if err := c.wait(ctx); err != nil {
			return err
		}
		took := time.Since(began)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		fmt.Fprintf(out, "tick %d: %.2f to %d in %v, %.2f us each; heap %d MiB, %d goroutines\n", n, price, o.subscribers,
			took.Round(time.Millisecond), float64(took.Microseconds())/float64(o.subscribers), mem.HeapInuse>>20, runtime.NumGoroutine())
	}
	return nil
}

// subscribe is the server: whoever opens a WebSocket gets the feed.
func subscribe(feed *weft.Broadcaster) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{Close: func(c *weft.Conn, _ error) { feed.Remove(c) }})
		feed.Add(c)
		c.Write(context.Background(), weft.MessageText, []byte("subscribed"))
	}
}

// A crowd is the subscribers.
type crowd struct {
	dialer *weft.Dialer
	url    string

	mu  sync.Mutex
	tcp map[uint64]bool // the connections that they are on

	missing atomic.Int64 // messages that have to come yet
	all     chan struct{}
}

func (c *crowd) subscribe(ctx context.Context, n int) error {
	c.expect(n)
	dials := make(chan struct{}, n)
	for range n {
		dials <- struct{}{}
	}
	close(dials)
	errs := make(chan error, dialsAtOnce)
	for range dialsAtOnce {
		go func() {
			for range dials {
				if err := c.dial(ctx); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range dialsAtOnce {
		if err := <-errs; err != nil {
			return err
		}
	}
	return c.wait(ctx)
}

const dialsAtOnce = 16

func (c *crowd) dial(ctx context.Context) error {
	conn, _, err := c.dialer.Dial(ctx, c.url, nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.tcp[conn.Trace().ConnID] = true
	c.mu.Unlock()
	conn.Handle(weft.HandlerFuncs{Message: func(*weft.Conn, weft.MessageType, []byte) {
		if c.missing.Add(-1) == 0 {
			close(c.all)
		}
	}})
	return nil
}

// expect says that n messages are to come; wait waits for them.
func (c *crowd) expect(n int) {
	c.all = make(chan struct{})
	c.missing.Store(int64(n))
}

func (c *crowd) wait(ctx context.Context) error {
	select {
	case <-c.all:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d messages have not come: %w", c.missing.Load(), ctx.Err())
	}
}
