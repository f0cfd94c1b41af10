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
)

// A workload is one row of questions put to every server that can answer it.
type workload struct {
	Name   string
	Kind   kind
	Spec   load.Spec
	Quick  bool // also with -quick
	Budget budget
}

// A budget is what weft allows itself, in the workload's unit; 0: nothing said.
type budget struct {
	Callbacks, Blocking, Handler float64
	TimesBest                    float64 // instead, of the best Go library's
	Allocs                       float64 // beside, allocations a message or delivery
}

const small = 125 // bytes of payload: the longest with the shortest header (RFC 6455, Section 5.2)

var workloads = []workload{
	{"h2-1x100-1", perMessage, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 100, InFlight: 1, Size: small}, true,
		budget{Callbacks: 1.5, Blocking: 3}},
	{"h2-1x100-16", perMessage, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 100, InFlight: 16, Size: small}, true,
		budget{Callbacks: 0.4, Blocking: 0.7}},
	{"h2-10x10-1", perMessage, load.Spec{Proto: load.H2, TLS: true, Conns: 10, Streams: 10, InFlight: 1, Size: small}, false,
		budget{Callbacks: 3, Blocking: 3}},
	{"h2-10x10-16", perMessage, load.Spec{Proto: load.H2, TLS: true, Conns: 10, Streams: 10, InFlight: 16, Size: small}, false,
		budget{Callbacks: 0.6, Blocking: 0.6}},
	{"h2-1x4000-1", perMessage, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 4000, InFlight: 1, Size: small}, false,
		budget{Callbacks: 1.8, Blocking: 3.6}},

	{"h3-1x100-1", perMessage, load.Spec{Proto: load.H3, TLS: true, Conns: 1, Streams: 100, InFlight: 1, Size: small}, true,
		budget{TimesBest: 0.8, Allocs: 3}},
	{"h3-1x100-16", perMessage, load.Spec{Proto: load.H3, TLS: true, Conns: 1, Streams: 100, InFlight: 16, Size: small}, true,
		budget{Allocs: 3}},

	{"h1-tls-100-1", perMessage, load.Spec{Proto: load.H1, TLS: true, Conns: 100, Streams: 1, InFlight: 1, Size: small}, true,
		budget{TimesBest: 1}},
	{"h1-tls-100-16", perMessage, load.Spec{Proto: load.H1, TLS: true, Conns: 100, Streams: 1, InFlight: 16, Size: small}, true,
		budget{TimesBest: 0.3}},
	{"h1-100-1", perMessage, load.Spec{Proto: load.H1, Conns: 100, Streams: 1, InFlight: 1, Size: small}, false,
		budget{TimesBest: 1}},
	{"h1-100-16", perMessage, load.Spec{Proto: load.H1, Conns: 100, Streams: 1, InFlight: 16, Size: small}, false,
		budget{TimesBest: 0.3}},

	{"h2-64k", perByte, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 10, InFlight: 1, Size: 64 << 10}, true,
		budget{Callbacks: 2, Blocking: 2}},
	{"h2-1m", perByte, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 4, InFlight: 1, Size: 1 << 20}, false,
		budget{Callbacks: 2, Blocking: 2}},
	{"h1-tls-64k", perByte, load.Spec{Proto: load.H1, TLS: true, Conns: 10, Streams: 1, InFlight: 1, Size: 64 << 10}, false, budget{}},
	{"h1-tls-1m", perByte, load.Spec{Proto: load.H1, TLS: true, Conns: 4, Streams: 1, InFlight: 1, Size: 1 << 20}, false, budget{}},
	{"h2c-64k", perByte, load.Spec{Proto: load.H2, Conns: 1, Streams: 10, InFlight: 1, Size: 64 << 10}, false,
		budget{Callbacks: 0.9, Blocking: 0.9}},
	{"h2c-1m", perByte, load.Spec{Proto: load.H2, Conns: 1, Streams: 4, InFlight: 1, Size: 1 << 20}, false,
		budget{Callbacks: 0.9, Blocking: 0.9}},

	{"h2-open-close", perOpening, load.Spec{Proto: load.H2, TLS: true, Conns: 1, Streams: 100}, true,
		budget{Callbacks: 15, Blocking: 15}},
	{"h1-tls-open-close", perOpening, load.Spec{Proto: load.H1, TLS: true, Conns: 8}, false, budget{}},

	{"h2-idle", perIdle, load.Spec{Proto: load.H2, TLS: true, Conns: 10, Streams: 100, InFlight: 1, Size: small}, true,
		budget{Callbacks: 1 << 10, Blocking: 4 << 10, Handler: 7 << 10}},
	{"h1-tls-idle", perIdle, load.Spec{Proto: load.H1, TLS: true, Conns: 1000, Streams: 1, InFlight: 1, Size: small}, false, budget{}},
	{"h1-idle", perIdle, load.Spec{Proto: load.H1, Conns: 1000, Streams: 1, InFlight: 1, Size: small}, false, budget{}},

	{"h2-broadcast", perDelivery, load.Spec{Proto: load.H2, TLS: true, Conns: 100, Streams: 100, InFlight: 1, Size: small}, false,
		budget{TimesBest: 0.1, Allocs: 0.01}},
	{"h2-broadcast-stalled", perDelivery, load.Spec{Proto: load.H2, TLS: true, Conns: 100, Streams: 100, InFlight: 1, Size: small, Stalled: 1}, false,
		budget{Allocs: 0.01}},
	{"h1-tls-broadcast", perDelivery, load.Spec{Proto: load.H1, TLS: true, Conns: 1000, Streams: 1, InFlight: 1, Size: small}, false,
		budget{}},
}

// spec is how w loads p: a floor gets the same messages without a protocol around them, as many in flight, and who broadcasts over
// HTTP/1.1 alone gets a connection for each WebSocket.
func (w *workload) spec(p *peers.Peer) load.Spec {
	s := w.Spec
	switch {
	case p.Floor:
		s.Proto = load.Raw
	case w.Kind == perDelivery && !p.Serves(s.Proto, s.TLS):
		s.Proto, s.Conns, s.Streams = load.H1, s.WebSockets(), 1
	}
	return s
}

// asks reports whether p has an answer to w.
func (w *workload) asks(p *peers.Peer) bool {
	switch {
	case p.IdleOnly && w.Kind != perIdle,
		p.Several && w.Spec.InFlight < 2,
		p.Floor && (w.Kind == perOpening || w.Kind == perIdle || w.Spec.Proto == load.H3),
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
	return map[string]float64{"weft-callbacks": b.Callbacks, "weft-blocking": b.Blocking, "weft-handler": b.Handler}[p.Name]
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
	}
	shape := fmt.Sprintf("%d connections", s.Conns)
	if s.Proto != load.H1 {
		shape = fmt.Sprintf("%d x %d WebSockets", s.Conns, s.Streams)
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
	return fmt.Sprintf("%s, %s, %d in flight, %s", over, shape, s.InFlight, size)
}

func (k kind) unit() string {
	return [...]string{"us/message", "ns/byte", "us/opening", "bytes", "us/delivery"}[k]
}
