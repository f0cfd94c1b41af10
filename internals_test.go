package weft

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// HeldMemory is what the server's connections hold, as ServerOptions.MaxMemory counts it.
func HeldMemory(s *Server) int64 { return registryFor(s).memory.Held() }

// registryFor is s's, also where the goroutine that serves has not been heard of yet.
func registryFor(s *Server) *registry {
	s.init()
	return s.reg
}

// GoAway is what Shutdown does to c, but that nobody waits for the peer's Close frame.
func GoAway(c *Conn) { c.goAway() }

// ConnectionsPerIP is how many connections are counted, of all addresses.
func ConnectionsPerIP(s *Server) int { return countedPerIP(s, connections) }

func countedPerIP(s *Server, k ipKind) (n int) {
	t := registryFor(s).perIP
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.counts {
		n += c.n[k]
	}
	return n
}

// Setting the wall clock fills no budget of control frames and empties none; time that has passed fills it, however much it is, once.
func TestControlBudgetWhenTheClockIsSet(t *testing.T) {
	var b controlBudget
	now := time.Now()
	spendAll := func(now time.Time) (n int) {
		for b.spend(now) {
			n++
		}
		return n
	}
	if n := spendAll(now); n != controlBurst {
		t.Errorf("%d frames at once, want %d", n, controlBurst)
	}
	for _, jump := range []time.Duration{-87600 * time.Hour, -time.Hour, time.Hour, 87600 * time.Hour} {
		if n := spendAll(simnet.SetWall(now, jump)); n != 0 {
			t.Errorf("%d frames more after the clock was set by %v", n, jump)
		}
	}
	for _, passed := range []time.Duration{time.Second, time.Hour, 87600 * time.Hour} {
		now = now.Add(passed)
		want := int(min(passed/(time.Second/controlRate), controlBurst))
		if n := spendAll(now); n < want-1 || n > want+1 {
			t.Errorf("%d frames after %v, want %d", n, passed, want)
		}
	}
}

// QUICHandshakesPerIP is how many handshakes are counted for addresses that are proven, or only claimed.
func QUICHandshakesPerIP(s *Server, proven bool) int {
	if proven {
		return countedPerIP(s, handshakes)
	}
	return countedPerIP(s, unproven)
}

// Where too many handshakes are under way whose clients may be anywhere, every client has to prove its address, whoever has begun them; none is
// refused for them.
func TestQUICLimitsProveAddresses(t *testing.T) {
	told := 0
	l := &quicLimits{table: newIPTable(IPLimits{Handshakes: 2}), refused: func(net.Addr, ipKind) { told++ }}
	at := func(i byte) net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, i), Port: 1} }
	if l.prove(at(1)) {
		t.Fatal("the first has to prove its address")
	}
	end := l.begin(at(1), false)
	l.begin(at(1), false)
	if !l.prove(at(1)) || l.prove(at(2)) {
		t.Fatal("2 handshakes are under way: who claims the same address has to prove it, and nobody else")
	}
	if end(); l.prove(at(1)) {
		t.Fatal("one of 2 has ended")
	}
	for range 2 {
		if l.begin(at(1), true) == nil {
			t.Fatal("refused for what others claim")
		}
	}
	if l.begin(at(1), true) != nil || told != 1 {
		t.Fatalf("a third proven handshake; told %d times", told)
	}
	for range maxUnproven {
		l.begin(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, false) // exempt, and counted here
	}
	if !l.prove(at(3)) || !l.prove(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) {
		t.Fatal("so many are under way, and a claim suffices")
	}
	if l.begin(at(3), false) == nil || l.begin(at(3), true) == nil {
		t.Fatal("somebody is refused")
	}
}

func TestIPKeys(t *testing.T) {
	table := newIPTable(IPLimits{})
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.1:443", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:443", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::"},
		{"2001:db8:1:2::9", "2001:db8:1:2::"},
		{"[2001:db8:1:3::9%eth0]:443", "2001:db8:1:3::"},
		{"127.0.0.1:1", ""}, {"[::1]:1", ""}, {"[::ffff:127.0.0.1]:1", ""}, {"10.1.2.3:1", ""}, {"172.31.0.1:1", ""}, {"172.32.0.1:1", "172.32.0.1"},
		{"192.168.1.1:1", ""}, {"100.64.0.1:1", ""}, {"[fd00::1]:1", ""}, {"[fe80::1%eth0]:1", ""}, {"169.254.1.1:1", ""},
		{"", ""}, {"@", ""}, {"a host:1", ""},
	} {
		key, ok := table.keyOfText(tt.remote)
		if ok != (tt.want != "") || ok && key.String() != tt.want {
			t.Errorf("%q: %v, %v, want %q", tt.remote, key, ok, tt.want)
		}
	}
	none := newIPTable(IPLimits{Exempt: []netip.Prefix{}})
	if _, ok := none.keyOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); !ok {
		t.Error("with no exemption the loopback is exempt")
	}
	if _, ok := none.keyOf(&net.UnixAddr{Name: "@"}); ok {
		t.Error("a Unix socket's address is counted")
	}
}

// A table counts each kind by itself, and forgets who has nothing.
func TestIPTable(t *testing.T) {
	table := newIPTable(IPLimits{Connections: 2, Handshakes: -1})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	n := table.take(a, connections)
	if n == nil || table.take(a, connections) != n || table.take(a, connections) != nil || !table.full(a, connections) {
		t.Fatal("2 are not 2")
	}
	if table.take(b, connections) == nil || table.full(b, connections) {
		t.Fatal("another address is counted together with it")
	}
	for range defaultHandshakesPerIP + 1 {
		if table.take(a, handshakes) == nil {
			t.Fatal("without a limit there is one")
		}
	}
	if table.limit(webSockets) != defaultSocketsPerIP {
		t.Fatal("0 is not the default")
	}
	for range defaultHandshakesPerIP + 1 {
		table.give(n, handshakes)
	}
	table.give(n, connections)
	table.give(n, connections)
	table.give(table.counts[b], connections)
	if len(table.counts) != 0 {
		t.Fatalf("%d addresses are remembered", len(table.counts))
	}
}
