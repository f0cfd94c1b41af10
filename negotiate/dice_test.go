package negotiate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "run TestRandomDials, or TestVirtualDials, with this seed alone")

// Whatever the servers do, a dial ends, with few attempts, one handshake at a time and orders that make sense; and no 2xx is taken for a
// WebSocket that was not allowed.
func TestRandomDials(t *testing.T) {
	if *seed != 0 {
		newDice(t, *seed).run()
		return
	}
	succeeded, relieved, overtaken := make(map[Rung]int), 0, 0
	for s := range uint64(10000) {
		d := newDice(t, s+1)
		d.run()
		if t.Failed() {
			t.Fatalf("replay with -seed=%d; so far:\n%s", s+1, strings.Join(d.log, "\n"))
		}
		succeeded[d.by]++
		relieved += d.relieved
		overtaken += d.overtaken
	}
	if relieved < 30 {
		t.Errorf("only in %d dials a spare was needed, and late", relieved)
	}
	if overtaken < 200 {
		t.Errorf("only in %d dials a spare took the place of a first connection that hung", overtaken)
	}
	for _, r := range Rungs() {
		if succeeded[r] == 0 {
			t.Errorf("no dial has succeeded by %s", r)
		}
	}
}

// A dice is an executor whose network is dice.
type dice struct {
	t   *testing.T
	r   *rand.Rand
	now time.Time
	m   *Machine
	log []string

	facts    Facts
	policy   Policy
	conns    map[int]*diceConn
	awaiting bool
	timer    time.Time
	spares   int
	relieved int // connections that were begun beside a spare that hung
	// overtaken are first connections that hung, and gave way to the spare.
	overtaken int
	quics     int
	alone     *diceConn // of QUIC, while TCP has not begun though it may
	until     time.Time // when it is to begin at the latest
	rtt       time.Duration
	hangs     bool // the first connection of a dial to an unknown origin
	told      bool // something was remembered of a rung over TCP
	ended     int
	by        Rung // "": it has failed
}

// A diceConn is what is true of an attempt.
type diceConn struct {
	at     string // "connect", "connected", "settings", "got settings", "response", "answered", "over"
	alpn   string
	spare  bool
	alt    bool
	live   bool
	sent   string // "upgrade", "connect", "frame"
	early  bool   // before SETTINGS were reported
	quic   bool
	ticket bool // SETTINGS are remembered, and were not taken back
	zero   bool // it may send 0-RTT data
	status int  // of the last answer
	tries  int  // CONNECTs on it
	again  bool // it was asked again after an answer
	asked  bool // HTTP/2 has begun
	got    bool // SETTINGS were reported
	allow  bool // ... and allow it
	accept bool
	ignore bool // FrameUnsupported
	ok     bool // a valid 101 or 2xx was reported
	diceTCP
}

func newDice(t *testing.T, seed uint64) *dice {
	r := rand.New(rand.NewPCG(seed, 0))
	d := &dice{t: t, r: r, now: time.Unix(1_000_000, 0), conns: map[int]*diceConn{}}
	d.roll()
	return d
}

func (d *dice) run() {
	d.m = New(d.policy, d.facts)
	d.log = append(d.log, fmt.Sprintf("%+v\n%+v", d.policy, d.facts))
	d.obey(d.m.Start(d.now))
	for step := 0; !d.m.Done(); step++ {
		if step > 3000 {
			d.t.Fatalf("the dial does not end: %s", strings.Join(d.log[:100], "\n"))
		}
		o := d.outcome()
		d.log = append(d.log, fmt.Sprintf("  %T%+v", o, o))
		d.obey(d.m.Report(d.now, o))
	}
	if d.ended != 1 {
		d.t.Errorf("ended %d times", d.ended)
	}
	if n := len(d.m.Attempts()); n > maxAttempts || d.spares > 2 || d.quics > 2 || d.relieved > 1 {
		d.t.Errorf("%d attempts, %d spares, %d of QUIC, %d beside a spare", n, d.spares, d.quics, d.relieved)
	}
	for _, a := range d.m.Attempts() {
		if a.Verdict == "" {
			d.t.Errorf("attempt %d has no verdict", a.ID)
		}
	}
	if d.overtaken > 0 && d.hangs && d.told {
		d.t.Error("a connection that hung is held against the origin")
	}
	if orders := d.m.Report(d.now, d.outcome()); orders != nil {
		d.t.Errorf("orders after the end: %v", orders)
	}
}

