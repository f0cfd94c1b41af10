package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weftws/weft/internal/simnet"
)

func TestLookup(t *testing.T) {
	zone := map[string][]record{"example.com": {
		service(2, "alt.Example.net.", alpn, "\x02h2\x02h3", noDefaultALPN, "", port, "\x20\xfb",
			ipv4Hint, "\x0a\x00\x00\x02\x0a\x00\x00\x03", ech, "\x00\x03abc", ipv6Hint, "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"),
		service(1, ".", alpn, "\x02h3", mandatory, "\x00\x01"),
		service(3, "unknown.example.net.", dnsmessage.SVCParamDOHPath, "/dns"),
	}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		start := time.Now()
		got, err := r.LookupHTTPS(t.Context(), "Example.COM.", "443")
		want := []HTTPS{
			{Priority: 1, Target: "example.com", ALPN: []string{"h3"}, TTL: 300 * time.Second},
			{
				Priority: 2, Target: "alt.example.net", ALPN: []string{"h2", "h3"}, NoDefaultALPN: true, Port: 8443,
				IPv4Hint: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")},
				IPv6Hint: []netip.Addr{netip.MustParseAddr("fd00::2")}, ECH: []byte("\x00\x03abc"), TTL: 300 * time.Second,
			},
			{Priority: 3, Target: "unknown.example.net", TTL: 300 * time.Second},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
		if took := time.Since(start); took != rtt {
			t.Errorf("it took %v, want %v", took, rtt)
		}
	})
}

// Which name is asked for: "" none at all.
func TestQueryName(t *testing.T) {
	for in, want := range map[string]string{
		"example.com 443":   "example.com.",
		"Example.com. ":     "example.com.",
		"example.com 8443":  "_8443._https.example.com.",
		"example.com 80":    "_80._https.example.com.",
		"_a.example.com 1":  "_1._https._a.example.com.",
		"10.0.0.1 443":      "",
		"::1 443":           "",
		"[fd00::1%eth0] 80": "",
		"localhost 443":     "",
		"a.localhost 443":   "",
		"printer.local 443": "",
		"x.onion 443":       "",
		"intranet 443":      "",
		strings.Repeat("a23456789.", 23) + "com 443": strings.Repeat("a23456789.", 23) + "com.",
	} {
		host, port, _ := strings.Cut(in, " ")
		if got, err := queryName(host, port); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		" 443", "a..b 443", ".example.com 443", "exämple.com 443", "a\nb.com 443", "example.com x", "example.com 0", "example.com 65536",
		strings.Repeat("a", 64) + ".com 443", strings.Repeat("a23456789.", 25) + "abcd 443", strings.Repeat("a23456789.", 24) + "comcom 65535",
	} {
		host, port, _ := strings.Cut(in, " ")
		if got, err := queryName(host, port); err == nil {
			t.Errorf("%s: %q, want an error", in, got)
		}
	}
}

func TestPortPrefix(t *testing.T) {
	zone := map[string][]record{"_8443._https.example.com": {service(1, "."), service(2, "example.com.")}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		wantTargets(t, r, "8443", "1 _8443._https.example.com", "2 example.com")
		wantTargets(t, r, "443")
		if got := s.asked(); !slices.Equal(got, []string{"udp _8443._https.example.com.", "udp example.com."}) {
			t.Errorf("asked %q", got)
		}
	})
}

