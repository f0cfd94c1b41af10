package lab

import "github.com/weftws/weft/negotiate"

// A Lane is what one connection of a dial does, as far as the dial waits for it.
type Lane struct {
	Rung    negotiate.Rung // of the attempt that uses it
	Live    bool           // it was there before the dial
	Spare   bool           // it was made for the case that the other one fails
	Verdict string         // negotiate.VerdictOpen, negotiate.VerdictUnused, or the class of the failure
	Spans   []Span         // one after the other
}

// A Span is a time in which a connection waits for the server.
type Span struct {
	Name       string  // "tcp", "tls", "quic", "settings", "request"
	Start, End float64 // in round trips since the dial began
}

// trips is how much time has passed, in round trips.
func (d *dial) trips() float64 { return float64(d.now.Sub(d.start)) / float64(d.rtt) }

// begin notes that a waits for something now, and not any more for what it has waited for.
func (d *dial) begin(a *attempt, name string) {
	d.end(a)
	a.spans = append(a.spans, Span{Name: name, Start: d.trips(), End: unended})
}

// end notes that a does not wait any more. What came at once was no wait.
func (d *dial) end(a *attempt) {
	n := len(a.spans)
	if n == 0 || a.spans[n-1].End != unended {
		return
	}
	if a.spans[n-1].End = d.trips(); a.spans[n-1].End == a.spans[n-1].Start {
		a.spans = a.spans[:n-1]
	}
}

const unended = -1

// lanes are the connections of a dial that is over.
func (d *dial) lanes() []Lane {
	var list []Lane
	for _, m := range d.machine.Attempts() {
		a := d.attempts[m.ID]
		d.end(a)
		list = append(list, Lane{Rung: m.Rung, Live: m.Conn != 0, Spare: m.Spare, Verdict: m.Verdict, Spans: a.spans})
	}
	return list
}
