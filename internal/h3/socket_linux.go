package h3

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// joinPackets asks the system to join packets that arrive together, and reports whether it does.
func joinPackets(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) })
	return err == nil && set == nil
}

// joinedSize is the size of the packets that a read has joined, by its control messages; 0: it is one packet.
func joinedSize(oob []byte) int {
	for len(oob) > 0 {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if hdr.Level == unix.IPPROTO_UDP && hdr.Type == unix.UDP_GRO && len(data) >= 2 {
			return int(binary.NativeEndian.Uint16(data))
		}
		oob = rest
	}
	return 0
}
