package negotiate

import "time"

// A Machine decides one dial. It is not safe for concurrent use.
type Machine struct {
	policy   Policy
	facts    Facts
	attempts []*attempt
	done     bool
}

// An Attempt is the account of one attempt, for traces and errors.
type Attempt struct {
	ID      int
	Rung    Rung   // the one it was made for, and from ALPN on the one it took
	ALPN    string // what the server chose
	Conn    uint64 // UseLive: the connection in the pool
	Verdict string // "" while it is under way; "open", or the Class of its failure
	Reason  string // the failure in words
}

type attempt struct{ Attempt }

type strategy interface{}

var strategies = map[Rung]strategy{Upgrade: 0, Settings: 0}

// New returns the machine for one dial. The policy must be valid.
func New(p Policy, f Facts) *Machine { return &Machine{policy: p, facts: f} }

// Start returns the first orders. It is called once.
func (m *Machine) Start(now time.Time) []Order { return nil }

// Report tells what happened, and returns what to do next; nil means to wait on.
func (m *Machine) Report(now time.Time, o Outcome) []Order { return nil }

// Done reports whether Succeed or Fail has been ordered.
func (m *Machine) Done() bool { return m.done }

// Attempts returns the account of all attempts so far, in the order they were started.
func (m *Machine) Attempts() []Attempt { return nil }

// RoundTrips is the number of round trips that the dial took, from its start to its end.
func (m *Machine) RoundTrips() int { return 0 }
