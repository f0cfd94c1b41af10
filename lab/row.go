package lab

import (
	"fmt"
	"math"
	"strings"

	"github.com/weftws/weft/negotiate"
)

// A Row is what one way of opening a WebSocket costs.
type Row struct {
	Rung       negotiate.Rung `json:"rung"`
	Server     string         `json:"server"`     // "new": it knows the rung; "old"
	Connection string         `json:"connection"` // "fresh", or "live": there is an HTTP/2 connection already
	Exact      float64        `json:"exact"`      // round trips, computed
	// Sum is how Exact comes about where not all of it is round trips: "3 + 50 ms", which QUIC was waited for; "" else.
	Sum  string  `json:"sum,omitempty"`
	Live float64 `json:"live,omitempty"`

	Policy string `json:"policy,omitempty"` // what differs from the rung's usual policy: "Spare: Never"
	Dial   string `json:"dial,omitempty"`   // "": as Connection says; "second", "remembered", "resumed": an earlier one has left no connection
	Only   string `json:"only,omitempty"`   // "HTTP/1.1": the server has nothing newer; "": it has HTTP/2
	Peer   string `json:"peer,omitempty"`   // "": the server of this module
	Error  string `json:"error,omitempty"`  // why it could not be measured

	Network string `json:"network,omitempty"` // "no UDP": it drops datagrams
	Answer  string `json:"answer,omitempty"`  // "425": the server's to early data
}

// Deviation is how much more was measured than computed: 0.02 is 2 per cent. It is 0 for a row that was not measured.
func (r Row) Deviation() float64 {
	if r.Live == 0 {
		return 0
	}
	return r.Live/r.Exact - 1
}

// Tolerance is the largest deviation, either way, of a measurement that agrees with the computation.
const Tolerance = 0.10

// Agrees reports whether what was measured is what was computed, within Tolerance.
func (r Row) Agrees() bool { return math.Abs(r.Deviation()) <= Tolerance }

// String names the row: "assume, old server, fresh connection, Spare: Never".
func (r Row) String() string {
	s := fmt.Sprintf("%s, %s server, %s connection", r.Rung, r.Server, r.Connection)
	for _, more := range []string{r.Note(), r.Peer} {
		if more != "" {
			s += ", " + more
		}
	}
	return s
}

// Note is what tells r from the usual row of its rung, in words: "Spare: Never"; "" for the usual one.
func (r Row) Note() string {
	var notes []string
	for _, note := range []string{r.Policy, r.Dial, r.Network, r.Answer, r.Only} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	if r.Only != "" {
		notes[len(notes)-1] += " only"
	}
	return strings.Join(notes, ", ")
}

// What Row.Server, Row.Connection and Row.Network may be.
const (
	New   = "new"
	Old   = "old"
	Fresh = "fresh"
	Warm  = "live"
	NoUDP = "no UDP"
)
