package negotiate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Dials to origins that upgrade, downgrade, lie and kill, through a network that takes exactly one round trip for everything and may lose all
// UDP, with a memory that is kept: every dial succeeds (they all speak HTTP/1.1), costs no more than is documented, and counts its round
// trips as the clock does, but for the head start where QUIC came to nothing.
func TestVirtualDials(t *testing.T) {
	if *seed != 0 {
		newWorld(t, *seed).run()
		return
	}
	rungs, hung, overtaken := make(map[Rung]int), 0, 0
	for s := range uint64(1000) { // ten dials each
		w := newWorld(t, s+1)
		w.rungs = rungs
		w.run()
		if t.Failed() {
			t.Fatalf("replay with -seed=%d; so far:\n%s", s+1, strings.Join(w.log, "\n"))
		}
		hung += w.hung
		overtaken += w.overtaken
	}
	if hung < 20 {
		t.Errorf("only %d dials waited for a spare that hung", hung)
	}
	if overtaken < 20 {
		t.Errorf("only %d dials had a first connection that hung", overtaken)
	}
	if rungs[H3] < 500 {
		t.Errorf("only %d dials took h3", rungs[H3])
	}
}

// trip is a round trip in milliseconds.
const trip = 100

// A virtualServer is what an origin does.
type virtualServer struct {
	h2, h21, wsoverh2 bool   // what it takes by ALPN, besides http/1.1
	connect           bool   // RFC 8441
	frame             bool   // WS_OPEN
	unknown           string // what it does with a CONNECT that it does not know: "reset", "goaway", "fin", "200", "400", "silence"
	chatty            bool   // it writes a 408 on an idle connection
	hangs             bool   // so does the TLS of a spare
	first             string // what does of a first connection that has a spare which does not: "", "tcp", "tls"
	swapped           bool   // SETTINGS are reported after the answer

	quic   string // what it does with QUIC: "works", "silence", "refuses"
	early  string // with 0-RTT data: "accept", "reject", "425"
	late   int    // round trips from the handshake of QUIC to its SETTINGS
	flag3  bool   // RFC 9220, by SETTINGS
	broken bool   // ... which is not true
}

func (s virtualServer) choose(offer []string) string {
	for _, p := range offer {
		if p == "h2" && s.h2 || p == h2dot1 && s.h21 || p == wsoverh2 && s.wsoverh2 || p == http11 {
			return p
		}
	}
	return ""
}

// allows says what its SETTINGS mean on alpn.
func (s virtualServer) allows(alpn string) bool { return alpn != "h2" || s.connect }

// A world is one policy's view of an origin that changes.
type world struct {
	t      *testing.T
	r      *rand.Rand
	log    []string
	now    time.Time
	policy Policy
	server virtualServer
	known  Entry
	rungs  map[Rung]int
	hung   int // dials that waited for a spare
	// overtaken are dials whose first connection hung.
	overtaken int

	network Entry
	blocked bool // UDP

	live []*LiveConn
	alts []Alternative
	alt  virtualServer
}

func newWorld(t *testing.T, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &world{t: t, r: r, now: time.Unix(1_000_000, 0)}
	w.policy = Policy{Spare: SpareMode(r.IntN(3)), Strict: r.IntN(8) == 0, Once: r.IntN(8) == 0, EarlyConnect: r.IntN(2) == 0}
	w.policy.HeadStart = []time.Duration{0, -1, time.Second}[r.IntN(3)]
	w.blocked = r.IntN(4) == 0
	if r.IntN(3) > 0 {
		w.policy.Rungs = []Rung{Upgrade}
		for _, rung := range []Rung{Settings, Assume, Token, H21, Frame, AltSvc, H3} {
			if r.IntN(2) == 0 {
				w.policy.Rungs = append(w.policy.Rungs, rung)
			}
		}
	}
	w.server = w.randomServer()
	return w
}

