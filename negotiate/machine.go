package negotiate

import (
	"slices"
	"time"
)

// A Machine decides one dial. It is not safe for concurrent use.
//
//	choose --> AwaitProbe --ProbeDone, Timer--> choose
//	       --> UseLive or Connect ... request sent --> Succeed
//	                                               --> failed: classify --> choose again, fall back, once more, or Fail
//
// One attempt is the main one; beside it there may be a spare, which sends nothing before it has become the main one: that has failed then, or hung and been
// discarded; and one of QUIC, whose early data is withdrawn before the main one sends anything. So there are never two handshakes at once. Each way of
// going on after a failure is taken once (renewed, repeated, fellBack, spared, altTried, quicTried, quicAltTried, excluded), so the machine ends
// whatever the servers do.
type Machine struct {
	policy   Policy
	facts    Facts
	attempts []*attempt
	orders   []Order
	done     bool

	main  *attempt // the one under way, or the last
	spare *attempt // nil: there is none
	// spared says that there has been a spare: there is but one.
	spared bool
	// relieved says that a connection was begun beside a spare that was needed and not ready. Invariant: then spare, if there is one, is that
	// connection, and the main attempt the spare of before, which is connecting.
	relieved bool
	// relieveAt is when the main attempt, which is connecting, has had its time, and there is something to do about it: see relieve. Zero: never.
	relieveAt time.Time

	// quic is the connection of QUIC that is raced against TCP, until it is the main attempt or over; nil: there is none. raced is the last
	// that was. Invariant: the main attempt is connecting, or over, while quic has sent a request.
	quic, raced *attempt
	headStart   time.Time // when TCP begins beside quic; zero: it has begun, or is not going to
	// pending is how TCP has failed while quic was still under way. Nil: it has not.
	pending *Fail

	awaits     int       // AwaitProbe orders so far
	awaiting   bool      // one is under way
	awaitsRace bool      // the first was for a dial that may have two connections under way, QUIC and TCP
	timer      time.Time // when who is silent is given up; zero: never

	altTried bool // the alternative service
	// QUIC at the origin's own address, and at an alternative service.
	quicTried, quicAltTried bool
	excluded                map[Rung]bool // rungs that have failed in this dial
	renewed                 bool          // a new connection of the same version was made
	repeated                bool          // a request was sent again because it was early
	fellBack                bool          // the dial has gone over to HTTP/1.1

	// answer is the last failure that came with a response: if what is tried after it gets none, it is the dial's result.
	answer *Fail
	// doubtful is the rung that had an ambiguous answer; "": none. Invariant: it is remembered only if HTTP/1.1 works.
	doubtful Rung

	// roundTrips is how far the main attempts have come, on the clock that counts round trips since the dial began.
	roundTrips int
}

// An Attempt is the account of one attempt, for traces and errors.
type Attempt struct {
	ID      int
	Rung    Rung         // the one it was made for, and from ALPN on the one it took
	ALPN    string       // what the server chose
	Conn    uint64       // UseLive: the connection in the pool
	Alt     *Alternative // where it went to instead of the origin; nil: to the origin
	Spare   bool         // it was prepared for the case that another fails
	Verdict string       // "" while it is under way; VerdictOpen, VerdictUnused, or the Class of its failure
	Reason  string       // the failure in words
}

// Verdicts of an attempt that are no failure.
const (
	VerdictOpen   = "open"
	VerdictUnused = "unused" // a spare that was not needed, or could not be used, or a connection that another was faster than
)

type attempt struct {
	Attempt
	state     state
	live      bool // on a connection that was there before
	coalesced bool
	tls       bool
	offer     []string
	rtt       time.Duration

	// assumed: the request went out before the server had allowed it.
	assumed bool
	// idled: a spare that was ready, and waited, before it was used.
	idled bool

	// What was sent early is not answered before SETTINGS have arrived, and a proposed stream not before it was accepted: an answer that
	// comes earlier is held. Invariant: answer is nil unless awaitsSettings or awaitsAccept.
	awaitsSettings bool
	awaitsAccept   bool
	connectAllowed bool // by the SETTINGS that have arrived
	unsupported    bool // the proposal; not acted upon before SETTINGS
	answer         Outcome

	// Of h3.
	early      bool // its request went out as early data
	promised   bool // something had said that the server is there
	heard      bool // something came from the server
	unanswered bool // nothing had when TCP was complete

	ordered time.Time     // when its connection was,
	reached time.Time     // and when its TCP was up; zero: it is not, or nobody has said so
	took    time.Duration // until that was there; 0: it is not

	began  int // on the clock of round trips: when the connection was ordered,
	ready  int // when it was there,
	sentAt int // and when what is waited for now was sent
}

type state uint8

const (
	connecting state = iota
	ready            // a spare
	waiting          // for SETTINGS, with nothing sent but our own
	sent             // the request
	over
)

// A strategy is what a rung does with a connection.
type strategy interface {
	// speaks reports whether a connection on which alpn was selected is its to use.
	speaks(alpn string) bool
	// connected is called when a connection of its own is there.
	connected(m *Machine, now time.Time, a *attempt)
	// settings is called when the server's SETTINGS have arrived on it.
	settings(m *Machine, now time.Time, a *attempt, o SettingsReceived)
}

// strategies are the rungs that are implemented.
var strategies = map[Rung]strategy{
	Upgrade:  upgrade{},
	Settings: settings{},
	Assume:   assume{},
	Token:    token{},
	H21:      h21{},
	Frame:    frame{},
	AltSvc:   altSvc{},
	H3:       h3{},
}

// preference is the order in which rungs are chosen for a connection that more than one speaks. Choice: who switches on an experimental
// rung wants it; what comes after it is the default ladder.
var preference = []Rung{Token, H21, Frame, Assume, Settings, Upgrade, H3}

