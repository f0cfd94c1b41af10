package netdial

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
)

// Network names the network that this machine is on, so that what was found out about one is not taken for another's: a digest of
// the subnets of its interfaces, "" without any. An address that changes within its subnet makes no new network.
func Network() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	return networkOf(addrs)
}

func networkOf(addrs []net.Addr) string {
	var subnets []string
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if ip := p.Addr(); err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		subnets = append(subnets, p.Masked().String())
	}
	if len(subnets) == 0 {
		return ""
	}
	slices.Sort(subnets)
	h := sha256.New()
	for _, s := range slices.Compact(subnets) {
		h.Write([]byte(s + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}
