package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft"
)

// A rebirth is a server that restarts under WebSockets, and their clients.
type rebirth struct {
	faults
	dir     string // of the certificate, which both servers have
	streams int
	groups  []*group
	base    account
}

// A group is the clients of one version of HTTP.
type group struct {
	name    string
	clients int
	dialer  *weft.Dialer
	url     string
	conns   atomic.Int64 // that were made since it was last asked

	open, told, back counter
	missed           atomic.Int64 // Dials that failed: the new server was not there yet
	end              sync.WaitGroup
}

func restart(args []string) error {
	fs := flag.NewFlagSet("restart", flag.ContinueOnError)
	h2 := fs.Int("h2", 10_000, "WebSockets over HTTP/2")
	h1 := fs.Int("h1", 500, "WebSockets over HTTP/1.1 with TLS")
	h3 := fs.Int("h3", 1000, "WebSockets over HTTP/3")
	streams := fs.Int("streams", 100, "WebSockets on a connection")
	if err := fs.Parse(args); err != nil {
		return err
	}
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	log.SetOutput(io.Discard)
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &rebirth{dir: dir, streams: *streams}
	for _, g := range []*group{
		{name: "h2", clients: *h2}, {name: "h1+tls", clients: *h1}, {name: "h3", clients: *h3},
	} {
		if g.clients > 0 {
			r.groups = append(r.groups, g)
		}
	}
	if err := r.run(); err != nil {
		return err
	}
	for _, f := range r.list() {
		fmt.Println(f)
	}
	if n := r.count(); n > 0 {
		return fmt.Errorf("%d faults", n)
	}
	fmt.Println("ok")
	return nil
}

func (r *rebirth) start(addr string) (*process, error) {
	return start("-cert", r.dir, "-streams", fmt.Sprint(r.streams), "-addr", addr)
}

func (r *rebirth) run() error {
	old, err := r.start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer old.kill()
	r.base = measure()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := r.gather(ctx, old); err != nil {
		return err
	}
	full := measure()
	fmt.Printf("open: clients' heap %s, %d goroutines\n", mib(full.Heap), full.Goroutines)
	for _, g := range r.groups {
		g.conns.Store(0)
	}

	began := time.Now()
	gone := make(chan error, 1)
	var last account
	go func() { gone <- old.ask("shutdown", &last) }()
	next, err := r.start(old.TLS)
	if err != nil {
		return err
	}
	defer next.kill()
	if err := <-gone; err != nil {
		return err
	}
	r.checkEnd("old server", last, maxLeft)
	fmt.Printf("old server: Shutdown took %v\n", last.Shutdown.Round(time.Millisecond))
	for _, g := range r.groups {
		g.check(r, "told 1001", &g.told)
		g.check(r, "are back", &g.back)
		fmt.Printf("%s: all back after %v; %d connections were made, %d Dials failed\n",
			g.name, g.back.reached().Sub(began).Round(10*time.Millisecond), g.conns.Load(), g.missed.Load())
	}
	if err := r.checkArrivals(next, began); err != nil {
		return err
	}
	return r.leave(cancel, next)
}

// gather opens all WebSockets.
func (r *rebirth) gather(ctx context.Context, s *process) error {
	roots, err := rootsOf(s.Cert)
	if err != nil {
		return err
	}
	begin := make(chan struct{}, 100) // how many dial for the first time at once
	for _, g := range r.groups {
		c := &client{run: &run{server: s, roots: roots}, rungs: versions[g.name]}
		g.dialer, g.url = c.newDialer(), "wss://"+s.TLS+"/count-me"
		g.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			g.conns.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		g.dialer.NetDialUDP = func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error) {
			g.conns.Add(1)
			to, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				return nil, nil, err
			}
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			return pc, to, err
		}
		g.open.want, g.told.want, g.back.want = g.clients, g.clients, g.clients
		for range g.clients {
			g.end.Go(func() { g.stay(ctx, r, begin) })
		}
	}
	for _, g := range r.groups {
		g.check(r, "are open", &g.open)
		fmt.Printf("%s: %d open, on %d connections\n", g.name, g.clients, g.conns.Load())
	}
	return nil
}

