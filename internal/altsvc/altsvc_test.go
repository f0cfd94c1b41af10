package altsvc

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	day := DefaultMaxAge
	tests := []struct {
		lines []string
		want  []Offer
	}{
		// The examples of RFC 7838, Section 3.
		{[]string{`h2=":8000"`}, []Offer{{Service{"h2", "", 8000}, day, false}}},
		{[]string{`h2="new.example.org:80"`}, []Offer{{Service{"h2", "new.example.org", 80}, day, false}}},
		{[]string{`w%3Dx%3Ay#z=":1"`}, []Offer{{Service{"w=x:y#z", "", 1}, day, false}}},
		{[]string{`x%25y=":1"`}, []Offer{{Service{"x%y", "", 1}, day, false}}},
		{[]string{`h2="alt.example.com:8000", h2=":443"`}, []Offer{
			{Service{"h2", "alt.example.com", 8000}, day, false}, {Service{"h2", "", 443}, day, false}}},
		{[]string{`h2=":443"; ma=3600`}, []Offer{{Service{"h2", "", 443}, time.Hour, false}}},
		{[]string{`h2=":443"; ma=2592000; persist=1`}, []Offer{{Service{"h2", "", 443}, 720 * time.Hour, true}}},
		// Lists and whitespace.
		{[]string{`,, h3=":443" ,`, "", "\th2=\":1\""}, []Offer{{Service{"h3", "", 443}, day, false}, {Service{"h2", "", 1}, day, false}}},
		{[]string{`h3=":443";ma=1 ;; ;persist="1" ;`}, []Offer{{Service{"h3", "", 443}, time.Second, true}}},
		// A quoted string may have escapes, and commas where they mean nothing.
		{[]string{`h3="\:4\43"; x="a,\"b;c"; ma="\60"`}, []Offer{{Service{"h3", "", 443}, time.Minute, false}}},
		// Parameters: unknown ones, other values of persist, repetitions, other cases.
		{[]string{`h3=":443"; v="46,43"; persist=2; MA=5; ma=6`}, []Offer{{Service{"h3", "", 443}, 5 * time.Second, false}}},
		{[]string{`h3=":443"; ma=0`}, []Offer{{Service{"h3", "", 443}, 0, false}}},
		{[]string{`h3=":443"; ma=99999999999999999999999`}, []Offer{{Service{"h3", "", 443}, 1 << 31 * time.Second, false}}},
		// Hosts.
		{[]string{`h3="[2001:DB8::1]:443"`}, []Offer{{Service{"h3", "2001:db8::1", 443}, day, false}}},
		{[]string{`h3="192.0.2.1:443"`}, []Offer{{Service{"h3", "192.0.2.1", 443}, day, false}}},
		{[]string{`h3="Alt.Example:0443"`}, []Offer{{Service{"h3", "alt.example", 443}, day, false}}},
		// What cannot be read goes alone.
		{[]string{`h3=:443, h2=":443"`, `"`}, []Offer{{Service{"h2", "", 443}, day, false}}},
		{[]string{`Clear, h2=":443"`}, []Offer{{Service{"h2", "", 443}, day, false}}},
	}
	for _, tt := range tests {
		v := Parse(tt.lines...)
		if !reflect.DeepEqual(v.Offers, tt.want) || v.Clear {
			t.Errorf("Parse(%q) = %+v, want %+v", tt.lines, v, tt.want)
		}
		if again := Parse(v.String()); !reflect.DeepEqual(again.Offers, tt.want) || len(again.Dropped) > 0 {
			t.Errorf("%q parsed and printed: %s", tt.lines, v)
		}
	}
}

func TestParseClear(t *testing.T) {
	for _, lines := range [][]string{{"clear"}, {" clear ,"}, {`h2=":443", clear`}, {`h2=":443"`, "clear"}} {
		if v := Parse(lines...); !v.Clear || v.Offers != nil || v.String() != "clear" {
			t.Errorf("Parse(%q) = %+v", lines, v)
		}
	}
}

