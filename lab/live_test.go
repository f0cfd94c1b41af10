package lab

import (
	"testing"
	"time"

	"github.com/weftws/weft/negotiate"
)

// Every row of the table within the tolerance, in real time and over a short way: what is measured here is that it works.
func TestLive(t *testing.T) {
	var cases []Case
	for _, c := range Cases() {
		if c.Policy == "" && c.Dial == "" && c.Connection == Fresh || c.Rung == negotiate.H3 {
			if c.opener == negotiate.H3 {
				c = c.unhurried()
			}
			cases = append(cases, c)
		}
	}
	reported := 0
	rows, err := Live(t.Context(), cases, Options{RTT: 20 * time.Millisecond, Report: func(i int, r Row, done bool) {
		if done {
			reported++
		}
	}})
	if err != nil || len(rows) != len(cases) || reported != len(cases) {
		t.Fatalf("%d rows, %d reported, %v; want %d", len(rows), reported, err, len(cases))
	}
	for _, r := range rows {
		// No upper bound: the machine may be busy.
		if r.Error != "" || r.Live < r.Exact {
			t.Errorf("%s: measured %.2f, computed %v; %s", r, r.Live, r.Exact, r.Error)
		}
	}
}

// unhurried is c where TCP does not win the race because the machine is busy.
func (c Case) unhurried() Case {
	c.policy.HeadStart = time.Minute
	if c.before != nil {
		before := *c.before
		before.HeadStart = time.Minute
		c.before = &before
	}
	return c
}