// stay is one client.
func (g *group) stay(ctx context.Context, r *rebirth, begin chan struct{}) {
	times := 0
	rc := &weft.Reconnector{Dialer: g.dialer, URL: g.url, OnRetry: func(x weft.Retry) {
		switch {
		case weft.CloseStatus(x.Err) == weft.StatusGoingAway:
			g.told.add()
		case times == 1:
			g.missed.Add(1)
		default:
			r.faults.add(g.name, x.Err)
		}
	}}
	begin <- struct{}{}
	err := rc.Run(ctx, func(ctx context.Context, c *weft.Conn) error {
		if err := c.Write(ctx, weft.MessageText, []byte("hello")); err != nil {
			return err
		}
		if _, p, err := c.Read(ctx); err != nil {
			return err
		} else if string(p) != "hello" {
			return fmt.Errorf("the echo is %q", p)
		}
		if times++; times == 1 {
			g.open.add()
			<-begin
		} else {
			g.back.add()
		}
		_, _, err := c.Read(ctx)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		r.faults.add(g.name, err)
	}
}

func (r *rebirth) clients() (n int) {
	for _, g := range r.groups {
		n += g.clients
	}
	return n
}

// checkArrivals looks for a thundering herd. Waits are uniform over the first 5 s, so that after t no more than t/5 s of the clients should have come:
// never 5 deviations, of at most half the root of their number, more. That holds on a machine that stalls and has to catch up, too. How many
// come in a tenth of a second, which it does not, is bounded in fake time.
func (r *rebirth) checkArrivals(s *process, began time.Time) error {
	var at []time.Time
	if err := s.ask("arrivals", &at); err != nil {
		return err
	}
	const slot, window = 100 * time.Millisecond, 5 * time.Second
	all := float64(r.clients())
	early := 5 * math.Sqrt(all) / 2
	var slots []int
	for i, t := range at {
		d := t.Sub(began)
		for int(d/slot) >= len(slots) {
			slots = append(slots, 0)
		}
		slots[d/slot]++
		if even := all * min(d.Seconds()/window.Seconds(), 1); float64(i+1) > even+early {
			r.faults.add("herd", fmt.Errorf("%d of %.0f clients had come after %v, want %.0f at most", i+1, all, d, even+early))
			break
		}
	}
	fmt.Printf("handshakes in 100 ms: at most %d, %.0f in the mean of the first 5 s: %v\n", slices.Max(append(slots, 0)), all*slot.Seconds()/window.Seconds(), slots)
	for _, g := range r.groups {
		if enough := (g.clients + r.streams - 1) / r.streams; g.name != "h1+tls" && g.conns.Load() > int64(enough+enough/10+2)+g.missed.Load() {
			r.faults.add(g.name, fmt.Errorf("%d connections for %d WebSockets, %d on each", g.conns.Load(), g.clients, r.streams))
		}
	}
	return nil
}

// leave closes everything.
func (r *rebirth) leave(cancel context.CancelFunc, s *process) error {
	cancel()
	for _, g := range r.groups {
		g.end.Wait()
		g.dialer.Close()
	}
	// The runtime keeps some 440 bytes of every goroutine that ran beside others, for the next one: a client has up to three.
	kept := uint64(1500 * r.clients())
	a := settle(r.base, maxLeft+kept)
	a.AtFirst, a.HeapFirst = r.base.Goroutines, r.base.Heap
	r.checkEnd("clients", a, maxLeft+kept)
	var b account
	if err := s.ask("shutdown", &b); err != nil {
		return err
	}
	r.checkEnd("new server", b, maxLeft)
	return nil
}

// checkEnd checks that nothing is left in a process.
func (r *rebirth) checkEnd(who string, a account, slack uint64) {
	fmt.Printf("%s at the end: heap %s, %d goroutines; at the start %s, %d\n", who, mib(a.Heap), a.Goroutines, mib(a.HeapFirst), a.AtFirst)
	for _, f := range a.Faults {
		r.faults.add(who, errors.New(f))
	}
	if a.Goroutines > a.AtFirst {
		r.faults.add(who, fmt.Errorf("%d goroutines more than at the start:\n%s", a.Goroutines-a.AtFirst, stacks()))
	}
	if a.Heap > a.HeapFirst+slack {
		r.faults.add(who, fmt.Errorf("%s of heap, more than %s over the start", mib(a.Heap), mib(slack)))
	}
}

func (g *group) check(r *rebirth, what string, c *counter) {
	if n := c.wait(2 * time.Minute); n != c.want {
		r.faults.add(g.name, fmt.Errorf("%d of %d %s", n, c.want, what))
	}
}

// A counter waits until something has happened want times.
type counter struct {
	want int

	mu   sync.Mutex
	n    int
	at   time.Time // of the last one
	done chan struct{}
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.at = time.Now()
	if c.n == c.want && c.done != nil {
		close(c.done)
	}
}

func (c *counter) wait(d time.Duration) int {
	c.mu.Lock()
	if c.n < c.want {
		done := make(chan struct{})
		c.done = done
		c.mu.Unlock()
		select {
		case <-done:
		case <-time.After(d):
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) reached() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}
