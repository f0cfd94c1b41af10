//go:build !linux

package h3

import "net"

// joinPackets asks the system to join packets that arrive together, and reports whether it does.
func joinPackets(*net.UDPConn) bool { return false }

func joinedSize([]byte) int { return 0 }
