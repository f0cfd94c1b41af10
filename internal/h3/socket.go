package h3

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// A socket is a server's *net.UDPConn that allocates nothing for a packet: the addresses of peers are made once. One goroutine
// reads, as quic-go does.
type socket struct {
	*net.UDPConn
	peers map[netip.AddrPort]*net.UDPAddr
}

func newSocket(c *net.UDPConn) *socket {
	return &socket{UDPConn: c, peers: make(map[netip.AddrPort]*net.UDPAddr)}
}

// ReadBatch is what quic-go reads by where the system has it.
//
// Choice: one packet at a time. What recvmmsg saves is lost again by the address that x/net allocates for each of them.
func (s *socket) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	m := &ms[0]
	n, oobn, flags, addr, err := s.ReadMsgUDPAddrPort(m.Buffers[0], m.OOB)
	if err != nil {
		return 0, err
	}
	m.N, m.NN, m.Flags, m.Addr = n, oobn, flags, s.peer(addr)
	return 1, nil
}

func (s *socket) peer(addr netip.AddrPort) *net.UDPAddr {
	if a := s.peers[addr]; a != nil {
		return a
	}
	if len(s.peers) >= maxPeers {
		clear(s.peers) // whoever is still there is noted again; source addresses can be made up
	}
	a := net.UDPAddrFromAddrPort(addr)
	s.peers[addr] = a
	return a
}

// WriteMsgUDP implements quic.OOBCapablePacketConn.
func (s *socket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	return s.WriteMsgUDPAddrPort(b, oob, addr.AddrPort())
}

// maxPeers bounds the addresses that are kept.
const maxPeers = 4096
