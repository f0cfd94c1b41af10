package h3

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// A socket is a server's *net.UDPConn that allocates nothing for a packet: the addresses of peers are made once. Where the system
// joins packets of one peer that arrive together (UDP_GRO, Linux 5.0), one read gets them all. One goroutine reads, as quic-go does.
type socket struct {
	*net.UDPConn
	peers map[netip.AddrPort]*net.UDPAddr

	joined []byte // read into where the system joins packets; nil: it does not
	oob    [128]byte

	// What ReadBatch has not returned yet of the last read: packets of size bytes, the last one perhaps shorter.
	rest  []byte
	size  int
	oobn  int
	flags int
	from  *net.UDPAddr
}

func newSocket(c *net.UDPConn) *socket {
	s := &socket{UDPConn: c, peers: make(map[netip.AddrPort]*net.UDPAddr)}
	if joinPackets(c) {
		s.joined = make([]byte, maxJoined)
	}
	return s
}

// ReadBatch is what quic-go reads by where the system has it.
//
// Choice: not recvmmsg. A server that keeps up finds one packet at a time, and x/net allocates the address of each.
func (s *socket) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	if s.joined == nil {
		m := &ms[0]
		n, oobn, flags, addr, err := s.ReadMsgUDPAddrPort(m.Buffers[0], m.OOB)
		if err != nil {
			return 0, err
		}
		m.N, m.NN, m.Flags, m.Addr = n, oobn, flags, s.peer(addr)
		return 1, nil
	}
	if len(s.rest) == 0 {
		n, oobn, flags, addr, err := s.ReadMsgUDPAddrPort(s.joined, s.oob[:])
		if err != nil {
			return 0, err
		}
		s.rest, s.oobn, s.flags, s.from = s.joined[:n], oobn, flags, s.peer(addr)
		if s.size = joinedSize(s.oob[:oobn]); s.size <= 0 {
			s.size = max(n, 1)
		}
	}
	return s.split(ms), nil
}

// split hands out packets of what was read, at least one.
func (s *socket) split(ms []ipv4.Message) int {
	for i := range ms {
		m := &ms[i]
		k := min(s.size, len(s.rest))
		m.N = copy(m.Buffers[0], s.rest[:k])
		m.NN = copy(m.OOB, s.oob[:s.oobn])
		m.Flags, m.Addr = s.flags, s.from
		if s.rest = s.rest[k:]; len(s.rest) == 0 {
			return i + 1
		}
	}
	return len(ms)
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

const (
	// maxPeers bounds the addresses that are kept.
	maxPeers = 4096
	// maxJoined is the most that the system joins: a UDP datagram's length field has 16 bits.
	maxJoined = 64 << 10
)
