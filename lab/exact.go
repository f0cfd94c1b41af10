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
		o, err := c.exact()
		if err == nil && c.Peer == "" && c.opener != "" && c.opener != o.by {
			err = fmt.Errorf("it is rung %s that opened it, not %s", o.by, c.opener)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, computed: %w", c.Row, err)
		}
		rows[i] = c.Row
		rows[i].Exact = o.trips
	}
	return rows, nil
}

// Lanes computes what the connections of the case's dial do, in the order in which they begin.
func (c Case) Lanes() ([]Lane, error) {
	o, err := c.exact()
	if err != nil {
		return nil, fmt.Errorf("%s, computed: %w", c.Row, err)
	}
	return o.lanes, nil
}

func (c Case) exact() (opening, error) {
	d := &dialer{clock: clock{now: epoch}, rtt: virtualRTT, origin: c.origin}
	if c.next != nil {
		d.alternatives = map[negotiate.Alternative]Features{nextDoor: *c.next}
	}
	if c.before != nil {
		if _, err := d.dial(*c.before); err != nil {
			return opening{}, fmt.Errorf("the dial before: %w", err)
		}
		d.settle(10 * d.rtt)
		if !c.keep {
			d.closeAll()
		}
	}
	return d.dial(c.policy)
}

// virtualRTT does not matter: results are multiples of it.
const virtualRTT = 100 * time.Millisecond

var (
	epoch    = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	nextDoor = negotiate.Alternative{ALPN: "h2", Host: "origin.example", Port: "8443"}
)
