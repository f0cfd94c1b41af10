package main

import (
	"fmt"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// A kind is what is measured of the server process.
type kind int

const (
	perMessage  kind = iota // CPU time an echoed message
	perByte                 // CPU time a byte of an echoed message
	perOpening              // CPU time to open and close a WebSocket
	perIdle                 // memory of a WebSocket that has echoed once
	perDelivery             // CPU time to send a message, which one WebSocket sent, to one of all
	perLatency              // time from a message to its echo
	perClient               // memory of a client's WebSocket that has had one message echoed
)

// A workload is one row of questions put to every server that can answer it.
type workload struct {
	Name  string
	Kind  kind
	Spec  load.Spec
	Rate  int  // messages a second, for perLatency; 0: one in flight
	Quick bool // also with -quick

	// PeerRounds is how many rounds peers take part in, where they cost much time; 0: all.
	PeerRounds int

	Budget budget
}

// A budget is what weft allows itself, in the workload's unit; 0: nothing said.
type budget struct {
	Callbacks, Blocking, Handler float64
	TimesBest                    float64 // instead, of the best Go library's
	Allocs                       float64 // beside, allocations a message or delivery
}

const small = 125 // bytes of payload: the longest with the shortest header (RFC 6455, Section 5.2)

// Specs that many workloads have: WebSockets over HTTP/2 or HTTP/3 by connections and streams, over HTTP/1.1 by connections.
func h2(conns, streams, inFlight, size int) load.Spec {
	return load.Spec{Proto: load.H2, TLS: true, Conns: conns, Streams: streams, InFlight: inFlight, Size: size}
}

func h3(streams, inFlight, size int) load.Spec {
	return load.Spec{Proto: load.H3, TLS: true, Conns: 1, Streams: streams, InFlight: inFlight, Size: size}
}

func h1(conns, inFlight, size int) load.Spec {
	return load.Spec{Proto: load.H1, TLS: true, Conns: conns, Streams: 1, InFlight: inFlight, Size: size}
}

func plain(s load.Spec) load.Spec {
	s.TLS = false
	return s
}

func deflated(s load.Spec) load.Spec {
	s.Deflate = true
	return s
}

func stalled(s load.Spec) load.Spec {
	s.Stalled = 1
	return s
}

// latencyRate is what every server can do with half a core or so: waking it for one message costs ten times what a message does.
const latencyRate = 5_000

var workloads = []workload{
	{Name: "h2-1x100-1", Spec: h2(1, 100, 1, small), Quick: true, Budget: budget{Callbacks: 1.5, Blocking: 3}},
	{Name: "h2-1x100-16", Spec: h2(1, 100, 16, small), Quick: true, Budget: budget{Callbacks: 0.4, Blocking: 0.7}},
	{Name: "h2-10x10-1", Spec: h2(10, 10, 1, small), Budget: budget{Callbacks: 3, Blocking: 3}},
	{Name: "h2-10x10-16", Spec: h2(10, 10, 16, small), Budget: budget{Callbacks: 0.6, Blocking: 0.6}},
	{Name: "h2-1x4000-1", Spec: h2(1, 4000, 1, small), Budget: budget{Callbacks: 1.8, Blocking: 3.6}},

	{Name: "h3-1x100-1", Spec: h3(100, 1, small), Quick: true, Budget: budget{TimesBest: 0.7, Allocs: 3}},
	{Name: "h3-1x100-16", Spec: h3(100, 16, small), Quick: true, Budget: budget{Allocs: 3}},

	{Name: "h1-tls-100-1", Spec: h1(100, 1, small), Quick: true, Budget: budget{TimesBest: 1}},
	{Name: "h1-tls-100-16", Spec: h1(100, 16, small), Quick: true, Budget: budget{TimesBest: 0.3}},
	{Name: "h1-100-1", Spec: plain(h1(100, 1, small)), Budget: budget{TimesBest: 1}},
	{Name: "h1-100-16", Spec: plain(h1(100, 16, small)), Budget: budget{TimesBest: 0.3}},

	{Name: "h2-latency", Kind: perLatency, Spec: h2(1, 1, 1, small)},
	{Name: "h2-latency-rate", Kind: perLatency, Rate: latencyRate, Spec: h2(1, 100, 1, small), Quick: true},
	{Name: "h3-latency", Kind: perLatency, Spec: h3(1, 1, small)},
	{Name: "h1-tls-latency", Kind: perLatency, Spec: h1(1, 1, small)},
	{Name: "h1-tls-latency-rate", Kind: perLatency, Rate: latencyRate, Spec: h1(100, 1, small), Quick: true},

	{Name: "h2-64k", Kind: perByte, Spec: h2(1, 10, 1, 64<<10), Quick: true, Budget: budget{Callbacks: 2, Blocking: 2}},
	{Name: "h3-64k", Kind: perByte, Spec: h3(10, 1, 64<<10)},
	{Name: "h2-1m", Kind: perByte, Spec: h2(1, 4, 1, 1<<20), Budget: budget{Callbacks: 2, Blocking: 2}},
	{Name: "h1-tls-64k", Kind: perByte, Spec: h1(10, 1, 64<<10)},
	{Name: "h1-tls-1m", Kind: perByte, Spec: h1(4, 1, 1<<20)},
	{Name: "h2c-64k", Kind: perByte, Spec: plain(h2(1, 10, 1, 64<<10)), Budget: budget{Callbacks: 0.9, Blocking: 0.9}},
	{Name: "h2c-1m", Kind: perByte, Spec: plain(h2(1, 4, 1, 1<<20)), Budget: budget{Callbacks: 0.9, Blocking: 0.9}},

	{Name: "h2-open-close", Kind: perOpening, Spec: h2(1, 100, 0, 0), Quick: true, Budget: budget{Callbacks: 15, Blocking: 15}},
	{Name: "h1-tls-open-close", Kind: perOpening, Spec: load.Spec{Proto: load.H1, TLS: true, Conns: 8}},

	{Name: "h2-idle", Kind: perIdle, Spec: h2(10, 100, 1, small), Quick: true, Budget: budget{Callbacks: 1 << 10, Blocking: 4 << 10, Handler: 7 << 10}},
	{Name: "h1-tls-idle", Kind: perIdle, Spec: h1(1000, 1, small), PeerRounds: 3},
	{Name: "h1-idle", Kind: perIdle, Spec: plain(h1(1000, 1, small))},
	{Name: "h2-deflate-idle", Kind: perIdle, Spec: deflated(h2(10, 100, 1, 1000)), Budget: budget{Callbacks: 8 << 10}},
	{Name: "h1-deflate-idle", Kind: perIdle, Spec: deflated(plain(h1(1000, 1, 1000))), PeerRounds: 2},
	{Name: "h2-client-idle", Kind: perClient, Spec: h2(1, 1000, 1, 0), PeerRounds: 3, Budget: budget{Callbacks: 2 << 10}},

	{Name: "h2-broadcast", Kind: perDelivery, Spec: h2(100, 100, 1, small), PeerRounds: 2, Budget: budget{TimesBest: 0.1, Allocs: 0.01}},
	{Name: "h2-broadcast-stalled", Kind: perDelivery, Spec: stalled(h2(100, 100, 1, small)), Budget: budget{Allocs: 0.01}},
	{Name: "h1-tls-broadcast", Kind: perDelivery, Spec: h1(1000, 1, small), PeerRounds: 3},
}

// workloadNamed returns the workload of that name, or nil.
func workloadNamed(name string) *workload {
	for i := range workloads {
		if workloads[i].Name == name {
			return &workloads[i]
		}
	}
	return nil
}

// spec is how w loads p: a floor gets the same messages without a protocol around them, as many in flight, and who broadcasts over
// HTTP/1.1 alone gets a connection for each WebSocket.
func (w *workload) spec(p *peers.Peer) load.Spec {
	s := w.Spec
	switch {
	case p.Floor:
		s.Proto = load.Raw
	case p.Client != nil && p.Protos[0] == load.H1, w.Kind == perDelivery && !p.Serves(s.Proto, s.TLS):
		s.Proto, s.Conns, s.Streams = load.H1, s.WebSockets(), 1
	}
	return s
}

// asks reports whether p has an answer to w.
func (w *workload) asks(p *peers.Peer) bool {
	switch {
	case p.IdleOnly && w.Kind != perIdle,
		p.Deflate != w.Spec.Deflate,
		(p.Client != nil) != (w.Kind == perClient),
		p.Several && w.Spec.InFlight < 2,
		p.Floor && (w.Kind == perOpening || w.Kind == perIdle || w.Spec.Proto == load.H3 || w.Rate > 0 && w.Spec.Streams > 1),
		p.Broadcast != (w.Kind == perDelivery),
		w.Spec.Stalled > 0 && !p.Serves(w.Spec.Proto, w.Spec.TLS):
		return false
	}
	s := w.spec(p)
	return p.Serves(s.Proto, s.TLS)
}

// of returns the budget for p, given the best Go library's value.
func (b budget) of(p *peers.Peer, best float64) float64 {
	switch {
	case !p.Weft:
		return 0
	case b.TimesBest > 0:
		return b.TimesBest * best
	}
	return map[string]float64{
		"weft-callbacks": b.Callbacks, "weft-blocking": b.Blocking, "weft-handler": b.Handler,
		"weft-deflate": b.Callbacks, "weft-client": b.Callbacks,
	}[p.Name]
}

func (w *workload) title() string {
	over := map[load.Proto]string{load.H3: "HTTP/3", load.H2: "HTTP/2", load.H1: "HTTP/1.1"}[w.Spec.Proto]
	if w.Spec.TLS && w.Spec.Proto != load.H3 {
		over += " + TLS"
	}
	s := w.Spec
	switch w.Kind {
	case perOpening:
		if s.Proto == load.H1 {
			return fmt.Sprintf("open and close over %s, a fresh connection each, %d at a time", over, s.Conns)
		}
		return fmt.Sprintf("open and close over %s on a live connection, %d at a time", over, s.Streams)
	case perIdle:
		over = "idle over " + over
	case perDelivery:
		over = "broadcast over " + over
	case perLatency:
		over = "latency over " + over
	case perClient:
		return fmt.Sprintf("clients' memory over %s, 1 connection x %d WebSockets (HTTP/1.1: a connection each)", over, s.Streams)
	}
	shape := fmt.Sprintf("%d connections", s.Conns)
	if s.Proto != load.H1 {
		shape = fmt.Sprintf("%d x %d WebSockets", s.Conns, s.Streams)
	}
	if s.Deflate {
		shape += ", permessage-deflate with context takeover, windows filled"
	}
	if w.Kind == perIdle {
		return fmt.Sprintf("%s, %s", over, shape)
	}
	size := "125-byte text"
	if s.Size >= 1<<10 {
		size = fmt.Sprintf("%d KiB text", s.Size>>10)
	}
	if w.Kind == perDelivery {
		if s.Stalled > 0 {
			shape += fmt.Sprintf(" and %d that reads nothing", s.Stalled)
		}
		return fmt.Sprintf("%s, %s, %s", over, shape, size)
	}
	if w.Rate > 0 {
		return fmt.Sprintf("%s, %s, %d messages a second, %s", over, shape, w.Rate, size)
	}
	return fmt.Sprintf("%s, %s, %d in flight, %s", over, shape, s.InFlight, size)
}

func (k kind) unit() string {
	return [...]string{"us/message", "ns/byte", "us/opening", "bytes", "us/delivery", "p50 us", "bytes"}[k]
}