// New returns the machine for one dial. The policy must be valid.
func New(p Policy, f Facts) *Machine {
	return &Machine{policy: p, facts: f, excluded: make(map[Rung]bool)}
}

// Start returns the first orders. It is called once.
func (m *Machine) Start(now time.Time) []Order {
	m.choose(now)
	return m.takeOrders()
}

// Report tells what happened, and returns what to do next; nil means to wait on. Outcomes that nothing was ordered for, and
// of attempts that are over, are ignored.
func (m *Machine) Report(now time.Time, o Outcome) []Order {
	if m.done {
		return nil
	}
	switch o := o.(type) {
	case ProbeDone:
		m.recvProbeDone(now, o)
	case Timer:
		m.recvTimer(now, o)
	case Cancelled:
		m.recvCancelled(now, o)
	case Reached:
		m.recvReached(now, o)
	case Spoke:
		m.recvSpoke(o)
	case Connected:
		m.recvConnected(now, o)
	case ConnectFailed:
		m.recvConnectFailed(now, o)
	case SettingsReceived:
		m.recvSettings(now, o)
	case EarlyRejected:
		m.recvEarlyRejected(now, o)
	case FrameAccepted:
		m.recvFrameAccepted(now, o)
	case FrameUnsupported:
		m.recvFrameUnsupported(now, o)
	case Response:
		m.recvAnswer(now, o.Attempt, o)
	case StreamReset:
		m.recvAnswer(now, o.Attempt, o)
	case NoSlot:
		m.recvNoSlot(now, o)
	case ConnLost:
		m.recvConnLost(now, o)
	}
	return m.takeOrders()
}

// Done reports whether Succeed or Fail has been ordered.
func (m *Machine) Done() bool { return m.done }

// Attempts returns the account of all attempts so far, in the order they were started.
func (m *Machine) Attempts() []Attempt {
	list := make([]Attempt, len(m.attempts))
	for i, a := range m.attempts {
		list[i] = a.Attempt
	}
	return list
}

// RoundTrips is the number of round trips from the start of the dial to where it is now: along the attempts that were waited for. What
// ran beside them costs nothing, nor does time spent on another dial's probe, resolving names, or waiting for who stays silent.
func (m *Machine) RoundTrips() int { return m.roundTrips }

func (m *Machine) newAttempt(r Rung) *attempt {
	a := &attempt{Attempt: Attempt{ID: len(m.attempts) + 1, Rung: r}, began: m.roundTrips}
	m.attempts = append(m.attempts, a)
	return a
}

// attempt returns the attempt with the number id if it is under way.
func (m *Machine) attempt(id int) *attempt {
	if id < 1 || id > len(m.attempts) || m.attempts[id-1].state == over {
		return nil
	}
	return m.attempts[id-1]
}

// underWay returns the main attempt if it is not over.
func (m *Machine) underWay() *attempt {
	if m.main != nil && m.main.state != over {
		return m.main
	}
	return nil
}

func (m *Machine) order(o Order) { m.orders = append(m.orders, o) }

func (m *Machine) takeOrders() []Order {
	orders := m.orders
	m.orders = nil
	return orders
}

// passed puts the clock of round trips on to at.
func (m *Machine) passed(at int) { m.roundTrips = max(m.roundTrips, at) }

// send notes that a's request leaves now.
func (m *Machine) send(a *attempt, s state) {
	a.state, a.sentAt = s, m.roundTrips
}

// answered notes that something has come back for what a sent.
func (m *Machine) answered(a *attempt) { m.passed(a.sentAt + 1) }

// watch sets the timer for an attempt that waits for the server, if the dial has another way to go should it stay silent.
// Choice: half of the time that is left, so that the other way has as much.
func (m *Machine) watch(now time.Time, a *attempt) {
	m.timer = time.Time{}
	another := m.canFallBack() || a.Alt != nil
	if a.Rung == H3 {
		another = m.canLeaveQUIC(now, a)
	}
	if !m.policy.Once && (another || a.live && !m.renewed) {
		m.setTimer(now)
	}
}

func (m *Machine) setTimer(now time.Time) {
	left := m.facts.Deadline.Sub(now)
	// Where little time is left, what is under way is the best chance: it needs a round trip, and a server some time.
	wait := max(left/2, patience*m.rtt())
	if !m.facts.Deadline.IsZero() && left > 0 && wait < left {
		m.timer = now.Add(wait)
		m.arm()
	}
}

// arm orders the one timer that there is, for what comes first.
func (m *Machine) arm() {
	at := m.timer
	for _, other := range []time.Time{m.headStart, m.relieveAt} {
		if at.IsZero() || !other.IsZero() && other.Before(at) {
			at = other
		}
	}
	if !at.IsZero() {
		m.order(SetTimer{At: at})
	}
}

// patience is how many round trips a server has to answer at least.
const patience = 4

// rtt is the network's round-trip time as this dial has seen it; 0: not known.
func (m *Machine) rtt() (d time.Duration) {
	for _, a := range m.attempts {
		d = max(d, a.rtt)
	}
	return d
}

func (a *attempt) end(verdict, reason string) {
	a.state, a.Verdict, a.Reason, a.answer = over, verdict, reason, nil
}

func (a *attempt) offered(token string) bool { return slices.Contains(a.offer, token) }

const (
	// maxAttempts bounds a dial. The alternative, a live connection, one of its own, one renewal, the spare, the fallback and what
	// replaces a bad spare, or relieves it, are seven; QUIC, at two places; one for each rung that a policy without upgrade goes on to; live ones without
	// a slot.
	maxAttempts = 12
	// maxAwaits bounds the waves of dials that share the streams of one connection after another.
	maxAwaits = 100
)