func (w *world) randomServer() virtualServer {
	is := func() bool { return w.r.IntN(2) == 0 }
	return virtualServer{
		h2: w.r.IntN(4) > 0, h21: w.r.IntN(4) == 0, wsoverh2: w.r.IntN(4) == 0, connect: is(), frame: w.r.IntN(3) == 0,
		unknown: []string{"reset", "goaway", "fin", "200", "400", "silence"}[w.r.IntN(6)], chatty: w.r.IntN(5) == 0, swapped: is(), hangs: w.r.IntN(8) == 0,
		quic: []string{"works", "works", "works", "silence", "refuses"}[w.r.IntN(5)], early: []string{"accept", "reject", "425"}[w.r.IntN(3)],
		first: []string{"", "", "", "", "tcp", "tls"}[w.r.IntN(6)],
		late:  max(0, w.r.IntN(4)-2), flag3: w.r.IntN(4) > 0, broken: w.r.IntN(4) == 0,
	}
}

func (w *world) run() {
	for range 10 {
		if w.r.IntN(4) == 0 {
			w.server = w.randomServer()
			w.live = nil
		}
		if w.r.IntN(2) == 0 {
			w.live = nil
		}
		w.alts = nil
		if w.r.IntN(3) == 0 {
			w.alt = w.randomServer()
			w.alts = []Alternative{{ALPN: []string{"h2", "h3", "h3", wsoverh2}[w.r.IntN(4)], Host: "alt", Port: "443"}}
		}
		w.now = w.now.Add(time.Duration(w.r.IntN(200)) * time.Minute)
		w.dial()
	}
}

func (w *world) dial() {
	f := Facts{Secure: true, Known: w.known, Alternatives: w.alts, QUIC: QUICStateOf(w.network, w.now), EarlySession: w.r.IntN(2) == 0}
	for _, c := range w.live {
		f.Live = append(f.Live, *c)
	}
	w.log = append(w.log, fmt.Sprintf("\ndial with %+v\nserver %+v\nalt %+v\nfacts %+v", w.policy, w.server, w.alt, f))
	d := &virtualDial{world: w, m: New(w.policy, f), conns: map[int]*virtualConn{}}
	d.obey(d.m.Start(w.now))
	for !d.m.Done() {
		if len(d.events) == 0 && d.timer.IsZero() {
			w.t.Fatalf("machine waits for nothing\n%s", strings.Join(w.log, "\n"))
		}
		e := d.next()
		w.log = append(w.log, fmt.Sprintf("  %d: %T%+v", d.at, e.outcome, e.outcome))
		d.obey(d.m.Report(d.clock(), e.outcome))
	}
	s, ok := d.result.(Succeed)
	if !ok {
		w.t.Errorf("%v", d.result)
		return
	}
	got := d.m.RoundTrips()
	if got*trip+d.waited+d.hung != d.at {
		w.t.Errorf("machine counts %d round trips, the clock is at %d ms and waited for %d and %d", got, d.at, d.waited, d.hung)
	}
	if d.hung > 5*trip {
		w.t.Errorf("a connection that hung cost %d ms", d.hung)
	}
	if d.overtaken {
		w.overtaken++
		w.overtakenTells(f.Known)
	} else if d.hung > 0 {
		w.hung++
	}
	if bound := w.bound(f, d, s); got > bound {
		w.t.Errorf("%d round trips, documented are %d", got, bound)
	}
	if most := int(w.policy.headStart() / time.Millisecond); d.waited > most {
		w.t.Errorf("QUIC cost %d ms, the head start is %d", d.waited, most)
	}
	for _, r := range s.Confirm {
		w.known = w.known.Remember(r, w.now)
	}
	if w.rungs != nil {
		w.rungs[s.Rung]++
	}
}

// A virtualDial is an executor in virtual time: at counts milliseconds.
type virtualDial struct {
	*world
	m      *Machine
	at     int
	timer  time.Time
	events []virtualEvent
	conns  map[int]*virtualConn
	log    []Order
	result Order

	// quic is the connection that is raced, and waited how long TCP was not begun because of it, until it has won.
	quic   *virtualConn
	raced  []*virtualConn // all that were
	waited int

	hanging *virtualConn // the spare
	hung    int          // how long it was waited for, or for the first
	// overtaken says that the spare took the place of the first.
	overtaken bool
}

func (d *virtualDial) clock() time.Time { return d.now.Add(time.Duration(d.at) * time.Millisecond) }

