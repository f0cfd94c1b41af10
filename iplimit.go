package weft

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/weftws/weft/internal/handshake"
)

// IPLimits are how much of a server one client address may have at a time. An IPv6 address counts as its /64. 0 means the default,
// which is meant to be out of reach for the households and offices behind one address; a negative number means no limit.
type IPLimits struct {
	// Connections are those of TCP and QUIC together, on a [Server]; 0: 4096. One more is closed before TLS, and refused by QUIC
	// (CONNECTION_REFUSED).
	Connections int
	// Handshakes are the connections of a [Server] that are not ready: those of TCP that have not sent their first request, nor begun
	// HTTP/2, and those of QUIC whose handshake is under way; 0: 512. One more is closed before TLS, and refused by QUIC. There only those of clients
	// count that have proven their address (RFC 9000, Section 8.1); above as many others each has to prove it first, which costs a round trip.
	Handshakes int
	// WebSockets are those that [Accept], [Bridge], [BridgeMessages] or package gorilla opened; 0: 10000. One more is answered 429, with
	// Retry-After. The address is that of http.Request.RemoteAddr, which a handler in front may have set to what a trusted proxy says. Over
	// HTTP/1.1 weft has no part in another library's WebSocket without BridgeMessages: there it is one of Connections.
	WebSockets int

	// Exempt are addresses without limits: those of proxies. nil: loopback, link-local and private ones (RFC 1918, RFC 4193, and RFC 6598's
	// 100.64.0.0/10). Empty: none.
	Exempt []netip.Prefix
}

const (
	defaultConnsPerIP      = 4096
	defaultHandshakesPerIP = 512
	defaultSocketsPerIP    = 10000
)

// exemptByDefault are the addresses that reverse proxies and load balancers have.
var exemptByDefault = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
}

// withDefaults returns l with what 0 stands for; then 0 means no limit.
func (l IPLimits) withDefaults() IPLimits {
	for n, otherwise := range map[*int]int{&l.Connections: defaultConnsPerIP, &l.Handshakes: defaultHandshakesPerIP, &l.WebSockets: defaultSocketsPerIP} {
		if *n == 0 {
			*n = otherwise
		}
		*n = max(*n, 0)
	}
	if l.Exempt == nil {
		l.Exempt = exemptByDefault
	}
	return l
}

// An ipTable counts what each client address has.
type ipTable struct {
	limits IPLimits
	mu     sync.Mutex
	// Invariant: an entry has something.
	counts map[netip.Addr]*ipCount
}

// An ipCount is what one address has. Guarded by ipTable.mu.
type ipCount struct {
	key netip.Addr
	n   [kinds]int
}

type ipKind uint8

const (
	connections ipKind = iota
	handshakes
	webSockets
	unproven // handshakes of QUIC for which the address is no more than a claim
	kinds
)

// String returns the name, "too-many-" before which is that of the violation.
func (k ipKind) String() string {
	return [kinds]string{"connections", "handshakes", "websockets", "unproven handshakes"}[k]
}

func newIPTable(l IPLimits) *ipTable {
	return &ipTable{limits: l.withDefaults(), counts: make(map[netip.Addr]*ipCount)}
}

func (t *ipTable) limit(k ipKind) int {
	return [kinds]int{t.limits.Connections, t.limits.Handshakes, t.limits.WebSockets, t.limits.Handshakes}[k]
}

// key is under which a is counted; not ok: it is not.
func (t *ipTable) key(a netip.Addr) (key netip.Addr, ok bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return a, false
	}
	for _, p := range t.limits.Exempt {
		if p.Contains(a) {
			return a, false
		}
	}
	if a.Is6() {
		p, _ := a.Prefix(64) // it has so many bits
		a = p.Addr()
	}
	return a, true
}

// keyOf is key for what the net package says.
func (t *ipTable) keyOf(a net.Addr) (netip.Addr, bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return t.key(a.AddrPort().Addr())
	case *net.UDPAddr:
		return t.key(a.AddrPort().Addr())
	}
	return netip.Addr{}, false
}

// keyOfText is key for an http.Request's RemoteAddr, with or without a port.
func (t *ipTable) keyOfText(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return t.key(ap.Addr())
	}
	a, _ := netip.ParseAddr(s) // the zero Addr is not counted
	return t.key(a)
}

// full reports whether key may have no more of k.
func (t *ipTable) full(key netip.Addr, k ipKind) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, limit := t.counts[key], t.limit(k)
	return limit > 0 && c != nil && c.n[k] >= limit
}

// take counts one more for key; nil: it has as many as it may.
func (t *ipTable) take(key netip.Addr, k ipKind) *ipCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts[key]
	if limit := t.limit(k); limit > 0 && c != nil && c.n[k] >= limit {
		return nil
	}
	if c == nil {
		c = &ipCount{key: key}
		t.counts[key] = c
	}
	c.n[k]++
	return c
}

// give takes back what take counted.
func (t *ipTable) give(c *ipCount, k ipKind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.n[k]--
	if c.n == [kinds]int{} {
		delete(t.counts, c.key)
	}
}

// takeWebSocket counts one more WebSocket of a client; nil: it is not counted. It also works on a nil registry.
func (g *registry) takeWebSocket(remote string) (*ipCount, *handshake.Error) {
	if g == nil || g.perIP == nil {
		return nil, nil
	}
	key, ok := g.perIP.keyOfText(remote)
	if !ok {
		return nil, nil
	}
	n := g.perIP.take(key, webSockets)
	if n != nil {
		return n, nil
	}
	// "The response representations SHOULD include details explaining the condition, and MAY include a Retry-After header indicating how
	// long to wait before making a new request." RFC 6585, Section 4.
	return nil, &handshake.Error{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {retryAfterSeconds}}, Name: "too-many-websockets",
		Section: "RFC 6585, Section 4", Detail: fmt.Sprintf("client's address has %d WebSockets open, as many as it may", g.perIP.limit(webSockets)),
	}
}

const retryAfterSeconds = "30"
