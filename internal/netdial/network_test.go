package netdial

import (
	"net"
	"testing"
)

func TestNetworkOf(t *testing.T) {
	addrs := func(cidrs ...string) (list []net.Addr) {
		for _, c := range cidrs {
			ip, n, err := net.ParseCIDR(c)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return list
	}
	home := networkOf(addrs("127.0.0.1/8", "192.168.1.20/24", "2001:db8::5/64", "fe80::1/64"))
	for _, tt := range []struct {
		name  string
		cidrs []string
		same  bool
	}{
		{"another order", []string{"2001:db8::5/64", "192.168.1.20/24"}, true},
		{"another address in the subnet", []string{"192.168.1.77/24", "2001:db8::abcd/64"}, true},
		{"another subnet", []string{"192.168.2.20/24", "2001:db8::5/64"}, false},
		{"one subnet less", []string{"192.168.1.20/24"}, false},
	} {
		if got := networkOf(addrs(tt.cidrs...)); got == "" || (got == home) != tt.same {
			t.Errorf("%s: %q, at home %q", tt.name, got, home)
		}
	}
	if got := networkOf(addrs("127.0.0.1/8", "::1/128")); got != "" {
		t.Errorf("loopback alone is network %q", got)
	}
}

func BenchmarkNetwork(b *testing.B) {
	for b.Loop() {
		Network()
	}
}
