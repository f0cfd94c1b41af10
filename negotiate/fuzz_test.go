package negotiate

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/internal/fuzzing"
)

// A dial ends with few attempts and orders that make sense, whatever policy, facts and outcomes the bytes choose: TestRandomDials,
// steered.
func FuzzDial(f *testing.F) {
	for seed := range byte(8) {
		f.Add([]byte{seed, 255 - seed, seed * 31})
	}
	f.Add([]byte(strings.Repeat("\x00", 60)))
	f.Add([]byte(strings.Repeat("\xff", 60)))
	f.Add([]byte(strings.Repeat("\x80\x10\xf0", 40)))
	f.Fuzz(func(t *testing.T, choices []byte) {
		d := newDice(t, 0)
		d.r = rand.New(fuzzing.Source(choices))
		d.roll()
		d.run()
		if t.Failed() {
			t.Fatalf("so far:\n%s", strings.Join(d.log, "\n"))
		}
	})
}

// An entry says what a file says, which anybody may have written: it is used, changed and written again without harm.
func FuzzEntry(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add := func(e Entry) {
		b, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(1))
	}
	add(Entry{})
	add(Entry{}.Remember(settingsNo(time.Hour, day), now).Remember(Remember{Rung: H3, Verdict: Yes, TTL: day, RTT: time.Second}, now).Forget(Frame, now))
	f.Add([]byte(`{"findings":{"settings":{"verdict":"no","cause":"settings","until":"2026-01-02T03:04:05Z","strikes":3}},"rtt_ns":1}`), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, row uint8) {
		var e Entry
		if json.Unmarshal(text, &e) != nil {
			return
		}
		r := findings[int(row)%len(findings)]
		said := Remember{Rung: Settings, Verdict: r.verdict, Cause: r.cause, TTL: r.ttl, Limit: r.limit, RTT: time.Millisecond}
		after := e.Remember(said, now)
		if v := after.Verdict(Settings, now); v != r.verdict {
			t.Errorf("%s: told %q, it says %q", text, r.verdict, v)
		}
		if until := after.Findings[Settings].Until; until.Before(now.Add(r.ttl)) {
			t.Errorf("%s: told to hold for %v, it ends %v", text, r.ttl, until)
		}
		if after.RTT <= 0 {
			t.Errorf("%s: a round trip takes %v", text, after.RTT)
		}
		if v := e.Forget(Settings, now).Verdict(Settings, now); v != Forgotten {
			t.Errorf("%s: forgotten, it says %q", text, v)
		}
		if ab, ba := Merge(e, after), Merge(after, e); !sameEntry(ab, ba) {
			t.Errorf("%s: merged %+v and %+v", text, ab, ba)
		}
		for _, e := range []Entry{e, after, Merge(e, after)} {
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			var again Entry
			if err := json.Unmarshal(b, &again); err != nil || !sameEntry(e, again) {
				t.Fatalf("%s: written as %s, read as %+v, %v", text, b, again, err)
			}
		}
		d := newDice(t, uint64(row)+1)
		d.facts.Known = e
		d.run()
		if t.Failed() {
			t.Fatalf("so far:\n%s", strings.Join(d.log, "\n"))
		}
	})
}

// sameEntry compares what is written, in which two zones of one offset are the same.
func sameEntry(a, b Entry) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// A key is read as it was written, whatever stands in it; and what is read is written the same.
func FuzzKey(f *testing.F) {
	f.Add("wss://example.com:443?alpn=h2,http/1.1", "example.com", "443", "h2,http/1.1", "", "", "", "")
	f.Add("ws://[fe80::1%25eth0]:80", "fe80::1%eth0", "80", "", "http://proxy:3128", "wifi 5 GHz", "0011", "a&b=c")
	f.Add("udp://:?network=wlan0", "", "", "", "", "wlan0", "", "")
	f.Fuzz(func(t *testing.T, text, host, port, alpn, proxy, network, tls, partition string) {
		port = strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, port)
		k := Key{Scheme: "wss", Host: host, Port: port, Proxy: proxy, Network: network, TLSIdentity: tls, ALPNSet: alpn, Partition: partition}
		for _, k := range []Key{k, NetworkKey(network)} {
			text, err := k.MarshalText()
			if err != nil {
				continue
			}
			var again Key
			if err := again.UnmarshalText(text); err != nil || again != k {
				t.Errorf("%+v is written as %q and read as %+v, %v", k, text, again, err)
			}
		}
		if k, err := ParseKey(text); err == nil && k.String() != text {
			t.Errorf("%q is read as %+v and written as %q", text, k, k)
		}
	})
}