func (d *dice) obey(orders []Order) {
	for _, o := range orders {
		d.log = append(d.log, o.String())
		if d.ended > 0 {
			d.t.Errorf("%v after the end", o)
		}
		d.obeyOne(o)
		under := 0
		for _, c := range d.conns {
			if c.at == "response" {
				under++
			}
		}
		if under > 1 {
			d.t.Error("two handshakes at once")
		}
	}
	for _, at := range []time.Time{d.m.timer, d.m.headStart, d.m.relieveAt} {
		if !at.IsZero() && !d.m.Done() && (d.timer.IsZero() || d.timer.After(at)) {
			d.t.Errorf("the machine waits for %v, the timer is set to %v", at, d.timer)
		}
	}
	d.checkFirst()
	// What QUIC costs where it is blocked.
	if c := d.alone; c != nil && c.at == "connect" && (d.timer.IsZero() || d.timer.After(d.until)) {
		d.t.Errorf("QUIC is alone, TCP should begin at %v, the timer is set to %v", d.until, d.timer)
	}
}

func (d *dice) obeyOne(o Order) {
	expect := func(id int, at ...string) *diceConn {
		c := d.conns[id]
		if c == nil || !slices.Contains(at, c.at) {
			d.t.Fatalf("%v: attempt %d is %+v, want %v\n%s", o, id, c, at, strings.Join(d.log, "\n"))
		}
		return c
	}
	send := func(c *diceConn, what string) {
		c.at, c.sent, c.early = "response", what, !c.got
		c.asked = true
		c.tries++
	}
	switch o := o.(type) {
	case UseLive:
		d.useLive(o)
	case AwaitProbe:
		d.awaiting = true
	case Connect:
		d.connect(o)
	case WaitSettings:
		c := expect(o.Attempt, "connected")
		c.at, c.asked = "settings", true
	case SendConnect:
		c := expect(o.Attempt, "got settings", "connected", "answered")
		if c.at == "connected" && c.alpn == "h2" && (d.policy.Strict || d.policy.Once) {
			d.t.Errorf("%v is assumed under %+v", o, d.policy)
		}
		if c.at == "answered" && !(c.ignore && c.got && c.allow) && !(c.status == 425 && !c.again && !c.live) {
			d.t.Errorf("%v after %+v", o, c)
		}
		c.again = c.again || c.at == "answered"
		if c.quic && !c.allow && !c.ticket {
			d.t.Errorf("%v without SETTINGS: %+v", o, c)
		}
		send(c, "connect")
	case SendFrame:
		send(expect(o.Attempt, "connected"), "frame")
	case SendUpgrade:
		d.checkUpgrade(o)
		send(expect(o.Attempt, "connected"), "upgrade")
	case Keep:
		if c := d.conns[o.Attempt]; c != nil && c.quic && c.at == "connected" {
			c.at = "over" // TCP was faster
			return
		}
		expect(o.Attempt, "got settings", "answered").at = "over"
	case RememberNetwork:
		if o.QUIC == QUICUnknown || o.TTL <= 0 || d.quics == 0 {
			d.t.Errorf("wrong order %v", o)
		}
	case DropAlternative:
		if o.Alt.Hint {
			d.t.Errorf("%v: it is a hint", o)
		}
	case Settle:
		c := expect(o.Attempt, "response", "answered")
		if c.sent != "connect" || !c.got || c.allow || c.alt || o.IfKilled.Verdict != No {
			d.t.Errorf("%v of %+v", o, c)
		}
		c.at = "over"
	case Remember:
		if o.Verdict != No || o.TTL <= 0 || !d.facts.Secure && o.TTL > forgeable {
			d.t.Errorf("wrong order %v", o)
		}
		d.told = d.told || o.Rung != H3
	case Discard:
		if c := d.conns[o.Attempt]; c == nil || c.spare && o.How != CloseConn {
			d.t.Errorf("wrong order %v", o)
		}
		d.checkGivenUp(o.Attempt)
		d.conns[o.Attempt].at = "over"
	case SetTimer:
		d.timer = o.At
		if o.At.Before(d.now) {
			d.t.Errorf("timer in the past: %v", o)
		}
	case Succeed:
		d.ended++
		d.by = o.Rung
		d.succeed(o, expect(o.Attempt, "answered"))
	case Fail:
		d.ended++
		if o.Class == "" || o.Reason == "" {
			d.t.Errorf("failure without a reason: %v", o)
		}
	}
}

