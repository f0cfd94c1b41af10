package weft

import (
	"net"
	"sync/atomic"
)

// quicLimits are IPLimits for QUIC, where whoever sends a packet can put any address into it. What such an address has is counted
// apart, and costs it no more than a round trip.
//
//	first packet ──┬─ address unproven ──┬─ few such handshakes under way ─▶ let in, counted as unproven
//	               │                     └─ many ─▶ Retry ─▶ first packet, proven
//	               └─ proven ──┬─ fewer than PerIP.Handshakes ─▶ let in, counted as a handshake
//	                           └─ as many ─▶ CONNECTION_REFUSED
type quicLimits struct {
	table    *ipTable
	refused  func(remote net.Addr, k ipKind)
	unproven atomic.Int64 // handshakes under way of all clients that have not proven their address
}

// maxUnproven is for how many handshakes something is kept before every client has to prove its address first: a few tens of MB.
const maxUnproven = 1000

// prove says whether who claims to be at remote has to prove it.
//
// "A server can also use a Retry packet to defer the state and processing costs of connection establishment." RFC 9000, Section 8.1.2.
func (l *quicLimits) prove(remote net.Addr) bool {
	if l.unproven.Load() >= maxUnproven {
		return true
	}
	key, ok := l.table.keyOf(remote)
	return ok && l.table.full(key, unproven)
}

// begin takes account of a handshake; nil: it is one too many.
//
// "If a server refuses to accept a new connection, it SHOULD send an Initial packet containing a CONNECTION_CLOSE frame with error code
// CONNECTION_REFUSED." RFC 9000, Section 5.2.2.
func (l *quicLimits) begin(remote net.Addr, proven bool) (over func()) {
	key, counted := l.table.keyOf(remote)
	if counted && l.table.full(key, connections) {
		l.refused(remote, connections)
		return nil
	}
	kind := handshakes
	if !proven {
		kind = unproven
		l.unproven.Add(1)
	}
	var n *ipCount
	if counted {
		n = l.table.take(key, kind)
	}
	if counted && n == nil && proven {
		l.refused(remote, handshakes)
		return nil
	}
	return func() {
		if !proven {
			l.unproven.Add(-1)
		}
		if n != nil {
			l.table.give(n, kind)
		}
	}
}

// admit takes account of a connection whose client is at remote; nil: it is one too many.
func (l *quicLimits) admit(remote net.Addr) (release func()) {
	key, ok := l.table.keyOf(remote)
	if !ok {
		return func() {}
	}
	n := l.table.take(key, connections)
	if n == nil {
		l.refused(remote, connections)
		return nil
	}
	return func() { l.table.give(n, connections) }
}