// wantTargets looks example.com up and compares priorities and targets.
func wantTargets(t *testing.T, r *Resolver, port string, want ...string) {
	t.Helper()
	records, err := r.LookupHTTPS(t.Context(), "example.com", port)
	var got []string
	for _, h := range records {
		got = append(got, fmt.Sprint(h.Priority, " ", h.Target))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func wantError(t *testing.T, r *Resolver, text string) *net.DNSError {
	t.Helper()
	records, err := r.LookupHTTPS(t.Context(), "example.com", "443")
	var e *net.DNSError
	if records != nil || !errors.As(err, &e) || !strings.Contains(e.Error(), text) {
		t.Fatalf("got %+v, %v, want a DNSError with %q", records, err, text)
	}
	return e
}

func TestAliases(t *testing.T) {
	long := func(n int) map[string][]record {
		zone := map[string][]record{"example.com": {alias("a1.test.")}}
		for i := 1; i < n; i++ {
			zone[fmt.Sprintf("a%d.test", i)] = []record{alias(fmt.Sprintf("a%d.test.", i+1))}
		}
		zone[fmt.Sprintf("a%d.test", n)] = []record{service(1, ".")}
		return zone
	}
	for name, c := range map[string]struct {
		zone    map[string][]record
		want    []string
		error   string
		queries int
	}{
		"chain": {
			zone: map[string][]record{
				"example.com":     {cname("www.example.com.")},
				"www.example.com": {alias("cdn.test.")},
				"cdn.test":        {cname("edge.test.")},
				"edge.test":       {service(1, "."), service(2, "other.test.")},
			},
			want: []string{"1 edge.test", "2 other.test", "0 cdn.test"}, queries: 2,
		},
		"with services": {
			zone: map[string][]record{
				"example.com": {service(1, "ignored.test."), alias("cdn.test.")},
				"cdn.test":    {service(7, ".")},
			},
			want: []string{"7 cdn.test", "0 cdn.test"}, queries: 2,
		},
		"to addresses alone": {
			zone: map[string][]record{"example.com": {alias("cdn.test.")}, "cdn.test": nil},
			want: []string{"0 cdn.test"}, queries: 2,
		},
		"to a name with other aliases' letters": {
			zone:  map[string][]record{"example.com": {alias("CDN.test.")}, "cdn.test": {alias("EXAMPLE.com.")}},
			error: "lead back to example.com", queries: 2,
		},
		"no service":   {zone: map[string][]record{"example.com": {alias(".")}}, queries: 1},
		"itself":       {zone: map[string][]record{"example.com": {alias("example.com.")}}, error: "lead back", queries: 1},
		"no host name": {zone: map[string][]record{"example.com": {alias("a b.test.")}}, queries: 1},
		"8":            {zone: long(8), want: []string{"1 a8.test", "0 a8.test"}, queries: 9},
		"9":            {zone: long(9), error: "more than 8 aliases", queries: 9},
		"circle of CNAMEs": {
			zone:  map[string][]record{"example.com": {cname("www.example.com.")}, "www.example.com": {cname("example.com.")}},
			error: "circle", queries: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, c.zone, func(t *testing.T, s *fakeServer, r *Resolver) {
				if c.error != "" {
					wantError(t, r, c.error)
				} else {
					wantTargets(t, r, "443", c.want...)
				}
				if got := s.asked(); len(got) != c.queries {
					t.Errorf("asked %q, want %d queries", got, c.queries)
				}
			})
		})
	}
}

// Records of the same priority, and several aliases, take turns.
func TestRandom(t *testing.T) {
	zone := map[string][]record{"example.com": {service(1, "a.test."), service(1, "b.test."), service(0x100, "c.test."), service(0xffff, "d.test.")}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		first := make(map[string]int)
		for range 100 {
			records, err := r.LookupHTTPS(t.Context(), "example.com", "443")
			if err != nil || len(records) != 4 || records[2].Target != "c.test" || records[3].Target != "d.test" {
				t.Fatalf("got %+v, %v", records, err)
			}
			first[records[0].Target]++
		}
		if len(first) != 2 || first["a.test"] < 20 || first["b.test"] < 20 {
			t.Errorf("the first were %v", first)
		}
	})
	zone = map[string][]record{"example.com": {alias("a.test."), alias("b.test.")}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		chosen := make(map[string]bool)
		for range 100 {
			records, err := r.LookupHTTPS(t.Context(), "example.com", "443") // not cached: the targets do not exist, without an SOA
			if err != nil || len(records) != 1 {
				t.Fatalf("got %+v, %v", records, err)
			}
			chosen[records[0].Target] = true
		}
		if len(chosen) != 2 {
			t.Errorf("chosen: %v", chosen)
		}
	})
}

func TestTruncated(t *testing.T) {
	var records []record
	for i := range 100 {
		records = append(records, service(uint16(i+1), fmt.Sprintf("target%d.example.net.", i), alpn, "\x02h3"))
	}
	run(t, map[string][]record{"example.com": records}, func(t *testing.T, s *fakeServer, r *Resolver) {
		s.onQuery(func(network string, _, answer []byte) [][]byte {
			if network == "udp" {
				answer[2] |= 2 // TC
				answer = answer[:maxUDPAnswer]
			}
			return [][]byte{answer}
		})
		start := time.Now()
		got, err := r.LookupHTTPS(t.Context(), "example.com", "443")
		if err != nil || len(got) != 100 {
			t.Errorf("got %d records, %v, want 100", len(got), err)
		}
		if took := time.Since(start); took != 3*rtt {
			t.Errorf("it took %v, want %v: a query, a connection, a query", took, 3*rtt)
		}
		if got := s.asked(); !slices.Equal(got, []string{"udp example.com.", "tcp example.com."}) {
			t.Errorf("asked %q", got)
		}
	})
}

