package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// How the cost of a message and of an idle WebSocket grows with their number: over HTTP/2 and TLS, one message of 125 bytes in
// flight on each.
var (
	growthConns      = []int{1, 10, 100}
	growthWebSockets = []int{1, 10, 100, 1000, 10_000}
	growthServers    = []string{"weft-callbacks", "net/http", "node"}
)

// growthPeerRounds is how often peers are measured: their points cost several times as much time as weft's.
const growthPeerRounds = 2

// A growthPoint is a server with so many WebSockets on so many connections.
type growthPoint struct {
	Server     string    `json:"server"`
	Conns      int       `json:"connections"`
	WebSockets int       `json:"websockets"`
	CPUs       []float64 `json:"us_per_message"` // a round each
	Heaps      []float64 `json:"bytes_per_websocket"`
	CPU        float64   `json:"median_us_per_message"`
	Heap       float64   `json:"median_bytes_per_websocket"`
}

func (rep *report) growthTasks(l *lab, present []*peers.Peer, round int) (tasks []task) {
	for _, conns := range growthConns {
		for _, n := range growthWebSockets {
			if n < conns {
				continue
			}
			for _, p := range present {
				if !slices.Contains(growthServers, p.Name) || !p.Weft && round >= growthPeerRounds {
					continue
				}
				tasks = append(tasks, task{fmt.Sprintf("growth to %d x %d, %s", conns, n/conns, p.Name), func() error {
					cpu, heap, err := l.grow(p, conns, n)
					if err == nil {
						rep.addGrowth(p.Name, conns, n, cpu, heap)
					}
					return err
				}})
			}
		}
	}
	return tasks
}

func (rep *report) addGrowth(server string, conns, n int, cpu, heap float64) {
	g := rep.growthAt(server, conns, n)
	if g == nil {
		g = &growthPoint{Server: server, Conns: conns, WebSockets: n}
		rep.Growth = append(rep.Growth, g)
	}
	g.CPUs, g.Heaps = append(g.CPUs, cpu), append(g.Heaps, heap)
}

// growthAt is the point, or nil.
func (rep *report) growthAt(server string, conns, n int) *growthPoint {
	for _, g := range rep.Growth {
		if g.Server == server && g.Conns == conns && g.WebSockets == n {
			return g
		}
	}
	return nil
}

// grow measures one point in a fresh process: first the memory, then the time.
func (l *lab) grow(p *peers.Peer, conns, n int) (cpu, heap float64, err error) {
	w := &workload{Kind: perMessage, Spec: load.Spec{Proto: load.H2, TLS: true, Conns: conns, Streams: n / conns, InFlight: 1, Size: small}}
	pr, err := l.start(p, w.Spec)
	if err != nil {
		return 0, 0, err
	}
	defer pr.stop()
	fleet, x, err := settle(pr, load.Target{Addr: pr.addr, Roots: l.roots}, w.Spec, func() (stats, error) { return rested(pr) })
	if err != nil {
		return 0, 0, err
	}
	defer fleet.Close()
	if _, err := fleet.Echo(load.Limit{For: l.warm}); err != nil {
		return 0, 0, err
	}
	y, err := busy(w, p, pr, func() (int64, error) { return fleet.Echo(load.Limit{For: l.measure}) })
	return y.Value, x.Value, err
}

// finishGrowth computes the medians.
func (rep *report) finishGrowth() {
	for _, g := range rep.Growth {
		g.CPU, g.Heap = median(g.CPUs), median(g.Heaps)
	}
}

// A bend is where a curve of CPU time a message turns upward.
type bend struct {
	lowest, after *growthPoint // the cheapest point, and the dearest with more WebSockets on as many connections
}

func (b bend) ratio() float64 {
	if b.after == nil {
		return 1
	}
	return b.after.CPU / b.lowest.CPU
}

