package lab

import (
	"testing"

	"github.com/weftws/weft/negotiate"
)

// documented are the numbers of the table of rungs.
var documented = map[string]float64{
	"upgrade, new server, fresh connection": 3,
	"upgrade, old server, fresh connection": 3,

	"settings, new server, fresh connection":             4,
	"settings, old server, fresh connection":             6,
	"settings, new server, live connection":              1,
	"settings, old server, live connection":              3,
	"settings, old server, fresh connection, remembered": 3,

	"assume, new server, fresh connection":                            3,
	"assume, old server, fresh connection":                            4,
	"assume, new server, live connection":                             1,
	"assume, new server, fresh connection, Spare: Never":              3,
	"assume, new server, fresh connection, Spare: Eager":              3,
	"assume, old server, fresh connection, Spare: Never":              6,
	"assume, old server, fresh connection, Spare: Eager":              4,
	"assume, new server, fresh connection, remembered":                3,
	"assume, old server, fresh connection, remembered":                3,
	"assume, old server, fresh connection, HTTP/1.1 only":             3,
	"assume, old server, fresh connection, remembered, HTTP/1.1 only": 3,

	"token, new server, fresh connection": 3,
	"token, old server, fresh connection": 3,
	"token, new server, live connection":  1,

	"h2.1, new server, fresh connection":                          3,
	"h2.1, old server, fresh connection":                          6,
	"h2.1, new server, live connection":                           1,
	"h2.1, old server, fresh connection, Spare: Staggered":        4,
	"h2.1, old server, fresh connection, Spare: Eager":            4,
	"h2.1, old server, fresh connection, no other rung of HTTP/2": 5,

	"frame, new server, fresh connection":                   3,
	"frame, old server, fresh connection":                   6,
	"frame, new server, live connection":                    1,
	"frame, old server, live connection":                    4,
	"frame, old server, fresh connection, Spare: Staggered": 4,
	"frame, old server, fresh connection, Spare: Eager":     4,

	"alt-svc, new server, fresh connection":                     3,
	"alt-svc, old server, fresh connection":                     5,
	"alt-svc, old server, fresh connection, Spare: Eager":       3,
	"alt-svc, new server, fresh connection, second":             3,
	"alt-svc, new server, fresh connection, assume off, second": 4,

	"h3, new server, fresh connection":                                 2,
	"h3, old server, fresh connection":                                 4.5,
	"h3, new server, live connection":                                  1,
	"h3, old server, fresh connection, remembered":                     3,
	"h3, new server, fresh connection, EarlyConnect, resumed":          1,
	"h3, new server, fresh connection, EarlyConnect, resumed, 425":     2,
	"h3, new server, fresh connection, no UDP":                         3.5,
	"h3, new server, fresh connection, remembered, no UDP":             3,
	"h3, new server, fresh connection, default policy":                 3,
	"h3, new server, fresh connection, default policy, second":         2,
	"h3, new server, fresh connection, default policy, second, no UDP": 3.5,
	"h3, old server, fresh connection, default policy":                 4,
}

func TestExact(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range cases() {
		name := c.Row.String()
		want, ok := documented[name]
		if !ok || seen[name] {
			t.Errorf("%s: documented %t, already seen %t", name, ok, seen[name])
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			rows, err := Exact([]Case{c}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if rows[0].Exact != want {
				t.Errorf("%v round trips, want %v", rows[0].Exact, want)
			}
		})
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("no case is %q", name)
		}
	}
}

// A server that has HTTP/1.1 only costs three round trips, whatever the policy.
func TestExactHTTP1(t *testing.T) {
	for _, c := range Cases() {
		if c.Connection == Warm || c.before != nil {
			continue
		}
		c.origin = Features{}
		o, err := c.exact(usualRTT)
		if err != nil || o.counted != 3 || o.by != negotiate.Upgrade || o.wait != 0 && c.Rung != negotiate.H3 {
			t.Errorf("%s, but the server has no HTTP/2: %v round trips by %q, %v; want 3 by upgrade", c, o.trips, o.by, err)
		}
	}
}