// Datagrams that answer something else are passed over, whoever sends them.
func TestForged(t *testing.T) {
	run(t, map[string][]record{"example.com": {service(1, "right.test.")}}, func(t *testing.T, s *fakeServer, r *Resolver) {
		s.onQuery(func(_ string, query, answer []byte) [][]byte {
			forged := func(id uint16, name string, typ dnsmessage.Type) []byte {
				q := dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}
				return build(id, q, map[string][]record{"example.com": {service(1, "forged.test.")}})
			}
			id := uint16(query[0])<<8 | uint16(query[1])
			return [][]byte{
				{}, query[:5], query, forged(id^1, "example.com.", dnsmessage.TypeHTTPS), forged(id, "other.test.", dnsmessage.TypeHTTPS),
				forged(id, "example.com.", dnsmessage.TypeSVCB), answer,
			}
		})
		wantTargets(t, r, "443", "1 right.test")
		if got := s.asked(); len(got) != 1 {
			t.Errorf("asked %q", got)
		}
	})
}

func TestQueryIDs(t *testing.T) {
	run(t, nil, func(t *testing.T, s *fakeServer, r *Resolver) {
		ids := make(map[string]bool)
		s.onQuery(func(_ string, query, answer []byte) [][]byte {
			ids[string(query[:2])] = true
			return [][]byte{answer}
		})
		for range 100 {
			wantTargets(t, r, "443")
		}
		if len(ids) < 95 {
			t.Errorf("100 queries had %d IDs", len(ids))
		}
	})
}

func TestServerFails(t *testing.T) {
	zone := map[string][]record{"example.com": {service(1, "a.test.")}}
	for name, c := range map[string]struct {
		answer func(query, answer []byte) []byte
		error  string
		took   time.Duration
	}{
		"SERVFAIL":    {func(_, a []byte) []byte { a[3] |= 2; return a }, "answered ServerFailure", 2 * rtt},
		"REFUSED":     {func(_, a []byte) []byte { a[3] |= 5; return a }, "answered Refused", 2 * rtt},
		"cut off":     {func(_, a []byte) []byte { return a[:len(a)-1] }, "malformed", 2 * rtt},
		"silence":     {func(_, a []byte) []byte { return nil }, "i/o timeout", 2 * time.Second},
		"wrong ID":    {func(_, a []byte) []byte { a[0] ^= 1; return a }, "i/o timeout", 2 * time.Second},
		"no question": {func(_, a []byte) []byte { a[5] = 0; return a }, "i/o timeout", 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
				s.onQuery(func(_ string, query, answer []byte) [][]byte {
					if a := c.answer(query, answer); a != nil {
						return [][]byte{a}
					}
					return nil
				})
				start := time.Now()
				e := wantError(t, r, c.error)
				if took := time.Since(start); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if e.Server != server || e.Name != "example.com" || e.IsTimeout != (c.took > time.Second) {
					t.Errorf("%+v", e)
				}
				// The server is not asked again for a while, whatever it would say now.
				s.onQuery(nil)
				asked := len(s.asked())
				for _, wait := range []time.Duration{0, failureTTL - 1} {
					time.Sleep(wait)
					start = time.Now()
					again := wantError(t, r, c.error)
					if took, n := time.Since(start), len(s.asked()); took != 0 || n != asked || again == e || *again != *e {
						t.Errorf("after %v it took %v and %d queries: %+v", wait, took, n-asked, again)
					}
				}
				time.Sleep(time.Nanosecond)
				wantTargets(t, r, "443", "1 a.test")
			})
		})
	}
}

// A TCP server that answers something else, or half of it, has failed.
func TestTCPFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(a []byte) []byte
		error  string
	}{
		"wrong ID":        {func(a []byte) []byte { a[0] ^= 1; return a }, "another question"},
		"truncated again": {func(a []byte) []byte { a[2] |= 2; return a }, "truncated"},
		"empty":           {func(a []byte) []byte { return nil }, "another question"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, map[string][]record{"example.com": {service(1, ".")}}, func(t *testing.T, s *fakeServer, r *Resolver) {
				s.onQuery(func(network string, _, answer []byte) [][]byte {
					if network == "udp" {
						answer[2] |= 2
						return [][]byte{answer}
					}
					return [][]byte{c.answer(answer)}
				})
				wantError(t, r, c.error)
			})
		})
	}
}

