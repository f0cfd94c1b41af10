package resolver

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Whatever is in the file, there is a server to ask, and not more than three.
func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch example.com\n")
	f.Add("# nameserver 192.0.2.1\nnameserver\tx\n")
	f.Add("nameserver ::1 nameserver 2\r\nnameserver\n")
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := parseResolvConf(strings.NewReader(text))
		if err != nil && len(text) < 60000 || len(servers) == 0 || len(servers) > 3 {
			t.Fatalf("%q: %q, %v", text, servers, err)
		}
		for _, s := range servers {
			if ap, err := netip.ParseAddrPort(s); err != nil || ap.Port() != 53 {
				t.Errorf("%q: server %q", text, s)
			}
		}
	})
}

// The name that is asked for can be asked for, and is that of the host.
func FuzzQueryName(f *testing.F) {
	f.Add("Example.com", "8443")
	f.Add("[::1]", "443")
	f.Add("fe80::1%eth0", "")
	f.Add(strings.Repeat("a.", 126)+"b", "00443")
	f.Add(strings.Repeat("x", 63)+".test.", "65535")
	f.Fuzz(func(t *testing.T, host, port string) {
		name, err := queryName(host, port)
		if err != nil || name == "" {
			return
		}
		n, err := dnsmessage.NewName(name)
		if err != nil {
			t.Fatalf("%q of %q:%q: %v", name, host, port, err)
		}
		q := dnsmessage.Question{Name: n, Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
		query, err := appendQuery(nil, 7, q)
		if err != nil {
			t.Fatalf("%q of %q:%q: %v", name, host, port, err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(query); err != nil || len(m.Questions) != 1 || m.Questions[0] != q {
			t.Fatalf("%x asks %v, %v", query, m.Questions, err)
		}
		if !strings.HasSuffix(name, strings.ToLower(strings.TrimSuffix(host, "."))+".") {
			t.Errorf("%q of %q", name, host)
		}
	})
}