type virtualConn struct {
	server virtualServer
	alpn   string
	alt    *Alternative
	begun  bool // HTTP/2
	live   *LiveConn

	quic  bool
	early bool // it has sent 0-RTT data
	quiet bool // nothing ever came
	// It was ordered at, and TCP has begun after it.
	at        int
	overtaken bool
}

type virtualEvent struct {
	at      int
	conn    *virtualConn
	outcome Outcome
}

// next takes the earliest event; of those at one time, the one that was caused first.
func (d *virtualDial) next() virtualEvent {
	i := 0
	for j, e := range d.events {
		if e.at < d.events[i].at {
			i = j
		}
	}
	if !d.timer.IsZero() {
		at := int(d.timer.Sub(d.now) / time.Millisecond)
		if len(d.events) == 0 || at < d.events[i].at {
			d.timer = time.Time{}
			d.at = max(d.at, at)
			return virtualEvent{at: at, outcome: Timer{}}
		}
	}
	e := d.events[i]
	d.events = slices.Delete(d.events, i, i+1)
	d.at = max(d.at, e.at)
	return e
}

func (d *virtualDial) after(n int, c *virtualConn, o Outcome) {
	d.events = append(d.events, virtualEvent{at: d.at + n*trip, conn: c, outcome: o})
}

// give up c: nothing of it is reported any more.
func (d *virtualDial) giveUp(c *virtualConn) {
	if d.hanging == c {
		d.hanging = nil
	}
	d.events = slices.DeleteFunc(d.events, func(e virtualEvent) bool { return e.conn == c })
}

func (d *virtualDial) obey(orders []Order) {
	for _, o := range orders {
		d.log = append(d.log, o)
		d.world.log = append(d.world.log, o.String())
		d.obeyOne(o)
	}
}

func (d *virtualDial) obeyOne(o Order) {
	switch o := o.(type) {
	case UseLive:
		d.useLive(o)
	case Connect:
		d.connect(o)
	case WaitSettings:
		if c := d.conns[o.Attempt]; c.quic {
			d.quic = nil
			d.beginHTTP3(o.Attempt, c)
			return
		}
		d.begin(o.Attempt, d.conns[o.Attempt])
	case SendConnect:
		if c := d.conns[o.Attempt]; c.quic {
			d.sendConnect3(o.Attempt, c)
			return
		}
		d.sendConnect(o.Attempt, d.conns[o.Attempt])
	case SendFrame:
		c := d.conns[o.Attempt]
		d.begin(o.Attempt, c)
		d.propose(o.Attempt, c)
	case SendUpgrade:
		c := d.conns[o.Attempt]
		d.giveUp(c) // what it may say while idle is no longer reported as that
		d.after(1, c, Response{Attempt: o.Attempt, Status: 101})
	case Remember:
		d.known = d.known.Remember(o, d.clock())
	case RememberNetwork:
		d.network = d.network.Remember(o.Remember(), d.clock())
		if quiet := slices.ContainsFunc(d.raced, func(c *virtualConn) bool { return c.quiet }); quiet == (o.QUIC == QUICWorks) {
			d.t.Errorf("%v, and quiet is %v", o, quiet)
		}
	case SetTimer:
		d.timer = o.At
	case Forget:
		d.known = d.known.Forget(o.Rung, d.clock())
	case Settle:
		d.giveUp(d.conns[o.Attempt])
	case Keep:
		c := d.conns[o.Attempt]
		if c.quic {
			d.beginHTTP3(o.Attempt, c)
		}
		d.giveUp(c)
	case Discard:
		c := d.conns[o.Attempt]
		if d.m.Attempts()[o.Attempt-1].Reason == quicWasFaster {
			d.waited = 0
		}
		d.giveUp(c)
		if strings.HasSuffix(d.m.Attempts()[o.Attempt-1].Reason, "; "+otherWasFaster) {
			d.overtaken = true
			d.hung = d.at - d.waited - d.m.RoundTrips()*trip
		}
	case DropAlternative:
		d.alts = nil
		d.live = slices.DeleteFunc(d.live, func(c *LiveConn) bool { return c.Alt != nil })
	case Succeed, Fail:
		d.result = o
	}
}

