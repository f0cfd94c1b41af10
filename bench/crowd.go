package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// A crowd is very many WebSockets in one server process, over HTTP/2 and TLS.
type crowd struct {
	WebSockets int `json:"websockets"`
	Conns      int `json:"connections"`

	Heap, RSS   int64 // bytes of the server: heap in use and stacks after two collections, resident
	Base        int64 // heap and stacks before them
	Spoken      int64 // heap and stacks after the broadcasts, likewise
	OpenTime    time.Duration
	OpenCPU     time.Duration
	Broadcasts  int
	SpreadTime  time.Duration // until everybody has got one message; median
	SpreadCPU   time.Duration // of the server, mean
	LoadRSS     int64
	LoadOpenCPU time.Duration
}

const (
	crowdStreams    = 1000 // on a connection; weft's default limit
	crowdBroadcasts = 11
)

// crowd opens n WebSockets to weft's broadcasting server, lets them rest, and speaks to them all.
func (l *lab) crowd(n int) (*crowd, error) {
	w := &workload{Name: "idle-crowd", Kind: perDelivery, Spec: load.Spec{
		Proto: load.H2, TLS: true, Conns: max(1, (n+crowdStreams-1)/crowdStreams), Streams: min(n, crowdStreams), InFlight: 1, Size: small,
	}}
	p := peers.Named("weft-broadcast")
	pr, err := l.start(p, w.Spec)
	if err != nil {
		return nil, err
	}
	defer pr.stop()
	c := &crowd{WebSockets: w.Spec.WebSockets(), Conns: w.Spec.Conns}
	h, err := c.gather(pr, load.Target{Addr: pr.addr, Roots: l.roots}, w.Spec)
	if err != nil {
		return nil, err
	}
	defer h.close()
	after, err := rested(pr)
	if err != nil {
		return nil, err
	}
	c.Heap, c.RSS = after.Heap, after.RSS
	if err := l.heap(pr, p, w); err != nil {
		return nil, err
	}
	if c.LoadRSS, err = residentBytes(); err != nil {
		return nil, err
	}
	if err := c.speak(pr, h); err != nil {
		return nil, err
	}
	after, err = rested(pr)
	c.Spoken = after.Heap
	return c, err
}

// gather opens a speaker, and then the crowd.
func (c *crowd) gather(pr *process, t load.Target, s load.Spec) (h *hall, err error) {
	one := s
	one.Conns, one.Streams = 1, 1
	if h, err = openHall(pr, t, one); err != nil { // what the first connections load and keep
		return nil, err
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	h.audience.Close()
	before, err := rested(pr)
	if err != nil {
		return nil, err
	}
	loadBefore, err := cpuTime()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := h.open(t, s); err != nil {
		return nil, err
	}
	c.OpenTime = time.Since(began)
	after, err := pr.ask("stats")
	if err != nil {
		return nil, err
	}
	loadAfter, err := cpuTime()
	c.Base, c.OpenCPU, c.LoadOpenCPU = before.Heap, time.Duration(after.CPU-before.CPU), time.Duration(loadAfter-loadBefore)
	return h, err
}

// speak broadcasts, one message after the other, after one that is not counted.
func (c *crowd) speak(pr *process, h *hall) error {
	if _, err := h.broadcast(load.Limit{Count: 1}); err != nil {
		return err
	}
	var times []float64
	before, err := pr.ask("stats")
	if err != nil {
		return err
	}
	for range crowdBroadcasts {
		began := time.Now()
		if _, err := h.broadcast(load.Limit{Count: 1}); err != nil {
			return err
		}
		times = append(times, float64(time.Since(began)))
	}
	after, err := pr.ask("stats")
	c.Broadcasts, c.SpreadTime, c.SpreadCPU = crowdBroadcasts, time.Duration(median(times)), time.Duration((after.CPU-before.CPU)/crowdBroadcasts)
	return err
}

// perWebSocket is the heap and stacks of one.
func (c *crowd) perWebSocket() float64 { return float64(c.Heap-c.Base) / float64(c.WebSockets) }

func (c *crowd) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n**%s idle WebSockets over HTTP/2 + TLS in one server process, %d connections** (`-idle %d`)\n\n", thousands(c.WebSockets), c.Conns, c.WebSockets)
	b.WriteString("| weft-broadcast | in all | a WebSocket |\n| --- | ---: | ---: |\n")
	n := float64(c.WebSockets)
	for _, r := range []struct{ what, all, each string }{
		{"heap and stacks, opened and at rest", mib(c.Heap), number(c.perWebSocket()) + " bytes"},
		{fmt.Sprintf("heap and stacks, after %d broadcasts and at rest", c.Broadcasts+1), mib(c.Spoken), number(float64(c.Spoken-c.Base)/n) + " bytes"},
		{"resident (RSS), opened and at rest", mib(c.RSS), number(float64(c.RSS)/n) + " bytes"},
		{"opening them, by the clock", c.OpenTime.Round(time.Millisecond).String(), us(c.OpenTime, n)},
		{"opening them, server CPU", c.OpenCPU.Round(time.Millisecond).String(), us(c.OpenCPU, n)},
		{fmt.Sprintf("one message to all until the last has it, by the clock (median of %d)", c.Broadcasts), c.SpreadTime.Round(100 * time.Microsecond).String(), us(c.SpreadTime, n)},
		{"one message to all, server CPU (mean)", c.SpreadCPU.Round(100 * time.Microsecond).String(), us(c.SpreadCPU, n)},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.what, r.all, r.each)
	}
	fmt.Fprintf(&b, "\nThe load held its ends in %s and used %s of CPU to open them.\n", mib(c.LoadRSS), c.LoadOpenCPU.Round(time.Millisecond))
	return b.String()
}

func us(d time.Duration, n float64) string { return number(float64(d)/n/1e3) + " us" }

func mib(n int64) string { return number(float64(n)/(1<<20)) + " MiB" }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
