package lab

import (
	"fmt"
	"time"

	"github.com/weftws/weft/negotiate"
)

// Exact computes the round trips of each case. It does nothing but compute, in less than a millisecond a case. An error says
// which dial failed, or did not take the way that its row is about.
func Exact(cases []Case) ([]Row, error) {
	rows := make([]Row, len(cases))
	for i, c := range cases {
		n, by, err := c.exact()
		if err == nil && c.Peer == "" && c.opener != "" && c.opener != by {
			err = fmt.Errorf("it is rung %s that opened it, not %s", by, c.opener)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, computed: %w", c.Row, err)
		}
		rows[i] = c.Row
		rows[i].Exact = n
	}
	return rows, nil
}

// exact returns the round trips, and the rung that it was in the end.
func (c Case) exact() (float64, negotiate.Rung, error) {
	d := &dialer{clock: clock{now: epoch}, rtt: virtualRTT, origin: c.origin}
	if c.next != nil {
		d.alternatives = map[negotiate.Alternative]Features{nextDoor: *c.next}
	}
	if c.before != nil {
		if _, _, err := d.dial(*c.before); err != nil {
			return 0, "", fmt.Errorf("the dial before: %w", err)
		}
		d.settle(10 * d.rtt)
		if !c.keep {
			d.closeAll()
		}
	}
	by, took, err := d.dial(c.policy)
	return float64(took) / float64(d.rtt), by, err
}

// virtualRTT does not matter: results are multiples of it.
const virtualRTT = 100 * time.Millisecond

var (
	epoch    = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	nextDoor = negotiate.Alternative{ALPN: "h2", Host: "origin.example", Port: "8443"}
)
