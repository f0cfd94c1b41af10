package h3

import (
	"net"
	"sync/atomic"

	"golang.org/x/net/ipv4"
)

// A heardConn is a socket that notes whether any packet has come: a network that swallows UDP differs from a server that
// refuses, or is slow.
type heardConn interface {
	net.PacketConn
	heard() bool
}

// listen wraps pc. A *net.UDPConn keeps what quic-go can do with it: batches, ECN, segmentation offload.
func listen(pc net.PacketConn) heardConn {
	if udp, ok := pc.(*net.UDPConn); ok {
		return &udpConn{UDPConn: udp, batches: ipv4.NewPacketConn(udp)}
	}
	return &packetConn{PacketConn: pc}
}

type packetConn struct {
	net.PacketConn
	packets atomic.Bool
}

func (c *packetConn) heard() bool { return c.packets.Load() }

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := c.PacketConn.ReadFrom(p)
	if err == nil && !c.packets.Load() {
		c.packets.Store(true)
	}
	return n, addr, err
}

type udpConn struct {
	*net.UDPConn
	batches *ipv4.PacketConn
	packets atomic.Bool
}

func (c *udpConn) heard() bool { return c.packets.Load() }

func (c *udpConn) hear(err error) {
	if err == nil && !c.packets.Load() {
		c.packets.Store(true)
	}
}

// ReadBatch is what quic-go reads by where the system has it; ReadFrom and ReadMsgUDP elsewhere.
func (c *udpConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := c.batches.ReadBatch(ms, flags)
	c.hear(err)
	return n, err
}

// ReadFrom implements net.PacketConn.
func (c *udpConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := c.UDPConn.ReadFrom(p)
	c.hear(err)
	return n, addr, err
}

// ReadMsgUDP implements quic.OOBCapablePacketConn.
func (c *udpConn) ReadMsgUDP(p, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, addr, err = c.UDPConn.ReadMsgUDP(p, oob)
	c.hear(err)
	return n, oobn, flags, addr, err
}
