package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weftws/weft/internal/simnet"
)

func TestCache(t *testing.T) {
	soa := func(ttl, minimum uint32) []record {
		return []record{{ttl, &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("ns.test."), MBox: dnsmessage.MustNewName("m.test."), MinTTL: minimum}}}
	}
	short := service(1, ".")
	short.ttl = 60
	negative := service(1, ".")
	negative.ttl = 1 << 31
	for name, c := range map[string]struct {
		zone map[string][]record
		want time.Duration
	}{
		"records":              {map[string][]record{"example.com": {service(1, ".")}}, 300 * time.Second},
		"the least of a set":   {map[string][]record{"example.com": {service(1, "."), short}}, 60 * time.Second},
		"the least of aliases": {map[string][]record{"example.com": {alias("a.test.")}, "a.test": {cname("b.test.")}, "b.test": {short}}, 60 * time.Second},
		"nothing":              {map[string][]record{"SOA": soa(100, 30)}, 30 * time.Second},
		"nothing, short SOA":   {map[string][]record{"SOA": soa(10, 30), "example.com": nil}, 10 * time.Second},
		"nothing, long SOA":    {map[string][]record{"SOA": soa(1e6, 1e6)}, time.Hour},
		"nothing, no SOA":      {nil, 0},
		"TTL too large":        {map[string][]record{"example.com": {negative}}, 0},
		"long TTL":             {map[string][]record{"example.com": {{1e6, service(1, ".").data}}}, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, c.zone, func(t *testing.T, s *fakeServer, r *Resolver) {
				lookup := func() []HTTPS {
					records, err := r.LookupHTTPS(t.Context(), "example.com", "443")
					if err != nil {
						t.Fatal(err)
					}
					return records
				}
				first := lookup()
				asked := len(s.asked())
				if c.want > 0 {
					time.Sleep(c.want - time.Nanosecond)
					again := lookup()
					if got := len(s.asked()); got != asked {
						t.Errorf("%d queries just before it expired, want none", got-asked)
					}
					for i := range again {
						if first[i].TTL != c.want || again[i].TTL != time.Nanosecond {
							t.Errorf("TTL %v, then %v, want %v, then 1ns", first[i].TTL, again[i].TTL, c.want)
						}
					}
					time.Sleep(time.Nanosecond)
				}
				lookup()
				if got := len(s.asked()); got != 2*asked {
					t.Errorf("%d queries once it had expired, want %d", got-asked, asked)
				}
			})
		})
	}
}

// The wall clock may be set, and the machine may sleep: no answer is kept for longer than its TTL by either clock.
func TestCacheWhenTheClockIsSet(t *testing.T) {
	const ttl = 5 * time.Minute
	for _, jump := range []time.Duration{-87600 * time.Hour, -24 * time.Hour, -time.Minute, time.Minute, 24 * time.Hour, 87600 * time.Hour} {
		var c cache
		then := time.Now()
		c.put("a.", []HTTPS{{Priority: 1}}, ttl, then)
		for _, after := range []time.Duration{0, 4 * time.Minute, ttl} {
			left := ttl - after - max(jump, 0)
			records, _, ok := c.get("a.", simnet.SetWall(then.Add(after), jump))
			if ok != (left > 0) || ok && records[0].TTL != left {
				t.Errorf("after %v and a jump of %v: %+v, %v; want a TTL of %v", after, jump, records, ok, left)
			}
		}
		// What has expired makes room.
		for i := range maxEntries {
			c.put(fmt.Sprint(i), nil, ttl, simnet.SetWall(then, jump))
		}
		if c.put("b.", nil, ttl, simnet.SetWall(then.Add(ttl), jump)); len(c.entries) != 1 {
			t.Errorf("%d entries are left after a jump of %v", len(c.entries), jump)
		}
	}
}

// What a caller does to its records, the next one does not see.
func TestCacheCopies(t *testing.T) {
	zone := map[string][]record{"example.com": {service(1, ".", alpn, "\x02h3", ech, "\x00\x01x", ipv4Hint, "\x0a\x00\x00\x02")}}
	run(t, zone, func(t *testing.T, s *fakeServer, r *Resolver) {
		for range 3 {
			records, err := r.LookupHTTPS(t.Context(), "example.com", "443")
			if err != nil || records[0].ALPN[0] != "h3" || records[0].ECH[2] != 'x' || records[0].IPv4Hint[0].String() != "10.0.0.2" {
				t.Fatalf("got %+v, %v", records, err)
			}
			records[0].ALPN[0], records[0].ECH[2], records[0].IPv4Hint[0] = "h2", 'y', netip.Addr{}
		}
	})
}

func TestCacheBounded(t *testing.T) {
	var c cache
	now := time.Now()
	for i := range maxEntries {
		c.put(fmt.Sprint(i), nil, time.Duration(i+10)*time.Second, now)
	}
	c.put("one more", nil, time.Minute, now)
	if _, _, ok := c.get("0", now); ok || len(c.entries) != maxEntries {
		t.Errorf("%d entries, the one that expires next among them: %v", len(c.entries), ok)
	}
	c.put("999", nil, time.Hour, now)
	if _, _, ok := c.get("1", now); !ok {
		t.Error("an entry went for one that was there")
	}
	later := now.Add(30 * time.Second)
	c.put("later", nil, time.Minute, later)
	if _, _, ok := c.get("one more", later); !ok || len(c.entries) != maxEntries-20+1 {
		t.Errorf("%d entries, want %d that have not expired", len(c.entries), maxEntries-20+1)
	}
	c.put("later", nil, 0, later)
	if _, _, ok := c.get("later", later); ok {
		t.Error("an entry outlived an answer without a TTL")
	}
}

// A failure is no answer: it replaces none, gives way to the first, and is kept for five seconds.
func TestCacheOfFailures(t *testing.T) {
	var c cache
	now, failure := time.Now(), errors.New("no luck")
	c.put("a.", []HTTPS{{Priority: 1}}, time.Minute, now)
	c.putFailure("a.", failure, now)
	if records, failed, _ := c.get("a.", now); len(records) != 1 || failed != nil {
		t.Errorf("a failure has replaced an answer: %v, %v", records, failed)
	}
	later := now.Add(time.Minute)
	c.putFailure("a.", failure, later)
	if _, failed, ok := c.get("a.", later.Add(5*time.Second-1)); failed != failure || !ok {
		t.Errorf("the failure is not kept: %v, %v", failed, ok)
	}
	if _, _, ok := c.get("a.", later.Add(5*time.Second)); ok {
		t.Error("the failure is kept for too long")
	}
	c.putFailure("a.", failure, later)
	c.put("a.", nil, time.Minute, later)
	if _, failed, ok := c.get("a.", later); failed != nil || !ok {
		t.Errorf("the failure outlives an answer: %v, %v", failed, ok)
	}
	for i := range maxEntries + 10 {
		c.putFailure(fmt.Sprint(i), failure, later)
	}
	if len(c.entries) > maxEntries {
		t.Errorf("%d entries", len(c.entries))
	}
}
