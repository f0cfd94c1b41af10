package lab

import (
	"fmt"
	"strings"
	"testing"
)

// Where the round trips go: a connection a line.
func TestLanes(t *testing.T) {
	want := map[string]string{
		"upgrade, old server, fresh connection": `
upgrade open: tcp 0-1, tls 1-2, request 2-3`,
		"settings, new server, fresh connection": `
settings open: tcp 0-1, tls 1-2, settings 2-3, request 3-4`,
		"settings, old server, fresh connection": `
settings version: tcp 0-1, tls 1-2, settings 2-3
upgrade open: tcp 3-4, tls 4-5, request 5-6`,
		"assume, new server, fresh connection": `
assume open: tcp 0-1, tls 1-2, request 2-3
upgrade spare unused: tcp 1-2, tls 2-3`,
		"assume, old server, fresh connection": `
assume version: tcp 0-1, tls 1-2, request 2-3
upgrade spare open: tcp 1-2, tls 2-3, request 3-4`,
		"assume, old server, fresh connection, Spare: Eager": `
assume version: tcp 0-1, tls 1-2, request 2-3
upgrade spare open: tcp 0-1, tls 1-2, request 3-4`,
		"settings, new server, live connection": `
settings live open: request 0-1`,
		"h3, new server, fresh connection": `
h3 open: quic 0-1, request 1-2
assume unused: tcp 0.5-1`,
		"h3, new server, fresh connection, default policy, second, no UDP": `
h3 unused: quic 0-3.5
assume open: tcp 0.5-1.5, tls 1.5-2.5, request 2.5-3.5`,
		"h3, new server, fresh connection, EarlyConnect, resumed, 425": `
h3 open: request 0-1, request 1-2
assume unused: tcp 0.5-1`,
		"frame, old server, live connection": `
frame live version: request 0-1
upgrade open: tcp 1-2, tls 2-3, request 3-4`,
	}
	found := 0
	for _, c := range Cases() {
		lanes, err := c.Lanes()
		if err != nil {
			t.Fatal(err)
		}
		last := 0.0
		var b strings.Builder
		for _, l := range lanes {
			fmt.Fprintf(&b, "\n%s%s%s %s:", l.Rung, map[bool]string{true: " live"}[l.Live], map[bool]string{true: " spare"}[l.Spare], l.Verdict)
			for i, s := range l.Spans {
				fmt.Fprintf(&b, "%s %s %v-%v", map[bool]string{true: ","}[i > 0], s.Name, s.Start, s.End)
				last = max(last, s.End)
			}
		}
		if rows, err := Exact([]Case{c}, usualRTT); err != nil || rows[0].Exact != last {
			t.Errorf("%s: the last wait ends at %v; %v, %v", c, last, rows, err)
		}
		if want, ok := want[c.Row.String()]; ok {
			found++
			if got := b.String(); got != want {
				t.Errorf("%s:%s\nwant%s", c, got, want)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d cases are there", found, len(want))
	}
}
