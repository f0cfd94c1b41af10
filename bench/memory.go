package main

import (
	"context"
	"fmt"
	"time"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// idle measures what a WebSocket costs the server p that has echoed once and then rests.
func (l *lab) idle(pr *process, p *peers.Peer, w *workload, t load.Target, s load.Spec) (sample, error) {
	fleet, x, err := settle(pr, t, s, func() (stats, error) { return l.restedBefore(pr, p, w) })
	if err != nil {
		return sample{}, err
	}
	defer fleet.Close()
	return x, l.heap(pr, p, w)
}

// settle opens the fleet of s, has every WebSocket echo once, and returns what each of them keeps in the server. What the first
// connection of a process loads and keeps is not counted: atRest is rested, or does more, and is asked before them.
func settle(pr *process, t load.Target, s load.Spec, atRest func() (stats, error)) (*load.Fleet, sample, error) {
	first := s
	first.Conns, first.Streams = 1, 1
	fleet, err := echoOnce(t, first)
	if err != nil {
		return nil, sample{}, err
	}
	fleet.Close()
	before, err := atRest()
	if err != nil {
		return nil, sample{}, err
	}
	if fleet, err = echoOnce(t, s); err != nil {
		return nil, sample{}, err
	}
	after, err := rested(pr)
	if err != nil {
		fleet.Close()
		return nil, sample{}, err
	}
	n := float64(s.WebSockets())
	return fleet, sample{Value: float64(after.Heap-before.Heap) / n, RSS: float64(after.RSS-before.RSS) / n, Allocs: -1}, nil
}

func echoOnce(t load.Target, s load.Spec) (*load.Fleet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	fleet, err := load.Open(ctx, t, s)
	if err != nil {
		return nil, err
	}
	count := 1
	if s.Deflate {
		count = fillsWindow
	}
	if _, err := fleet.Echo(load.Limit{Count: count}); err != nil {
		fleet.Close()
		return nil, err
	}
	return fleet, nil
}

// fillsWindow messages of a kilobyte fill windows of 4 KiB, which is what weft and gws agree to; coder makes its larger ones at once.
const fillsWindow = 9

// rested gives the server time to settle, lets it collect garbage, and asks.
func rested(pr *process) (stats, error) {
	time.Sleep(200 * time.Millisecond)
	if _, err := pr.ask("gc"); err != nil {
		return stats{}, err
	}
	return pr.ask("stats")
}

// clients measures what a WebSocket costs the client p, in a process of its own, that has had one message echoed and then rests.
func (l *lab) clients(w *workload, p *peers.Peer) (sample, error) {
	s := w.spec(p)
	server, err := l.start(clientsServer, s)
	if err != nil {
		return sample{}, err
	}
	defer server.stop()
	pr, err := l.startClient(p, server.addr)
	if err != nil {
		return sample{}, err
	}
	defer pr.stop()
	if _, err := pr.ask("open 1"); err != nil { // what the first one loads and keeps
		return sample{}, err
	}
	before, err := l.restedBefore(pr, p, w)
	if err != nil {
		return sample{}, err
	}
	if _, err := pr.ask(fmt.Sprintf("open %d", s.WebSockets())); err != nil {
		return sample{}, err
	}
	after, err := rested(pr)
	if err != nil {
		return sample{}, err
	}
	n := float64(s.WebSockets())
	return sample{Value: float64(after.Heap-before.Heap) / n, RSS: float64(after.RSS-before.RSS) / n, Allocs: -1}, l.heap(pr, p, w)
}

var clientsServer = peers.Named("weft-callbacks")
