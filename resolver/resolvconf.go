package resolver

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
)

// systemServers are the servers that the system asks.
func systemServers() ([]string, error) {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseResolvConf(f)
}

// parseResolvConf reads the nameserver lines of resolv.conf(5), of which the system's own resolver takes three; without one
// the server is on this machine. Its other options are for names that are not absolute, or not asked for here.
func parseResolvConf(r io.Reader) (servers []string, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == 3 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, net.JoinHostPort(addr.String(), "53"))
		}
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1:53"}
	}
	return servers, lines.Err()
}
