package resolver

import (
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A record that cannot be used is left out, and a malformed one spoils the set.
func TestParams(t *testing.T) {
	const (
		used = iota
		skipped
		malformed
	)
	for name, c := range map[string]struct {
		params string // SvcParams on the wire
		want   int
	}{
		"none":                      {"", used},
		"unknown key":               {"\xff\x00\x00\x01x", used},
		"alpn":                      {"\x00\x01\x00\x03\x02h3", used},
		"alpn, empty":               {"\x00\x01\x00\x00", malformed},
		"alpn, empty id":            {"\x00\x01\x00\x01\x00", malformed},
		"alpn, id cut off":          {"\x00\x01\x00\x03\x03h3", malformed},
		"no-default-alpn":           {"\x00\x01\x00\x03\x02h3\x00\x02\x00\x00", used},
		"no-default-alpn, no alpn":  {"\x00\x02\x00\x00", skipped},
		"no-default-alpn, a value":  {"\x00\x01\x00\x03\x02h3\x00\x02\x00\x01x", malformed},
		"port":                      {"\x00\x03\x00\x02\x01\xbb", used},
		"port 0":                    {"\x00\x03\x00\x02\x00\x00", skipped},
		"port, 1 byte":              {"\x00\x03\x00\x01\x01", malformed},
		"ipv4hint":                  {"\x00\x04\x00\x04\x0a\x00\x00\x01", used},
		"ipv4hint, empty":           {"\x00\x04\x00\x00", malformed},
		"ipv4hint, 5 bytes":         {"\x00\x04\x00\x05\x0a\x00\x00\x01\x00", malformed},
		"ech":                       {"\x00\x05\x00\x03\x00\x01x", used},
		"ech, another length":       {"\x00\x05\x00\x03\x00\x02x", malformed},
		"ech, empty":                {"\x00\x05\x00\x02\x00\x00", malformed},
		"ipv6hint, 4 bytes":         {"\x00\x06\x00\x04\x0a\x00\x00\x01", malformed},
		"mandatory":                 {"\x00\x00\x00\x04\x00\x01\x00\x03\x00\x01\x00\x03\x02h3\x00\x03\x00\x02\x01\xbb", used},
		"mandatory, unknown":        {"\x00\x00\x00\x02\xff\x00\xff\x00\x00\x01x", skipped},
		"mandatory, dohpath":        {"\x00\x00\x00\x02\x00\x07\x00\x07\x00\x01/", skipped},
		"mandatory, absent":         {"\x00\x00\x00\x02\x00\x01", skipped},
		"mandatory, empty":          {"\x00\x00\x00\x00", malformed},
		"mandatory, 3 bytes":        {"\x00\x00\x00\x03\x00\x01\x00", malformed},
		"mandatory, itself":         {"\x00\x00\x00\x02\x00\x00", malformed},
		"mandatory, twice the same": {"\x00\x00\x00\x04\x00\x01\x00\x01\x00\x01\x00\x03\x02h3", malformed},
		"keys out of order":         {"\x00\x03\x00\x02\x01\xbb\x00\x01\x00\x03\x02h3", malformed},
		"a key twice":               {"\x00\x03\x00\x02\x01\xbb\x00\x03\x00\x02\x01\xbb", malformed},
		"cut off in a key":          {"\x00", malformed},
		"cut off in a value":        {"\x00\x01\x00\x04\x02h3", malformed},
	} {
		t.Run(name, func(t *testing.T) {
			raw := record{300, &dnsmessage.UnknownResource{
				Type: dnsmessage.TypeHTTPS, Data: []byte("\x00\x01\x01a\x04test\x00" + c.params),
			}}
			zone := map[string][]record{"example.com": {raw, service(2, "b.test.")}}
			run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
				switch c.want {
				case used:
					wantTargets(t, r, "443", "1 a.test", "2 b.test")
				case skipped:
					wantTargets(t, r, "443", "2 b.test")
				case malformed:
					wantError(t, r, "malformed")
				}
			})
		})
	}
}

// Records that are not asked for, malformed ones too, do no harm, and those of another class are none.
func TestForeignRecords(t *testing.T) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("example.com."), Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
	rr := func(name string, class dnsmessage.Class, body dnsmessage.ResourceBody) dnsmessage.Resource {
		return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: class, TTL: 60}, Body: body}
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 1, Response: true}, Questions: []dnsmessage.Question{q},
		Answers: []dnsmessage.Resource{
			rr("other.test.", dnsmessage.ClassINET, &dnsmessage.UnknownResource{Type: dnsmessage.TypeHTTPS, Data: []byte("x")}),
			rr("example.com.", dnsmessage.ClassCHAOS, service(1, "chaos.test.").data),
			rr("example.com.", dnsmessage.ClassINET, &dnsmessage.TXTResource{TXT: []string{"text"}}),
			rr("www.example.com.", dnsmessage.ClassINET, service(3, "right.test.").data),
			rr("example.com.", dnsmessage.ClassINET, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("WWW.example.com.")}),
			rr("www.example.com.", dnsmessage.ClassINET, service(2, "a b.test.").data),
		},
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAnswer(msg, 1, q)
	if err != nil || len(a.records) != 1 || a.records[0].Target != "right.test" || a.owner != "www.example.com." {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzAnswer(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("example.com."), Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
	for _, zone := range []map[string][]record{
		nil,
		{"SOA": {{60, &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("."), MBox: dnsmessage.MustNewName("."), MinTTL: 60}}}},
		{"example.com": {alias("a.test.")}},
		{"example.com": {cname("a.test.")}, "a.test": {service(1, ".", mandatory, "\x00\x01\x00\x03", alpn, "\x02h2\x02h3", noDefaultALPN, "",
			port, "\x01\xbb", ipv4Hint, "abcd", ech, "\x00\x01x", ipv6Hint, strings.Repeat("x", 32)), service(2, "b.test.")}},
	} {
		f.Add(build(7, q, zone))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, err := parseAnswer(msg, 7, q)
		if err != nil {
			return
		}
		if a.ttl < 0 || a.ttl > maxTTL || len(a.aliases) > 0 && len(a.records) > 0 {
			t.Fatalf("%+v", a)
		}
		for _, name := range a.aliases {
			if name != "." && !isHostname(hostOf(name)) {
				t.Fatalf("alias %q", name)
			}
		}
		for _, h := range a.records {
			if h.Priority == 0 || !isHostname(h.Target) || h.NoDefaultALPN && len(h.ALPN) == 0 {
				t.Fatalf("%+v", h)
			}
			for _, addr := range append(h.IPv4Hint, h.IPv6Hint...) {
				if !addr.IsValid() {
					t.Fatalf("%+v", h)
				}
			}
		}
	})
}