func TestParseDropped(t *testing.T) {
	for text, reason := range map[string]string{
		"CLEAR":                 `no "=" behind the protocol`,
		`=":443"`:               "no protocol",
		`h2 =":443"`:            `no "=" behind the protocol`,
		`h2=:443`:               "authority is no quoted string",
		`h2=":443`:              "authority is no quoted string",
		"h2=\":\x01443\"":       "authority is no quoted string",
		`h2=":443\`:             "authority is no quoted string",
		`h2="443"`:              "authority without a port",
		`h2=""`:                 "authority without a port",
		`h2=":"`:                "invalid port",
		`h2=":0"`:               "invalid port",
		`h2=":65536"`:           "invalid port",
		`h2=":+1"`:              "invalid port",
		`h2="a b:1"`:            "invalid host",
		`h2="a@b:1"`:            "invalid host",
		`h2="[::1:1"`:           "invalid host",
		`h2="[192.0.2.1]:1"`:    "invalid host",
		`h2="[fe80::1%eth0]:1"`: "invalid host",
		`h2="2001:db8::1:443"`:  "invalid host",
		`h2="` + strings.Repeat("a", 300) + `:1"`: "invalid host",
		`h2%=":1"`:       "percent-encoding without two digits",
		`h2%3=":1"`:      "percent-encoding without two digits",
		`w%3dx=":1"`:     "percent-encoding without two upper-case hexadecimal digits",
		`%68%32=":1"`:    "percent-encoding of an octet that needs none",
		`h2=":1" ma=1`:   "something else than parameters behind the authority",
		`h2=":1"; ma`:    "parameter without a name or a value",
		`h2=":1"; =1`:    "parameter without a name or a value",
		`h2=":1"; a=`:    "parameter whose value is neither token nor quoted string",
		`h2=":1"; a="`:   "parameter whose value is neither token nor quoted string",
		`h2=":1"; ma=-1`: "ma is no number of seconds",
		`h2=":1"; ma=""`: "ma is no number of seconds",
	} {
		v := Parse(text)
		if len(v.Offers) > 0 || v.Clear || len(v.Dropped) != 1 || v.Dropped[0] != (Dropped{text, reason}) {
			t.Errorf("Parse(%q) = %+v, want it dropped: %s", text, v, reason)
		}
	}
	v := Parse(strings.Repeat(`h2=":1",`, 20) + strings.Repeat("x,", 100))
	if len(v.Offers) != MaxOffers || len(v.Dropped) != MaxOffers || v.Dropped[0].Reason != "more than 16 alternatives" {
		t.Errorf("%d offers, %d dropped", len(v.Offers), len(v.Dropped))
	}
}

func TestPrint(t *testing.T) {
	for _, tt := range []struct {
		offer Offer
		want  string
	}{
		{Offer{Service{"h3", "", 443}, DefaultMaxAge, false}, `h3=":443"`},
		{Offer{Service{"wsoverh2", "2001:db8::1", 1}, 0, true}, `wsoverh2="[2001:db8::1]:1"; ma=0; persist=1`},
		{Offer{Service{"a/\x00b", "x", 1}, time.Minute, false}, `a%2F%00b="x:1"; ma=60`},
	} {
		if got := tt.offer.String(); got != tt.want {
			t.Errorf("%+v = %s, want %s", tt.offer, got, tt.want)
		}
	}
	if got := (Value{}).String(); got != "" {
		t.Errorf("an empty value is %q", got)
	}
	for _, tt := range []struct{ host, origin, want string }{
		{"", "example.com", "example.com:443"}, {"", "[::1]", "[::1]:443"}, {"alt", "example.com", "alt:443"}, {"::1", "x", "[::1]:443"},
	} {
		if got := (Service{"h3", tt.host, 443}).Addr(tt.origin); got != tt.want {
			t.Errorf("Addr(%q) with host %q = %s, want %s", tt.origin, tt.host, got, tt.want)
		}
	}
}

func TestCanonicalOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.com":         "https://example.com",
		"HTTPS://Example.COM:443":     "https://example.com",
		"wss://example.com":           "https://example.com",
		"ws://example.com:80":         "http://example.com",
		"http://example.com:443":      "http://example.com:443",
		"https://example.com:08443":   "https://example.com:8443",
		"https://[2001:DB8:0::1]":     "https://[2001:db8::1]",
		"https://[2001:db8::1]:8443":  "https://[2001:db8::1]:8443",
		"https://192.0.2.1:1":         "https://192.0.2.1:1",
		"":                            "",
		"https":                       "",
		"https://":                    "",
		"null":                        "",
		"ftp://example.com":           "",
		"https://example.com/":        "",
		"https://user@example.com":    "",
		"https://example.com:":        "",
		"https://example.com:0":       "",
		"https://2001:db8::1":         "",
		"https://[::1]x:1":            "",
		"https://example.com?x:1":     "",
		"https://exa mple.com":        "",
		"https:// example.com":        "",
		"https://example.com:1:2":     "",
		"https://example.com://a:443": "",
	} {
		got, ok := CanonicalOrigin(in)
		if got != want || ok != (want != "") {
			t.Errorf("CanonicalOrigin(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// wantCached compares what is fresh, as Alt-Svc would say it.
func wantCached(t *testing.T, c *Cache, origin string, now time.Time, want ...string) {
	t.Helper()
	var got []string
	for _, e := range c.Lookup(origin, now) {
		s := fmt.Sprintf("%s %v", e.Service, e.Expires.Sub(start))
		if e.Persist {
			s += " persist"
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: cached %q, want %q", origin, got, want)
	}
}

func TestCache(t *testing.T) {
	const origin = "https://example.com"
	var c Cache
	apply := func(value string, now time.Time, age time.Duration, want bool) {
		t.Helper()
		if got := c.Apply(origin, Parse(value), now, age); got != want {
			t.Errorf("Apply(%s) = %v, want %v", value, got, want)
		}
	}
	wantCached(t, &c, origin, start)
	apply(`h3=":443"; ma=60, h2="alt:1"; ma=100; persist=1`, start, 0, true)
	wantCached(t, &c, "wss://EXAMPLE.com:443", start, `h3=":443" 1m0s`, `h2="alt:1" 1m40s persist`)
	wantCached(t, &c, "https://example.com:8443", start)
	// Expiry, to the moment.
	wantCached(t, &c, origin, start.Add(time.Minute-1), `h3=":443" 1m0s`, `h2="alt:1" 1m40s persist`)
	wantCached(t, &c, origin, start.Add(time.Minute), `h2="alt:1" 1m40s persist`)
	wantCached(t, &c, origin, start.Add(2*time.Minute))
	// The age counts; a new value replaces the old one.
	apply(`h2=":8000"; ma=60`, start, 30*time.Second, true)
	wantCached(t, &c, origin, start, `h2=":8000" 30s`)
	apply(`h3=":443"; ma=60`, start, -time.Hour, true)
	wantCached(t, &c, origin, start, `h3=":443" 1m0s`)
	// What cannot be read says nothing.
	apply("nonsense", start, 0, false)
	apply("", start, 0, false)
	wantCached(t, &c, origin, start, `h3=":443" 1m0s`)
	if c.Apply("null", Parse(`h3=":443"`), start, 0) || c.Lookup("null", start) != nil || c.Clear("null") {
		t.Error("something is cached for no origin")
	}
	// Stale on arrival.
	apply(`h3=":443"; ma=60`, start, time.Minute, true)
	wantCached(t, &c, origin, start)
	apply(`h3=":443"; ma=0`, start, 0, false)
	// Clear.
	apply(`h3=":443"`, start, 0, true)
	apply(`clear`, start, 0, true)
	apply(`clear`, start, 0, false)
	wantCached(t, &c, origin, start)
	if len(c.origins) != 0 {
		t.Errorf("%d records are left", len(c.origins))
	}
}

func TestCacheRemove(t *testing.T) {
	var c Cache
	c.Apply("https://a", Parse(`h3=":443", h2=":443", h3="alt:443"; persist=1`), start, 0)
	c.Apply("https://b", Parse(`h3=":443"`), start, 0)
	if c.Remove("https://a", Service{"h3", "", 444}) || !c.Remove("https://a", Service{"h3", "", 443}) || c.Remove("https://c", Service{}) {
		t.Error("Remove does not know what it has removed")
	}
	wantCached(t, &c, "https://a", start, `h2=":443" 24h0m0s`, `h3="alt:443" 24h0m0s persist`)
	wantCached(t, &c, "https://b", start, `h3=":443" 24h0m0s`)
	c.NetworkChanged()
	wantCached(t, &c, "https://a", start, `h3="alt:443" 24h0m0s persist`)
	wantCached(t, &c, "https://b", start)
	if got := c.Origins(start); !slices.Equal(got, []string{"https://a"}) {
		t.Errorf("Origins = %q", got)
	}
	if got := c.Origins(start.Add(25 * time.Hour)); got != nil || len(c.origins) != 0 {
		t.Errorf("Origins = %q", got)
	}
}

// What the caller does with an answer does not change the cache.
func TestCacheOwnsEntries(t *testing.T) {
	var c Cache
	c.Apply("https://a", Parse(`h3=":443", h2=":443"`), start, 0)
	got := c.Lookup("https://a", start)
	c.Remove("https://a", Service{"h3", "", 443})
	if got[0].ALPN != "h3" || got[1].ALPN != "h2" {
		t.Errorf("an answer has changed: %+v", got)
	}
	got = c.Lookup("https://a", start)
	got[0].Port = 1
	wantCached(t, &c, "https://a", start, `h2=":443" 24h0m0s`)
}

func TestCacheIsBounded(t *testing.T) {
	c := Cache{MaxOrigins: 3}
	for i, ma := range []int{1000, 5, 1000, 1000} {
		now := start
		if i == 3 {
			now = start.Add(10 * time.Second)
		}
		c.Apply(fmt.Sprintf("https://o%d", i), Parse(fmt.Sprintf(`h3=":443"; ma=%d`, ma)), now, 0)
	}
	// o1 had expired.
	if got := c.Origins(start); !slices.Equal(got, []string{"https://o0", "https://o2", "https://o3"}) {
		t.Errorf("Origins = %q", got)
	}
	c.Lookup("https://o0", start)
	c.Apply("https://o4", Parse(`h3=":443"`), start, 0)
	if got := c.Origins(start); !slices.Equal(got, []string{"https://o0", "https://o3", "https://o4"}) {
		t.Errorf("Origins = %q", got)
	}
	var zero Cache
	for i := range 2 * defaultMaxOrigins {
		zero.Apply(fmt.Sprintf("https://o%d", i), Parse(`h3=":443"`), start, 0)
	}
	if n := len(zero.Origins(start)); n != defaultMaxOrigins {
		t.Errorf("%d origins are kept", n)
	}
}

func TestCacheJSON(t *testing.T) {
	var c Cache
	c.Apply("https://b", Parse(`h3=":443"; ma=60, a%2F%FF="[::1]:1"; persist=1`), start, 0)
	c.Apply("https://a", Parse(`h2=":443"`), start, 0)
	b, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"entries":[` +
		`{"origin":"https://b","service":"h3=\":443\"","since":"2026-01-02T03:04:05Z","expires":"2026-01-02T03:05:05Z"},` +
		`{"origin":"https://b","service":"a%2F%FF=\"[::1]:1\"","since":"2026-01-02T03:04:05Z","expires":"2026-01-03T03:04:05Z","persist":true},` +
		`{"origin":"https://a","service":"h2=\":443\"","since":"2026-01-02T03:04:05Z","expires":"2026-01-03T03:04:05Z"}]}`
	if string(b) != want {
		t.Errorf("JSON is\n%s, want\n%s", b, want)
	}
	again := Cache{MaxOrigins: 1}
	again.Apply("https://x", Parse(`h2=":443"`), start, 0)
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	// Too small for both: the one that was used last stays.
	if got := again.Origins(start); !slices.Equal(got, []string{"https://a"}) {
		t.Errorf("Origins = %q", got)
	}
	again.MaxOrigins = 0
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	wantCached(t, &again, "https://b", start, `h3=":443" 1m0s`, `a%2F%FF="[::1]:1" 24h0m0s persist`)

	for _, text := range []string{`[]`, `{"version":2}`, `{}`, `{"version":1,"entries":[{"expires":"yesterday"}]}`} {
		if err := json.Unmarshal([]byte(text), &again); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	text := `{"version":1,"entries":[{"origin":"x","service":"h3=\":1\""},{"origin":"https://x","service":"h3"},` +
		`{"origin":"https://y","service":"h3=\":1\"","since":"2026-01-02T03:04:05Z","expires":"2027-01-02T03:04:05+01:00"}]}`
	if err := json.Unmarshal([]byte(text), &again); err != nil {
		t.Fatal(err)
	}
	if got := again.Origins(start); !slices.Equal(got, []string{"https://y"}) {
		t.Errorf("Origins = %q", got)
	}
	if b, err := json.Marshal(new(Cache)); string(b) != `{"version":1,"entries":[]}` || err != nil {
		t.Errorf("an empty cache is %s, %v", b, err)
	}
}
