package simnet

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// UDP says what happens to datagrams on the way to and from an address. The zero value delivers all of them in order,
// each after half a round trip of the [Link].
type UDP struct {
	Block  bool // datagrams are swallowed in silence
	Refuse bool // they are answered by ICMP port unreachable, as they are where nobody listens

	Loss         float64       // share of the datagrams that is lost, 0 to 1
	Reorder      float64       // share that arrives ReorderDelay later than the others, 0 to 1
	ReorderDelay time.Duration // 0: a quarter of the round trip
	Duplicate    float64       // share that arrives twice, the second time ReorderDelay later, 0 to 1
	Damage       float64       // share of which one bit is changed, 0 to 1

	MTU int // larger packets, IP header included, are lost; 0: 1500, which is also the most
}

// A Fate is what becomes of a datagram.
type Fate int

const (
	Deliver Fate = iota
	Drop
	Double // it arrives twice, the second time a quarter of the round trip later
	Garble // one bit of it is changed
)

// FilterUDP has f decide on every datagram that is sent from now on, before the settings of UDP do; nil ends that. i counts the
// client's, or the servers', datagrams from 0. f is called one datagram at a time and must not block or call the Network.
func (n *Network) FilterUDP(f func(client bool, i int) Fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filter, n.filtered = f, [2]int{}
}

// SetUDP sets what happens to the datagrams that are sent from now on to and from addr ("10.0.0.2:443"), or, where addr
// is "", to and from every address that has no setting of its own. The destination's setting comes before the source's.
func (n *Network) SetUDP(addr string, u UDP) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.udp[addr] = u
}

// Seed seeds the generators of the sockets that are opened from now on; which of a socket's datagrams are lost and
// late depends on the seed, its address and their order alone. The default is 0.
func (n *Network) Seed(seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seed = seed
}

// ListenPacket opens a UDP socket on addr, "10.0.0.2:443"; ":0" is a fresh port of the client's host. It panics where addr
// is no address or in use. A server's socket is closed by [Network.Close] and at the end of [Run]; a client's that is
// left open is reported, as connections are.
func (n *Network) ListenPacket(addr string) *PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == ":0" {
		return n.openPacketConn(n.clientAddr(), nil)
	}
	return n.openPacketConn(netip.MustParseAddrPort(addr), nil)
}

// dialUDP opens a connected socket.
func (n *Network) dialUDP(network, addr string) (net.Conn, error) {
	to, err := n.resolve(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.openPacketConn(n.clientAddr(), (*net.UDPAddr)(to)), nil
}

// clientAddr is the client's host with the next port. It needs n.mu.
func (n *Network) clientAddr() netip.AddrPort {
	for {
		addr := netip.AddrPortFrom(clientHost, uint16(49152+n.ports%16384))
		n.ports++
		if n.sockets[addr] == nil {
			return addr
		}
	}
}

// A way is what becomes of a datagram.
type way struct {
	to      *PacketConn // nil: it is lost
	delay   time.Duration
	again   time.Duration // after delay it arrives once more; 0: it does not
	damaged int           // the bit that is changed; -1: none
	refused bool          // its sender hears of ICMP after delay
}

// way returns what becomes of a datagram that is sent now.
func (n *Network) way(from *PacketConn, dst netip.AddrPort, size int) way {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Packets++
	u, l := n.settings(from, dst)
	w := way{to: n.sockets[dst], delay: l.RTT / 2, damaged: -1}
	lost, late := from.rng.Float64() < u.Loss, from.rng.Float64() < u.Reorder
	fate := n.fate(from)
	switch {
	case u.Block, lost, fate == Drop, size > cmp.Or(u.MTU, maxPacketBytes)-headerBytes(dst):
		w.to = nil
	case u.Refuse, w.to == nil:
		w.to, w.refused, w.delay = nil, true, l.RTT
	case late:
		w.delay += cmp.Or(u.ReorderDelay, l.RTT/4)
	}
	// The generator is asked only for what is wanted, so that a seed goes on meaning what it did.
	if fate == Double || u.Duplicate > 0 && from.rng.Float64() < u.Duplicate {
		w.again = cmp.Or(u.ReorderDelay, l.RTT/4)
	}
	if size > 0 && (fate == Garble || u.Damage > 0 && from.rng.Float64() < u.Damage) {
		w.damaged = from.rng.IntN(8 * size)
	}
	if w.to == nil {
		n.stats.PacketsLost++
	}
	return w
}

// settings returns those for a datagram. It needs n.mu.
func (n *Network) settings(from *PacketConn, dst netip.AddrPort) (UDP, Link) {
	src := from.local.AddrPort().String()
	u, ok := n.udp[dst.String()]
	if !ok {
		if u, ok = n.udp[src]; !ok {
			u = n.udp[""]
		}
	}
	l, ok := n.links[dst.String()]
	if !ok {
		l = n.links[src]
	}
	if l.RTT == 0 {
		l.RTT = n.rtt
	}
	return u, l
}

// fate asks the filter. It needs n.mu.
func (n *Network) fate(from *PacketConn) Fate {
	if n.filter == nil {
		return Deliver
	}
	side := 0
	if from.client {
		side = 1
	}
	n.filtered[side]++
	return n.filter(from.client, n.filtered[side]-1)
}

// openPacketConn needs n.mu.
func (n *Network) openPacketConn(local netip.AddrPort, remote *net.UDPAddr) *PacketConn {
	if n.sockets[local] != nil {
		panic("simnet: " + local.String() + "/udp is in use")
	}
	c := &PacketConn{
		net: n, local: net.UDPAddrFromAddrPort(local), remote: remote, opened: time.Now(),
		client: local.Addr() == clientHost,
		rng:    rand.New(rand.NewPCG(n.seed, socketSeed(local))),
	}
	n.sockets[local] = c
	return c
}

func socketSeed(a netip.AddrPort) (seed uint64) {
	for _, b := range a.Addr().As16() {
		seed = seed*31 + uint64(b)
	}
	return seed<<16 | uint64(a.Port())
}

// headerBytes is what IP and UDP take of a packet.
func headerBytes(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return 20 + 8
	}
	return 40 + 8
}

var clientHost = netip.AddrFrom4([4]byte{10, 0, 0, 1})

// maxPacketBytes is the MTU of every link, IP header included.
const maxPacketBytes = 1500

// DialUDP opens a socket for datagrams to addr, a name that AddHost gave an address or the address, and says which that is.
func (n *Network) DialUDP(_ context.Context, addr string) (net.PacketConn, net.Addr, error) {
	to, err := n.resolve(addr)
	if err != nil {
		return nil, nil, &net.OpError{Op: "dial", Net: "udp", Err: err}
	}
	return n.ListenPacket(":0"), (*net.UDPAddr)(to), nil
}
