package simnet

import (
	"cmp"
	"slices"
	"time"
)

// A Fault is what happens to a connection at a byte.
type Fault struct {
	Conn   int   // to which of the connections that are dialed since it was set, from 1; 0: to each
	Client bool  // at a byte that the client sends, else at one of the server's
	After  int64 // so many bytes of theirs pass before; 0: as soon as the connection is made
	Kind   FaultKind
	For    time.Duration // of a Stall
}

// A FaultKind says what a Fault does. But for Stall, what either end sends later is lost.
type FaultKind int

const (
	// RST: somebody on the way resets both ends. What is under way arrives.
	RST FaultKind = iota
	// FIN: somebody on the way closes both directions. Both ends read EOF, and what they write then is answered by RST.
	FIN
	// Silence: the connection is half-open, the cable is cut as by Cut. Nobody hears of it.
	Silence
	// Stall: what is sent in this direction from there on arrives later by For, in order. So does loss look to whoever uses TCP.
	Stall
)

func (k FaultKind) String() string { return [...]string{"RST", "FIN", "silence", "stall"}[k] }

// SetFaults sets what happens to the connections to addr ("10.0.0.2:443") that are dialed from now on, and spares those that are open what
// has not happened yet. Stats.Faults counts what has.
func (n *Network) SetFaults(addr string, faults ...Fault) {
	for _, c := range n.openEnds() {
		if c.remote.String() == addr || c.local.String() == addr {
			c.out.spare()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[addr] = &faultPlan{faults: faults}
}

// A faultPlan is what SetFaults was told of an address.
type faultPlan struct {
	faults []Fault
	conns  int // dialed since
}

// nextFaults returns the faults of a new connection by direction, each in the order of its bytes. It needs n.mu.
func (n *Network) nextFaults(addr string) (up, down []Fault) {
	plan := n.faults[addr]
	if plan == nil {
		return nil, nil
	}
	plan.conns++
	for _, f := range plan.faults {
		switch {
		case f.Conn != 0 && f.Conn != plan.conns:
		case f.Client:
			up = append(up, f)
		default:
			down = append(down, f)
		}
	}
	byByte := func(a, b Fault) int { return cmp.Compare(a.After, b.After) }
	slices.SortStableFunc(up, byByte)
	slices.SortStableFunc(down, byByte)
	return up, down
}

// strike does to c what is due at the bytes that it has written.
func (c *Conn) strike() {
	for {
		fault, ok := c.out.due()
		if !ok {
			return
		}
		c.net.count(func(s *Stats) { s.Faults++ })
		now := time.Now()
		switch fault.Kind {
		case RST:
			c.out.resetByNetwork(now)
			c.in.resetByNetwork(now)
		case FIN:
			c.out.finishByNetwork(now)
			c.in.finishByNetwork(now)
		case Silence:
			c.out.cut()
			c.in.cut()
		case Stall:
			c.out.stall(now.Add(fault.For))
		}
	}
}

// due takes the fault that the next byte would meet.
func (f *flow) due() (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) == 0 || f.taken < f.faults[0].After {
		return Fault{}, false
	}
	fault := f.faults[0]
	f.faults = f.faults[1:]
	return fault, true
}

// spare takes the faults away that have not happened.
func (f *flow) spare() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// untilFault is how many bytes may be taken before the next fault. Called with mu held.
func (f *flow) untilFault(n int) int {
	if len(f.faults) == 0 {
		return n
	}
	return int(min(int64(n), f.faults[0].After-f.taken))
}

func (f *flow) resetByNetwork(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost {
		return
	}
	at := now.Add(f.delay)
	f.resetAt = earliest(f.resetAt, at)
	f.breakAt(at, errWriteReset)
	f.segments = slices.DeleteFunc(f.segments, func(s segment) bool { return s.at.After(at) })
	f.lost = true
	f.changed.fire()
}

func (f *flow) finishByNetwork(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sendFIN(now)
	f.finished = true
	f.changed.fire()
}

func (f *flow) stall(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notBefore = until.Add(f.delay)
}

// arrival is when what is sent at now arrives. Called with mu held.
func (f *flow) arrival(now time.Time) time.Time {
	if at := now.Add(f.delay); at.After(f.notBefore) {
		return at
	}
	return f.notBefore
}