// succeed checks that the success is one: rule 1.
func (d *dice) succeed(o Succeed, c *diceConn) {
	ok := c.ok
	switch c.sent {
	case "connect":
		ok = ok && (c.got && c.allow || c.ticket)
	case "frame":
		ok = ok && c.accept
	}
	if !ok || o.Reused != c.live || (o.Rung == H3) != c.quic || !c.quic && (o.Rung == AltSvc) != c.alt {
		d.t.Errorf("%v of %+v", o, c)
	}
	for id, other := range d.conns {
		if id != o.Attempt && !other.quic && (other.at == "connect" || other.at == "connected") {
			d.t.Errorf("attempt %d is left at %s", id, other.at)
		}
	}
}

func (d *dice) useLive(o UseLive) {
	for _, l := range d.m.facts.Live {
		if l.ID == o.Conn && !l.Draining && l.Slots > 0 && (o.Frame && !l.NoFrames || !o.Frame && l.ConnectProtocol) {
			c := &diceConn{at: "response", sent: "connect", alpn: l.ALPN, live: true, alt: l.Alt != nil, asked: true, got: true, allow: l.ConnectProtocol, quic: l.ALPN == alpnH3}
			if o.Frame {
				c.sent = "frame"
			}
			d.conns[o.Attempt] = c
			return
		}
	}
	d.t.Errorf("%v: there is no such connection", o)
}

func (d *dice) connect(o Connect) {
	if d.conns[o.Attempt] != nil || o.TLS != d.facts.Secure || len(o.ALPN) == 0 || !o.TLS && len(o.ALPN) > 1 {
		d.t.Errorf("wrong order %v", o)
	}
	if slices.Contains(o.ALPN, wsoverh2) && (len(o.ALPN) != 2 || o.ALPN[1] != http11) {
		d.t.Errorf("%v: %s stands beside http/1.1, and nothing else", o, wsoverh2)
	}
	if d.policy.Strict && (slices.Contains(o.ALPN, wsoverh2) || slices.Contains(o.ALPN, h2dot1)) {
		d.t.Errorf("%v under strict", o)
	}
	if o.Spare {
		d.spares++
		if d.policy.Strict || d.facts.Proxied || !d.facts.Secure || d.policy.Spare == Never || o.ALPN[0] != http11 || o.Alt != nil || o.Probe {
			d.t.Errorf("%v under %+v", o, d.policy)
		}
	}
	if o.Alt != nil && (d.facts.Proxied || !d.facts.Secure || !o.QUIC && !slices.Contains(d.policy.Rungs, AltSvc)) {
		d.t.Errorf("%v under %+v", o, d.policy)
	}
	if slices.Contains(o.ALPN, alpnH3) != o.QUIC || o.QUIC && (len(o.ALPN) > 1 || o.Spare || !o.Probe) {
		d.t.Errorf("wrong order %v", o)
	}
	d.beside(o)
	c := &diceConn{at: "connect", spare: o.Spare, alt: o.Alt != nil, quic: o.QUIC, zero: o.Early, diceTCP: d.newTCP(o)}
	d.conns[o.Attempt] = c
	if o.QUIC {
		d.connectQUIC(o, c)
	} else {
		d.alone = nil
	}
}

// outcome is something that may happen now; now and then something that cannot.
func (d *dice) outcome() Outcome {
	d.now = d.now.Add(time.Duration(d.r.IntN(1500)) * time.Millisecond)
	switch d.r.IntN(16) {
	case 0:
		return Timer{}
	case 1:
		if d.r.IntN(15) == 0 {
			return Cancelled{Err: []error{context.Canceled, context.DeadlineExceeded, nil}[d.r.IntN(3)]}
		}
	case 2:
		if d.awaiting || d.r.IntN(4) == 0 {
			f := d.randomFacts()
			if d.awaiting {
				d.awaiting, d.facts = false, f
			}
			return ProbeDone{Facts: f}
		}
	}
	if !d.timer.IsZero() && d.now.After(d.timer) {
		d.timer = time.Time{}
		if d.awaiting && !d.facts.Deadline.IsZero() {
			d.awaiting = false
		}
		return Timer{}
	}
	id := d.r.IntN(len(d.conns)+1) + 1
	c := d.conns[id]
	if c == nil || d.r.IntN(20) == 0 {
		return d.nonsense(id)
	}
	return d.outcomeOf(id, c)
}