// The second server answers where the first does not; a datagram that is lost is sent again.
func TestNextServer(t *testing.T) {
	run(t, map[string][]record{"example.com": {service(1, "a.test.")}}, func(t *testing.T, s *fakeServer, r *Resolver) {
		r.Servers = []string{"10.0.0.54:53", server}
		start := time.Now()
		wantTargets(t, r, "443", "1 a.test")
		if took := time.Since(start); took != 2*rtt {
			t.Errorf("after a refusal it took %v, want %v", took, 2*rtt)
		}

		again := &Resolver{Servers: r.Servers, Dial: r.Dial, Timeout: 4 * time.Second}
		s.net.SetUDP("10.0.0.54:53", simnet.UDP{Block: true})
		start = time.Now()
		wantTargets(t, again, "443", "1 a.test")
		if took := time.Since(start); took != time.Second+rtt {
			t.Errorf("after silence it took %v, want %v", took, time.Second+rtt)
		}

		lost := &Resolver{Servers: []string{server}, Dial: r.Dial}
		s.onQuery(func(string, []byte, []byte) [][]byte {
			s.change = nil
			return nil
		})
		start = time.Now()
		wantTargets(t, lost, "443", "1 a.test")
		if took := time.Since(start); took != time.Second+rtt {
			t.Errorf("after a loss it took %v, want %v", took, time.Second+rtt)
		}
	})
}

func TestCancelled(t *testing.T) {
	run(t, nil, func(t *testing.T, s *fakeServer, r *Resolver) {
		s.onQuery(func(string, []byte, []byte) [][]byte { return nil })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/4, cancel)
		start := time.Now()
		_, err := r.LookupHTTPS(ctx, "example.com", "443")
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second/4 {
			t.Errorf("%v after %v, want context.Canceled after 250ms", err, time.Since(start))
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second/4)
		defer cancel()
		start = time.Now()
		_, err = r.LookupHTTPS(ctx, "example.com", "443")
		var e *net.DNSError
		if !errors.As(err, &e) || !e.IsTimeout || time.Since(start) != time.Second/4 {
			t.Errorf("%v after %v, want a timeout after 250ms", err, time.Since(start))
		}
		// Neither says anything about the server.
		s.onQuery(nil)
		wantTargets(t, r, "443")
	})
}

func TestConcurrent(t *testing.T) {
	zone := map[string][]record{"example.com": {service(1, "a.test.")}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i%3) * rtt)
				wantTargets(t, r, "443", "1 a.test")
			})
		}
		wg.Wait()
	})
}

func TestNoServers(t *testing.T) {
	_, err := (&Resolver{Servers: []string{}}).LookupHTTPS(t.Context(), "example.com", "443")
	var e *net.DNSError
	if !errors.As(err, &e) || !strings.Contains(e.Err, "no DNS server") {
		t.Errorf("%v", err)
	}
	if records, err := (&Resolver{Servers: []string{}}).LookupHTTPS(t.Context(), "10.0.0.1", "443"); err != nil || records != nil {
		t.Errorf("of an address: %v, %v", records, err)
	}
	if _, err := (&Resolver{}).LookupHTTPS(t.Context(), "a b", "443"); !errors.As(err, &e) {
		t.Errorf("of no host name: %v", err)
	}
}

func TestResolvConf(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         {"127.0.0.1:53"},
		"nameserver\nnameserver x": {"127.0.0.1:53"},
		"# comment\n; nameserver 10.0.0.9\nsearch example.com\nnameserver 10.0.0.1\n\tnameserver\tfd00::1 \nnameserver fe80::1%eth0 # a comment\nnameserver 10.0.0.4": {
			"10.0.0.1:53", "[fd00::1]:53", "[fe80::1%eth0]:53",
		},
	} {
		if got, err := parseResolvConf(strings.NewReader(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := parseResolvConf(strings.NewReader("nameserver 10.0.0.1\n" + strings.Repeat("x", 1<<20))); err == nil {
		t.Error("a line without end was taken")
	}
}
