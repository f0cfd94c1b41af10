package lab

import (
	"fmt"
	"time"

	"github.com/weftws/weft/negotiate"
)

// Exact computes the round trips of each case where one takes rtt; 0: 100 ms. That makes a difference only where a dial has waited for QUIC
// in vain: Row.Sum. It does nothing but compute, in less than a millisecond a case. An error says which dial failed, or did not take the
// way that its row is about.
func Exact(cases []Case, rtt time.Duration) ([]Row, error) {
	rows := make([]Row, len(cases))
	for i, c := range cases {
		o, err := c.exact(rtt)
		if err == nil && c.Peer == "" && c.opener != "" && c.opener != o.by {
			err = fmt.Errorf("it is rung %s that opened it, not %s", o.by, c.opener)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, computed: %w", c.Row, err)
		}
		rows[i] = c.Row
		rows[i].Exact = o.trips
		if o.wait != 0 {
			rows[i].Sum = fmt.Sprintf("%d + %d ms", o.counted, o.wait.Milliseconds())
		}
	}
	return rows, nil
}

// Lanes computes what the connections of the case's dial do, in the order in which they begin, where a round trip takes 100 ms.
func (c Case) Lanes() ([]Lane, error) {
	o, err := c.exact(usualRTT)
	if err != nil {
		return nil, fmt.Errorf("%s, computed: %w", c.Row, err)
	}
	return o.lanes, nil
}

func (c Case) exact(rtt time.Duration) (opening, error) {
	d := &dialer{clock: clock{now: epoch}, rtt: wholeRTT(rtt), origin: c.origin, noUDP: c.Network == NoUDP}
	switch {
	case c.next != nil:
		d.alternatives = map[negotiate.Alternative]Features{nextDoor: *c.next}
	case c.origin.HTTP3:
		d.alternatives = map[negotiate.Alternative]Features{origin: c.origin}
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

// wholeRTT is a round trip of two ways that take the same.
func wholeRTT(rtt time.Duration) time.Duration {
	if rtt <= 0 {
		return usualRTT
	}
	return 2 * max(rtt/2, 1)
}

const usualRTT = 100 * time.Millisecond

var (
	epoch    = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	origin   = negotiate.Alternative{ALPN: "h3", Host: "origin.example", Port: "443"}
	nextDoor = negotiate.Alternative{ALPN: "h2", Host: "origin.example", Port: "8443"}
)