// nonsense is an outcome that belongs to nothing, or comes twice.
func (d *dice) nonsense(id int) Outcome {
	if c := d.conns[id]; c == nil || c.at != "over" {
		id = 99
	}
	return []Outcome{
		Reached{Attempt: id}, Spoke{Attempt: id}, Connected{Attempt: id, ALPN: "h2"}, SettingsReceived{Attempt: id, ConnectProtocol: true, Slots: 1},
		Response{Attempt: id, Status: 200}, NoSlot{Attempt: id}, StreamReset{Attempt: id}, ConnLost{Attempt: id}, ConnectFailed{Attempt: id},
		FrameAccepted{Attempt: id}, FrameUnsupported{Attempt: id}, EarlyRejected{Attempt: id},
	}[d.r.IntN(12)]
}

func (d *dice) outcomeOf(id int, c *diceConn) Outcome {
	switch c.at {
	case "connect":
		if c.quic {
			return d.quicOutcome(id, c)
		}
		return d.tcpOutcome(id, c)
	case "connected":
		if c.spare && d.r.IntN(4) == 0 {
			if d.r.IntN(2) == 0 {
				return Spoke{Attempt: id, EOF: d.r.IntN(2) == 0}
			}
			return d.lost(id, c)
		}
	case "settings":
		if d.r.IntN(5) == 0 {
			return d.lost(id, c)
		}
		c.at = "got settings"
		return d.settings(id, c)
	case "response":
		return d.answer(id, c)
	case "answered":
		// SETTINGS and the fate of a proposal may be reported after the answer; so may the end of the connection.
		switch {
		case d.r.IntN(4) == 0 && !c.ok:
			return d.lost(id, c)
		case !c.got && c.sent != "upgrade":
			return d.settings(id, c)
		case c.sent == "frame":
			return d.proposal(id, c)
		}
	}
	return StreamReset{Attempt: -1}
}

func (d *dice) settings(id int, c *diceConn) Outcome {
	c.got, c.allow = true, d.r.IntN(3) > 0
	c.ticket = c.ticket && c.allow
	return SettingsReceived{Attempt: id, Present: c.allow, ConnectProtocol: c.allow, Slots: d.r.IntN(4), RoundTrips: d.r.IntN(2)}
}

func (d *dice) proposal(id int, c *diceConn) Outcome {
	if !c.accept && !c.ignore && d.r.IntN(2) == 0 {
		c.ignore = true
		c.at = "answered"
		return FrameUnsupported{Attempt: id}
	}
	if !c.ignore {
		c.accept = true
	}
	return FrameAccepted{Attempt: id}
}

func (d *dice) answer(id int, c *diceConn) Outcome {
	if c.ticket && c.tries == 1 && !c.got {
		switch d.r.IntN(6) {
		case 0:
			c.at, c.ticket = "connected", false
			return EarlyRejected{Attempt: id}
		case 1:
			c.at = "over"
			return d.quicFailed(id)
		}
	}
	switch d.r.IntN(9) {
	case 0:
		return d.lost(id, c)
	case 1:
		if c.sent != "upgrade" {
			c.at = "answered"
			return StreamReset{Attempt: id, Code: d.code(c), Unprocessed: d.r.IntN(3) == 0, Local: d.r.IntN(5) == 0}
		}
	case 2:
		if c.sent != "upgrade" {
			c.at = "over"
			return NoSlot{Attempt: id}
		}
	case 3, 4, 5:
		if !c.got && c.sent != "upgrade" {
			return d.settings(id, c)
		}
		if c.sent == "frame" {
			return d.proposal(id, c)
		}
	}
	o := Response{Attempt: id, Status: []int{101, 101, 200, 200, 299, 301, 400, 401, 403, 404, 405, 408, 421, 425, 426, 500, 501}[d.r.IntN(17)], Ended: d.r.IntN(8) == 0}
	if d.r.IntN(8) == 0 {
		o.Invalid = errors.New("invalid")
	}
	c.status = o.Status
	c.ok = (c.sent == "upgrade" && o.Status == 101 || c.sent != "upgrade" && o.Status/100 == 2) && !o.Ended && o.Invalid == nil
	c.at = "answered"
	return o
}
