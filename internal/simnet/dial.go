package simnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// DialContext connects to addr, "10.0.0.2:443" or a name that AddHost gave an address. It takes one round trip, SYN and
// SYN-ACK. Where nobody listens it fails after one round trip with ECONNREFUSED, and a SYN that is swallowed fails with
// ctx, at the latest after two minutes with ETIMEDOUT. Errors are *net.OpError, as from package net. On "udp" it makes a
// connected *PacketConn and takes no time.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if strings.HasPrefix(network, "udp") {
		return n.dialUDP(network, addr)
	}
	n.count(func(s *Stats) { s.Dials++ })
	to, err := n.resolve(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	l := n.link(to.String())
	if l.BlackHole {
		if err := sleep(ctx, synTimeout); err != nil {
			return fail(err)
		}
		return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
	}
	if err := sleep(ctx, l.RTT/2); err != nil {
		return fail(err)
	}
	ln := n.listener(to.String())
	if ln == nil || l.Refuse {
		if err := sleep(ctx, l.RTT/2); err != nil {
			return fail(err)
		}
		n.count(func(s *Stats) { s.Refused++ })
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	client, accepted := n.connect(l, to)
	client.strike()
	accepted.strike()
	// The server has the connection when the third packet of the handshake, the ACK, has arrived.
	ln.arrive(accepted, time.Now().Add(l.RTT))
	if err := sleep(ctx, l.RTT/2); err != nil {
		client.Reset()
		return fail(err)
	}
	n.count(func(s *Stats) { s.Opened++ })
	return client, nil
}

// Dial is DialContext on "tcp" without a context.
func (n *Network) Dial(addr string) (net.Conn, error) {
	return n.DialContext(context.Background(), "tcp", addr)
}

// AddHost gives name addresses, for LookupNetIP and DialContext (which uses the first).
func (n *Network) AddHost(name string, addrs ...string) {
	ips := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		ips[i] = netip.MustParseAddr(a)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = ips
}

// LookupNetIP is net.Resolver's: network is "ip", "ip4" or "ip6". It takes no time.
func (n *Network) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else {
		n.mu.Lock()
		ips = append(ips, n.hosts[host]...)
		n.mu.Unlock()
	}
	var found []netip.Addr
	for _, ip := range ips {
		if network == "ip" || ip.Is4() == (network == "ip4") {
			found = append(found, ip)
		}
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

func (n *Network) resolve(addr string) (*net.TCPAddr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := n.LookupNetIP(context.Background(), "ip", host)
	if err != nil {
		return nil, err
	}
	p, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ips[0], uint16(p))), nil
}

// sleep waits for d, or returns ctx's error. A ctx that is already done wins.
func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// synTimeout is how long Linux repeats a SYN (net.ipv4.tcp_syn_retries = 6).
const synTimeout = 127 * time.Second
