package negotiate

import (
	"fmt"
	"slices"
	"time"
)

// A Machine decides one dial. It is not safe for concurrent use.
//
//	choose --> AwaitProbe --ProbeDone, Timer--> choose
//	       --> UseLive or Connect ... request sent --> Succeed
//	                                               --> failed: classify --> choose again, fall back, once more, or Fail
//
// One attempt is under way at a time, and beside it at most a spare on which nothing is sent until the other has failed: so
// there are never two Upgrades at once. Each way of going on after a failure is taken once (renewed, repeated, fellBack), so
// the machine ends whatever the servers do.
type Machine struct {
	policy   Policy
	facts    Facts
	attempts []*attempt
	orders   []Order
	done     bool

	awaits   int       // AwaitProbe orders so far
	awaiting bool      // one is under way
	timer    time.Time // of the last SetTimer; zero: none is wanted

	renewed  bool // a new connection of the same version was made
	repeated bool // a request was sent again because it was early
	fellBack bool // the dial has gone over to HTTP/1.1

	// answer is the last failure that came with a response: if what is tried after it gets none, it is the dial's result.
	answer *Fail

	spare    *attempt   // made in case an assumption fails; nil: none, or it has become the attempt
	respared bool       // a spare that died was replaced
	notices  []Remember // to be stored if the fallback works: what the failure before it then means
	triedAlt bool       // an alternative service was tried

	rtt time.Duration // of the network, as the first connection has seen it; 0: not known

	// at is how many round trips after the start the dial has come to, along the longest path.
	at int
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

type attempt struct {
	Attempt
	state     state
	live      bool // on a connection that was there before
	coalesced bool
	tls       bool
	offer     []string
	alt       *Alternative

	// An assumed request was sent before the server had said that it may be. Until its SETTINGS have come, what came for the
	// request is held.
	assumed bool
	allowed bool    // SETTINGS have come, and allow it
	held    Outcome // nil: nothing

	frame    bool // the request is a WS_OPEN
	connects bool // ... on a connection whose SETTINGS allow Extended CONNECT too
	ready    bool // a spare is connected
	wasSpare bool
	at       int // round trips after the start of the dial
}

type state uint8

const (
	connecting state = iota
	waiting          // for SETTINGS
	sent             // the request
	over
)

// A strategy is what a rung does with a connection.
type strategy interface {
	// tokens are the ALPN protocols that it adds to an offer; speaks reports whether a connection on which alpn was
	// selected is its to use.
	tokens() []string
	speaks(alpn string) bool
	// assumes reports whether it sends a request that the server may not know, so that a spare makes sense.
	assumes() bool
	// connected is called when a connection of its own is there, settings when the server's SETTINGS have arrived on it.
	connected(m *Machine, now time.Time, a *attempt)
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
}

// offered is the order of preference of rungs, in an ALPN offer and on a connection.
var offered = []Rung{Token, H21, Frame, Assume, Settings, Upgrade}

// New returns the machine for one dial. The policy must be valid.
func New(p Policy, f Facts) *Machine { return &Machine{policy: p, facts: f} }

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
		if m.awaiting {
			m.awaiting = false
			m.timer = time.Time{}
			m.facts = o.Facts
			m.choose(now)
		}
	case Timer:
		m.recvTimer(now, o)
	case Cancelled:
		m.recvCancelled(now, o)
	case Connected:
		m.recvConnected(now, o)
	case ConnectFailed:
		m.recvEnd(now, o.Attempt, connecting, o)
	case Reached:
		m.recvReached(now, o)
	case Spoke:
		m.recvSpoke(o)
	case SettingsReceived:
		if a := m.attempt(o.Attempt); a != nil {
			m.recvSettings(now, a, o)
		}
	case FrameUnsupported:
		m.recvEnd(now, o.Attempt, sent, o)
	case Response:
		m.recvResponse(now, o)
	case NoSlot:
		m.recvNoSlot(now, o)
	case StreamReset:
		m.recvEnd(now, o.Attempt, sent, o)
	case ConnLost:
		if a := m.attempt(o.Attempt); a != nil && a.state != connecting {
			m.recvEnd(now, o.Attempt, a.state, o)
		}
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

// RoundTrips is the number of round trips from the dial's start to where it is, along the longest path: what went on at the
// same time counts once. Time spent on another dial's probe is not in it.
func (m *Machine) RoundTrips() int { return m.at }

// choose decides how to begin, with the facts as they are.
func (m *Machine) choose(now time.Time) {
	if len(m.attempts) == maxAttempts {
		m.fail(0, Refused, fmt.Sprintf("gave up after %d attempts", maxAttempts), nil)
		return
	}
	if m.wantsHTTP2() {
		if c, ok := m.usableLive(); ok {
			a := m.newAttempt(liveRung(c))
			a.Conn, a.ALPN, a.live, a.coalesced = c.ID, c.ALPN, true, c.Coalesced
			a.frame = a.Rung == Frame
			a.state = sent
			m.order(UseLive{Attempt: a.ID, Conn: c.ID, Frame: a.frame})
			m.watch(now, a)
			return
		}
		if alt, ok := m.alternative(now); ok {
			m.connectAlt(alt)
			return
		}
		if m.knownWithout() {
			// What the server said on that connection holds for the next one, too.
			if !m.fallBack(now) {
				m.fail(0, Version, noConnectProtocol+withoutUpgrade, nil)
			}
			return
		}
		if m.remembersNone(now) && m.policy.allows(Upgrade) {
			m.fellBack = true // somebody has found out what there is to find out
		} else if m.worthAwaiting() {
			m.awaitProbe(now)
			return
		}
	}
	m.connect(now)
}

// connect makes a new connection with the best offer that is still open to this dial.
func (m *Machine) connect(now time.Time) {
	rungs := m.rungs(now)
	if len(rungs) == 0 {
		m.fail(0, Disallowed, "policy has no rung for ws without prior knowledge of HTTP/2: it needs upgrade", nil)
		return
	}
	if !m.facts.Secure {
		rungs = rungs[:1] // nothing is negotiated
	}
	a := m.newAttempt(rungs[0])
	a.tls = m.facts.Secure
	for _, r := range rungs {
		for _, t := range strategies[r].tokens() {
			if !slices.Contains(a.offer, t) {
				a.offer = append(a.offer, t)
			}
		}
	}
	m.order(Connect{Attempt: a.ID, TLS: a.tls, ALPN: a.offer, Probe: rungs[0] != Upgrade})
	if m.policy.Spare == Eager && m.wantsSpare(now, a) {
		m.startSpare(a)
	}
}

// rungs are what a new connection may still be used for, the best first.
func (m *Machine) rungs(now time.Time) []Rung {
	var list []Rung
	for _, r := range offered {
		switch {
		case !m.policy.allows(r) && !(r == Settings && m.policy.allows(Assume)):
		case r != Upgrade && !m.wantsHTTP2():
		case r == Assume && !m.mayAssume(now), r != Upgrade && r != Assume && r != Settings && !m.mayExperiment(now, r):
		case r == Settings && slices.Contains(list, Assume):
		// Never wsoverh2 beside h2: every old server then picks h2.
		case r != Upgrade && len(list) > 0 && list[0] == Token:
		default:
			list = append(list, r)
		}
	}
	return list
}

func (m *Machine) wantsHTTP2() bool {
	return m.policy.wantsHTTP2() && !m.fellBack && (m.facts.Secure || m.facts.PriorKnowledge)
}

func (m *Machine) usableLive() (LiveConn, bool) {
	if m.renewed {
		return LiveConn{}, false
	}
	for _, c := range m.facts.Live {
		if c.ConnectProtocol && c.Slots > 0 && !c.Draining {
			return c, true
		}
	}
	for _, c := range m.facts.Live {
		if m.policy.allows(Frame) && !m.policy.Strict && c.SettingsReceived && !c.NoFrames && c.Slots > 0 && !c.Draining {
			return c, true
		}
	}
	return LiveConn{}, false
}

// liveRung is the rung that a live connection is used by.
func liveRung(c LiveConn) Rung {
	switch {
	case !c.ConnectProtocol:
		return Frame
	case c.ALPN == tokenALPN:
		return Token
	case c.ALPN == h21ALPN:
		return H21
	}
	return Settings
}

// knownGood and knownWithout report what the server's live connections have said about WebSockets.
func (m *Machine) knownGood() bool {
	return slices.ContainsFunc(m.facts.Live, func(c LiveConn) bool { return c.ConnectProtocol })
}

func (m *Machine) knownWithout() bool {
	return !m.knownGood() && slices.ContainsFunc(m.facts.Live, func(c LiveConn) bool { return c.SettingsReceived && !c.Draining })
}

// worthAwaiting: another dial's probe is worth waiting for once, while nothing is known; and again where it will carry
// WebSockets. If the origin turns out to have no HTTP/2, those who waited must not wait for one another.
func (m *Machine) worthAwaiting() bool {
	return m.facts.Probing > 0 && !m.renewed && (m.awaits == 0 || m.knownGood() && m.awaits < maxAwaits)
}

func (m *Machine) awaitProbe(now time.Time) {
	m.awaits++
	m.awaiting = true
	m.order(AwaitProbe{})
	m.setTimer(now)
}

// fallBack goes over to HTTP/1.1 and reports whether that is possible.
func (m *Machine) fallBack(now time.Time) bool {
	if !m.canFallBack() {
		return false
	}
	m.fellBack = true
	if m.spare != nil {
		m.useSpare(now)
	} else {
		m.choose(now)
	}
	return true
}

func (m *Machine) canFallBack() bool {
	return m.policy.allows(Upgrade) && !m.fellBack && len(m.attempts) < maxAttempts
}

// renew takes a new connection of the same version and reports whether that is possible.
func (m *Machine) renew(now time.Time) bool {
	if m.renewed || m.fellBack || len(m.attempts) == maxAttempts {
		return false
	}
	m.renewed = true
	m.choose(now)
	return true
}

func (m *Machine) newAttempt(r Rung) *attempt {
	a := &attempt{Attempt: Attempt{ID: len(m.attempts) + 1, Rung: r}, at: m.at}
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

// spend counts n round trips of a.
func (m *Machine) spend(a *attempt, n int) {
	a.at += n
	if a != m.spare {
		m.at = max(m.at, a.at)
	}
}

func (m *Machine) order(o Order) { m.orders = append(m.orders, o) }

func (m *Machine) takeOrders() []Order {
	orders := m.orders
	m.orders = nil
	return orders
}

// watch sets the timer for an attempt that waits for the server, if the dial has another way to go should it stay silent.
// Choice: half of the time that is left, so that the other way has as much.
func (m *Machine) watch(now time.Time, a *attempt) {
	m.timer = time.Time{}
	if !m.policy.Once && (m.canFallBack() || a.live && !m.renewed) {
		m.setTimer(now)
	}
}

func (m *Machine) setTimer(now time.Time) {
	left := m.facts.Deadline.Sub(now)
	// Where little time is left, what is under way is the best chance: it needs a round trip, and a server some time.
	wait := max(left/2, patience*m.rtt)
	if !m.facts.Deadline.IsZero() && left > 0 && wait < left {
		m.timer = now.Add(wait)
		m.order(SetTimer{At: m.timer})
	}
}

// patience is how many round trips a server has to answer at least.
const patience = 4

const (
	// maxAttempts bounds a dial. An alternative, a live connection without a slot, one
	// renewal, a repetition, the fallback, a spare and its replacement are seven.
	maxAttempts = 10
	// maxAwaits bounds the waves of dials that share the streams of one connection after another.
	maxAwaits = 100
)

const withoutUpgrade = "; the policy does not allow rung upgrade"
