package simnet

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Network connects addresses. All methods are safe for concurrent use. In fake time it belongs to the bubble that
// made it.
type Network struct {
	rtt   time.Duration
	start time.Time

	mu        sync.Mutex
	links     map[string]Link
	faults    map[string]*faultPlan
	hosts     map[string][]netip.Addr
	listeners map[string]*Listener
	ends      map[*Conn]struct{} // Invariant: the ends that are neither closed nor reset by their owner
	udp       map[string]UDP
	sockets   map[netip.AddrPort]*PacketConn // Invariant: the UDP sockets that are open
	seed      uint64
	filter    func(client bool, i int) Fate
	filtered  [2]int // the servers' and the client's datagrams that it was asked about
	tap       func(Segment)
	stats     Stats
	ports     int // client ports given out
}

// New returns a network on which every round trip takes rtt. Outside a bubble that is real time.
func New(rtt time.Duration) *Network {
	return &Network{
		rtt:       rtt,
		start:     time.Now(),
		links:     make(map[string]Link),
		faults:    make(map[string]*faultPlan),
		hosts:     make(map[string][]netip.Addr),
		listeners: make(map[string]*Listener),
		ends:      make(map[*Conn]struct{}),
		udp:       make(map[string]UDP),
		sockets:   make(map[netip.AddrPort]*PacketConn),
	}
}

// RTT is the round trip time of every address that has none of its own.
func (n *Network) RTT() time.Duration { return n.rtt }

// RoundTrips is the time since start in round trips of RTT.
func (n *Network) RoundTrips(start time.Time) float64 {
	return float64(time.Since(start)) / float64(n.rtt)
}

// A Link says what the way to an address is like. The zero value is a good one, of the network's RTT.
type Link struct {
	RTT time.Duration // 0: the network's

	// SendBuffer bounds the bytes that are written and not yet read at the other end, in each direction; a Write
	// that finds no room blocks. 0: unbounded.
	SendBuffer int
	// Segment is how many bytes one Read returns at most, however many have arrived; 0: what it has room for.
	Segment int

	Refuse    bool // a SYN is answered by RST, as it is where nobody listens
	BlackHole bool // a SYN is answered by nothing
}

// SetLink sets what the way to addr ("10.0.0.2:443") is like for connections that are dialed, and for datagrams (their
// RTT only) that are sent, from now on.
func (n *Network) SetLink(addr string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[addr] = l
}

// Cut cuts the cable of all connections to addr that are open now: what either end sends from now on, FIN and RST
// included, is lost in silence.
func (n *Network) Cut(addr string) {
	for _, c := range n.openEnds() {
		if c.remote.String() == addr || c.local.String() == addr {
			c.out.cut()
		}
	}
}

// Sleep stalls all connections to addr that are open now: what either end sends from now on, FIN and RST included, arrives when d has passed. So
// does it look to a server when its client's machine sleeps.
func (n *Network) Sleep(addr string, d time.Duration) {
	until := time.Now().Add(d)
	for _, c := range n.openEnds() {
		if c.remote.String() == addr || c.local.String() == addr {
			c.out.stall(until)
		}
	}
}

// A Segment is one Write on the network.
type Segment struct {
	At       time.Duration // since the network was made
	From, To string        // addresses
	Client   bool          // the end that dialed wrote it
	Data     []byte        // a copy
}

// Tap sees every Write on a connection from now on; nil ends that. f is called one Write at a time on the writer's goroutine and must not
// block or call the Network.
func (n *Network) Tap(f func(Segment)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Stats count what happened on a Network.
type Stats struct {
	Dials    int   // DialContext was called
	Opened   int   // connections established
	Refused  int   // dials answered by RST
	EndsOpen int   // ends of connections that their owners have not closed; an established connection has two
	Writes   int   // calls of Write that sent something
	Bytes    int64 // sent, both directions
	Faults   int   // that have struck

	Packets     int // datagrams sent
	PacketsLost int // of them, those that no socket received
}

// Stats returns the counts as they stand.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.stats
	s.EndsOpen = len(n.ends)
	return s
}

// Open lists the ends of connections and the client's sockets that their owners have not closed, for a check of leaks.
func (n *Network) Open() []string {
	var s []string
	for _, c := range n.openEnds() {
		side := "server"
		if c.client {
			side = "client"
		}
		s = append(s, fmt.Sprintf("%s end of %v - %v, opened at %v", side, c.local, c.remote, c.opened.Sub(n.start)))
	}
	for _, c := range n.openSockets() {
		if !c.client {
			continue // it is as a listener is
		}
		s = append(s, fmt.Sprintf("client's UDP socket %v, opened at %v", c.local, c.opened.Sub(n.start)))
	}
	return s
}

// Close closes every listener and socket, and resets every connection that is left.
func (n *Network) Close() error {
	n.closeListeners()
	for _, c := range n.openEnds() {
		c.Reset()
	}
	for _, c := range n.openSockets() {
		c.Close()
	}
	return nil
}

// closeListeners closes what listens, servers' sockets included.
func (n *Network) closeListeners() {
	n.mu.Lock()
	listeners := slices.Collect(maps.Values(n.listeners))
	n.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range n.openSockets() {
		if !c.client {
			c.Close()
		}
	}
}

func (n *Network) openSockets() []*PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.sockets))
}

func (n *Network) openEnds() []*Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.ends))
}

// connect makes a connection over l; its client end is the first.
func (n *Network) connect(l Link, server *net.TCPAddr) (client, accepted *Conn) {
	up, down := newFlow(l), newFlow(l)
	now := time.Now()

	n.mu.Lock()
	defer n.mu.Unlock()
	up.faults, down.faults = n.nextFaults(server.String())
	local := net.TCPAddrFromAddrPort(n.clientAddr())
	client = &Conn{net: n, in: down, out: up, local: local, remote: server, client: true, opened: now}
	accepted = &Conn{net: n, in: up, out: down, local: server, remote: local, opened: now}
	n.ends[client] = struct{}{}
	n.ends[accepted] = struct{}{}
	return client, accepted
}

func (n *Network) link(addr string) Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[addr]
	if l.RTT == 0 {
		l.RTT = n.rtt
	}
	return l
}

func (n *Network) listener(addr string) *Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[addr]
}

func (n *Network) count(f func(*Stats)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.stats)
}

// sent counts and taps one Write.
func (n *Network) sent(c *Conn, p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Writes++
	n.stats.Bytes += int64(len(p))
	if n.tap != nil {
		n.tap(Segment{
			At: time.Since(n.start), From: c.local.String(), To: c.remote.String(), Client: c.client, Data: append([]byte(nil), p...),
		})
	}
}

func (n *Network) gone(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ends, c)
}