// findBend looks for the greatest rise from a point of server's to one with more WebSockets on as many connections.
func (rep *report) findBend(server string) (worst bend) {
	for _, g := range rep.Growth {
		for _, later := range rep.Growth {
			if g.Server != server || later.Server != server || later.Conns != g.Conns || later.WebSockets <= g.WebSockets {
				continue
			}
			if b := (bend{g, later}); later.CPU > g.CPU && b.ratio() > worst.ratio() {
				worst = b
			}
		}
	}
	return worst
}

// growthMarkdown is the table and what it says.
func (rep *report) growthMarkdown() string {
	if len(rep.Growth) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n**how cost grows over HTTP/2 + TLS, 1 in flight, 125-byte text** (`-growth`)\n\n| connections x WebSockets")
	var servers []string
	for _, name := range growthServers {
		if slices.ContainsFunc(rep.Growth, func(g *growthPoint) bool { return g.Server == name }) {
			servers = append(servers, name)
		}
	}
	for _, unit := range []string{"us/message", "idle bytes"} {
		for _, s := range servers {
			fmt.Fprintf(&b, " | %s, %s", s, unit)
		}
	}
	b.WriteString(" |\n| ---" + strings.Repeat(" | ---:", 2*len(servers)) + " |\n")
	for _, conns := range growthConns {
		for _, n := range growthWebSockets {
			if n >= conns {
				rep.growthRow(&b, servers, conns, n)
			}
		}
	}
	b.WriteString("\n")
	for _, s := range servers {
		b.WriteString("- " + rep.growthWords(s) + "\n")
	}
	return b.String()
}

func (rep *report) growthRow(b *strings.Builder, servers []string, conns, n int) {
	fmt.Fprintf(b, "| %d x %d", conns, n/conns)
	for _, of := range []func(*growthPoint) float64{func(g *growthPoint) float64 { return g.CPU }, func(g *growthPoint) float64 { return g.Heap }} {
		for _, s := range servers {
			cell := ""
			if g := rep.growthAt(s, conns, n); g != nil {
				cell = number(of(g))
			}
			fmt.Fprintf(b, " | %s", cell)
		}
	}
	b.WriteString(" |\n")
}

// growthWords says how a server's time a message spreads, and whether it bends upward.
func (rep *report) growthWords(server string) string {
	var least *growthPoint
	for _, g := range rep.Growth {
		if g.Server == server && (least == nil || g.CPU < least.CPU) {
			least = g
		}
	}
	most := rep.dearest(server, 0)
	text := fmt.Sprintf("%s: the dearest message (%s us, %s) costs %.1f times the cheapest (%s us, %s)",
		server, number(most.CPU), most.shape(), most.CPU/least.CPU, number(least.CPU), least.shape())
	if many := rep.dearest(server, manyWebSockets); many != nil {
		text += fmt.Sprintf(", from %d WebSockets on %.1f times (%s us, %s)", manyWebSockets, many.CPU/least.CPU, number(many.CPU), many.shape())
	}
	b := rep.findBend(server)
	switch {
	case b.after == nil:
		return text + "; more WebSockets on as many connections never cost more a message"
	case b.ratio() < upward:
		text += "; no bend upward: the greatest rise is"
	default:
		text += "; it bends upward:"
	}
	return text + fmt.Sprintf(" %.2f times, from %s us (%s) to %s us (%s)", b.ratio(), number(b.lowest.CPU), b.lowest.shape(), number(b.after.CPU), b.after.shape())
}

// dearest is server's point with the most time a message, of those with at least n WebSockets; nil: there is none.
func (rep *report) dearest(server string, n int) (most *growthPoint) {
	for _, g := range rep.Growth {
		if g.Server == server && g.WebSockets >= n && (most == nil || g.CPU > most.CPU) {
			most = g
		}
	}
	return most
}

// manyWebSockets is where a batch begins to be more than a few messages.
const manyWebSockets = 100

// upward is the rise that is more than what two runs differ by, and the budget of 4000 streams on a connection against 100.
const upward = 1.2

func (g *growthPoint) shape() string { return fmt.Sprintf("%d x %d", g.Conns, g.WebSockets/g.Conns) }