func (d *virtualDial) useLive(o UseLive) {
	i := slices.IndexFunc(d.live, func(c *LiveConn) bool { return c.ID == o.Conn })
	l := d.live[i]
	c := &virtualConn{server: d.server, alpn: l.ALPN, alt: l.Alt, begun: true, live: l}
	if l.Alt != nil {
		c.server = virtualServer{connect: true}
	}
	d.conns[o.Attempt] = c
	if c.quic = l.ALPN == alpnH3; c.quic {
		d.answer3(o.Attempt, c)
		return
	}
	if o.Frame {
		d.propose(o.Attempt, c)
		return
	}
	d.after(1, c, Response{Attempt: o.Attempt, Status: 200})
}

func (d *virtualDial) connect(o Connect) {
	c := &virtualConn{server: d.server, alt: o.Alt}
	if o.Alt != nil {
		c.server = d.alt
	}
	d.conns[o.Attempt] = c
	if o.QUIC {
		d.connectQUIC(o, c)
		return
	}
	if q := d.quic; q != nil && !o.Spare && !q.overtaken {
		q.overtaken = true
		d.waited = d.at - q.at
		if !slices.ContainsFunc(d.events, func(e virtualEvent) bool { return e.conn == q }) && !q.quiet {
			d.waited = 0 // it has failed, after a round trip
		}
	}
	if d.hanging != nil && !o.Probe {
		d.hung = d.at - d.waited - d.m.RoundTrips()*trip
	}
	hangs := d.firstHangs(o, c)
	if hangs == "tcp" {
		return
	}
	d.after(1, c, Reached{Attempt: o.Attempt, RTT: trip * time.Millisecond})
	if hangs == "tls" {
		return
	}
	if o.Spare && c.server.hangs {
		d.hanging = c
		return
	}
	if c.alpn = c.server.choose(o.ALPN); c.alpn == "" {
		d.after(2, c, ConnectFailed{Attempt: o.Attempt, Step: StepTLS})
		return
	}
	d.after(2, c, Connected{Attempt: o.Attempt, ALPN: c.alpn})
	if o.Spare && c.server.chatty {
		d.after(2, c, Spoke{Attempt: o.Attempt})
	}
}

// begin sends preface and SETTINGS.
func (d *virtualDial) begin(id int, c *virtualConn) {
	if c.begun {
		return
	}
	c.begun = true
	allows := c.server.allows(c.alpn)
	l := &LiveConn{ID: uint64(len(d.live) + 1), ALPN: c.alpn, SettingsReceived: true, ConnectProtocol: allows, Slots: 10, Alt: c.alt}
	c.live = l
	d.live = append(d.live, l)
	d.after(1, c, SettingsReceived{Attempt: id, Present: allows, ConnectProtocol: allows, Slots: 10})
}

func (d *virtualDial) sendConnect(id int, c *virtualConn) {
	begun := c.begun
	if !c.server.swapped {
		d.begin(id, c)
	}
	switch {
	case c.server.allows(c.alpn):
		d.after(1, c, Response{Attempt: id, Status: 200})
	case begun:
		d.t.Errorf("CONNECT after SETTINGS that do not allow it")
	default:
		d.answerUnknown(id, c)
	}
	d.begin(id, c)
}

// answerUnknown is what servers do with a CONNECT that they do not know.
func (d *virtualDial) answerUnknown(id int, c *virtualConn) {
	dead := func(o ConnLost) {
		o.Attempt = id
		c.begun = true // its SETTINGS are not reported any more
		d.after(1, c, o)
	}
	switch c.server.unknown {
	case "reset":
		d.after(1, c, StreamReset{Attempt: id, Code: codeProtocolError})
	case "goaway":
		dead(ConnLost{GoAway: true, Code: codeProtocolError})
	case "fin":
		dead(ConnLost{})
	case "200":
		d.after(1, c, Response{Attempt: id, Status: 200})
	case "400":
		d.after(1, c, Response{Attempt: id, Status: 400})
	}
}

func (d *virtualDial) propose(id int, c *virtualConn) {
	if !c.server.frame {
		if c.live != nil {
			c.live.NoFrames = true
		}
		d.after(1, c, FrameUnsupported{Attempt: id})
		return
	}
	d.after(1, c, FrameAccepted{Attempt: id})
	d.after(1, c, Response{Attempt: id, Status: 200})
}
