package lab

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/negotiate"
)

// A dialer obeys the machine of package negotiate as weft.Dialer does, in a world of which nothing is real.
type dialer struct {
	clock
	rtt          time.Duration
	origin       Features
	alternatives map[negotiate.Alternative]Features // what stands where Alt-Svc points to
	noUDP        bool                               // the network drops datagrams

	pool    []*pooled
	known   negotiate.Entry
	network negotiate.Entry
	altSvc  []negotiate.Alternative // named by the origin, and fresh
	ticket  bool                    // of QUIC
}

// A pooled connection is one whose SETTINGS have arrived.
type pooled struct {
	*link
	quic *quicConn // HTTP/3, and link is nil
	id   uint64
	alpn string
	alt  *negotiate.Alternative
}

// carries reports whether a's connection is p.
func (p *pooled) carries(a *attempt) bool { return p.link == a.link && p.quic == a.quic }

// A dial is one run of a machine.
type dial struct {
	*dialer
	start    time.Time
	machine  *negotiate.Machine
	attempts map[int]*attempt
	timer    int           // counts SetTimer orders
	lead     time.Duration // how long QUIC was alone before TCP began; 0: there was no race
	result   negotiate.Order
}

// An attempt is what a dial holds of one of the machine's attempts.
type attempt struct {
	id     int
	alt    *negotiate.Alternative
	alpn   string
	link   *link
	quic   *quicConn
	stream *h2.Stream
	over   bool
	spans  []Span
}

// An opening is how a dial went.
type opening struct {
	by    negotiate.Rung
	trips float64 // the time that has passed, in round trips
	lanes []Lane

	counted int           // the round trips among it, which the machine counts
	wait    time.Duration // the rest
}

// dial opens a WebSocket.
func (d *dialer) dial(p negotiate.Policy) (opening, error) {
	if err := p.Validate(); err != nil {
		return opening{}, err
	}
	run := &dial{dialer: d, start: d.now, machine: negotiate.New(p, d.facts()), attempts: make(map[int]*attempt)}
	run.obey(run.machine.Start(run.start))
	if !d.run(run.machine.Done) {
		return opening{}, errors.New("machine waits for something that never comes")
	}
	switch o := run.result.(type) {
	case negotiate.Succeed:
		for _, r := range o.Confirm {
			d.known = d.known.Remember(r, d.now)
		}
		for alt := range d.alternatives { // the response names it
			d.altSvc = []negotiate.Alternative{alt}
		}
		wait := run.lead
		if o.Rung == negotiate.H3 {
			wait = 0
		}
		n, took := run.machine.RoundTrips(), d.now.Sub(run.start)
		if took != time.Duration(n)*d.rtt+wait {
			return opening{}, fmt.Errorf("machine counts %d round trips beside %v, and %v has passed", n, wait, took)
		}
		return opening{by: o.Rung, trips: run.trips(), lanes: run.lanes(), counted: n, wait: wait}, nil
	case negotiate.Fail:
		return opening{}, fmt.Errorf("%s: %s", o.Class, o.Reason)
	}
	return opening{}, errors.New("machine has ended without a result")
}

func (d *dialer) facts() negotiate.Facts {
	f := negotiate.Facts{
		Secure: true, Known: d.known, Alternatives: slices.Clone(d.altSvc), Addr: origin.Addr(),
		QUIC: negotiate.QUICStateOf(d.network, d.now), EarlySession: d.ticket,
	}
	for _, p := range d.pool {
		if p.quic != nil {
			f.Live = append(f.Live, p.liveQUIC())
			continue
		}
		e := p.ends[client].engine
		s := e.PeerSettings()
		f.Live = append(f.Live, negotiate.LiveConn{
			ID: p.id, ALPN: p.alpn, SettingsReceived: s.Received, ConnectProtocol: s.ConnectProtocol, NoFrames: p.noFrames,
			Slots: e.Slots(), Draining: e.Draining(), Alt: p.alt,
		})
	}
	return f
}

// closeAll closes the connections, and keeps what was learnt.
func (d *dialer) closeAll() { d.pool = nil }

// obey carries out the orders in their sequence.
func (d *dial) obey(orders []negotiate.Order) {
	for _, o := range orders {
		switch o := o.(type) {
		case negotiate.UseLive:
			d.useLive(o)
		case negotiate.AwaitProbe:
			d.after(0, func() { d.report(nil, negotiate.ProbeDone{Facts: d.facts()}) })
		case negotiate.Connect:
			if o.QUIC {
				d.connectQUIC(o)
			} else {
				d.connect(o)
			}
		case negotiate.WaitSettings:
			a := d.attempts[o.Attempt]
			d.begin(a, "settings")
			if a.quic != nil {
				d.awaitSettingsQUIC(a, 0)
			} else {
				d.startHTTP2(a)
			}
		case negotiate.SendConnect:
			d.open(d.attempts[o.Attempt], false)
		case negotiate.SendFrame:
			d.open(d.attempts[o.Attempt], true)
		case negotiate.SendUpgrade:
			a := d.attempts[o.Attempt]
			d.begin(a, "request")
			d.after(d.rtt, func() { d.report(a, negotiate.Response{Attempt: a.id, Status: 101}) })
		case negotiate.Keep:
			d.addToPool(d.attempts[o.Attempt])
		case negotiate.Settle:
			d.settleAssumption(d.attempts[o.Attempt])
		case negotiate.Remember:
			d.known = d.known.Remember(o, d.now)
		case negotiate.Forget:
			d.known = d.known.Forget(o.Rung, d.now)
		case negotiate.RememberNetwork:
			d.network = d.network.Remember(o.Remember(), d.now)
		case negotiate.DropAlternative:
			d.altSvc = slices.DeleteFunc(d.altSvc, func(a negotiate.Alternative) bool { return a == o.Alt })
		case negotiate.Discard:
			d.discard(d.attempts[o.Attempt], o.How)
		case negotiate.SetTimer:
			d.setTimer(o.At)
		case negotiate.Succeed, negotiate.Fail:
			d.result = o
		default:
			panic(fmt.Sprintf("lab: order %T is unknown", o))
		}
	}
}

// report tells the machine what came of a, unless a was given up.
func (d *dial) report(a *attempt, o negotiate.Outcome) {
	if a == nil || !a.over {
		d.obey(d.machine.Report(d.now, o))
	}
}

func (d *dial) setTimer(at time.Time) {
	d.timer++
	n := d.timer
	d.after(at.Sub(d.now), func() {
		if n == d.timer {
			orders := d.machine.Report(d.now, negotiate.Timer{})
			if slices.ContainsFunc(orders, func(o negotiate.Order) bool { c, ok := o.(negotiate.Connect); return ok && !c.Spare }) {
				d.lead = d.now.Sub(d.start) // QUIC's: no connection of ours hangs
			}
			d.obey(orders)
		}
	})
}

// connect makes a connection: a round trip for TCP, and one for TLS.
func (d *dial) connect(o negotiate.Connect) {
	a := &attempt{id: o.Attempt, alt: o.Alt}
	d.attempts[o.Attempt] = a
	f := d.origin
	if o.Alt != nil {
		f = d.alternatives[*o.Alt]
	}
	d.begin(a, "tcp")
	d.after(d.rtt, func() {
		if !a.over {
			d.begin(a, "tls")
			d.report(a, negotiate.Reached{Attempt: a.id, RTT: d.rtt})
		}
	})
	d.after(2*d.rtt, func() {
		if a.over {
			return
		}
		d.end(a)
		if a.alpn = f.choose(o.ALPN); a.alpn == "" {
			d.report(a, negotiate.ConnectFailed{Attempt: a.id, Step: negotiate.StepTLS, Err: errNoProtocol})
			return
		}
		if rule, ok := connectRules[a.alpn]; ok {
			a.link = newLink(&d.clock, d.rtt/2, rule, f)
			a.link.ends[client].recv = func(ev *h2.Event) func() { return d.recvNew(a, ev) }
		}
		d.report(a, negotiate.Connected{Attempt: a.id, ALPN: a.alpn})
	})
}

var errNoProtocol = errors.New("no application protocol (RFC 7301, Section 3.2)")

// recvNew takes what comes on a connection that a has made.
func (d *dial) recvNew(a *attempt, ev *h2.Event) func() {
	if ev.Kind != h2.EventSettings || !ev.First {
		return d.recvStream(a, ev)
	}
	return func() {
		if a.stream == nil {
			d.end(a)
		}
		s, slots := a.link.ends[client].engine.PeerSettings(), a.link.ends[client].engine.Slots()
		if s.ConnectAtFirst || a.stream == nil {
			d.addToPool(a)
		}
		d.report(a, negotiate.SettingsReceived{
			Attempt: a.id, Present: s.ConnectPresent, ConnectProtocol: s.ConnectAtFirst, Slots: slots,
		})
	}
}

// addToPool leaves a's connection to later dials, if it is not there for them already.
func (d *dial) addToPool(a *attempt) {
	if slices.ContainsFunc(d.pool, func(p *pooled) bool { return p.carries(a) }) {
		return
	}
	d.pool = append(d.pool, &pooled{link: a.link, quic: a.quic, id: uint64(len(d.pool) + 1), alpn: a.alpn, alt: a.alt})
}

// recvStream takes what comes for a's stream.
func (d *dial) recvStream(a *attempt, ev *h2.Event) func() {
	var o negotiate.Outcome
	switch {
	case ev.Kind == h2.EventGoAway && ev.Code != wire.NoError:
		o = negotiate.ConnLost{Attempt: a.id, GoAway: true, Code: uint64(ev.Code)}
	case ev.Stream == nil || ev.Stream != a.stream:
		return nil
	case ev.Kind == h2.EventHeaders && ev.Pseudo.Status >= 200:
		o = negotiate.Response{Attempt: a.id, Status: ev.Pseudo.Status, Ended: ev.End}
	case ev.Kind == h2.EventReset:
		o = negotiate.StreamReset{
			Attempt: a.id, Code: uint64(ev.Code), Unprocessed: ev.Unprocessed, Local: ev.Initiator == h2.Local,
		}
	case ev.Kind == h2.EventFrameAccepted:
		o = negotiate.FrameAccepted{Attempt: a.id}
	case ev.Kind == h2.EventFrameUnsupported:
		a.link.noFrames = true
		o = negotiate.FrameUnsupported{Attempt: a.id}
	default:
		return nil
	}
	return func() {
		if ev.Kind != h2.EventFrameAccepted { // the answer comes later
			d.end(a)
		}
		d.report(a, o)
	}
}

// useLive takes a stream on a connection of the pool.
func (d *dial) useLive(o negotiate.UseLive) {
	a := &attempt{id: o.Attempt}
	d.attempts[o.Attempt] = a
	for _, p := range d.pool {
		if p.id == o.Conn {
			a.link, a.quic, a.alpn, a.alt = p.link, p.quic, p.alpn, p.alt
			if a.link != nil {
				a.link.ends[client].recv = func(ev *h2.Event) func() { return d.recvStream(a, ev) }
			}
		}
	}
	d.open(a, o.Frame)
}

func (d *dial) startHTTP2(a *attempt) { a.link.flush(client) }

// open sends the handshake, with what HTTP/2 begins with in the same flight if that has not been sent.
func (d *dial) open(a *attempt, frame bool) {
	d.begin(a, "request")
	if a.quic != nil {
		d.openQUIC(a)
		return
	}
	var err error
	if a.stream, err = a.link.open(frame); err != nil {
		d.after(0, func() { d.report(a, negotiate.NoSlot{Attempt: a.id}) })
		return
	}
	d.startHTTP2(a)
}

// settleAssumption resets the stream, asks whether the connection has survived, and then leaves it in the pool.
func (d *dial) settleAssumption(a *attempt) {
	a.over = true
	d.end(a)
	e := &a.link.ends[client]
	e.engine.Reset(d.now, a.stream, wire.Cancel)
	e.engine.Ping(d.now, [8]byte{'s', 'e', 't', 't', 'l', 'e'})
	e.recv = func(ev *h2.Event) func() {
		if ev.Kind != h2.EventPong {
			return nil
		}
		return func() { d.addToPool(a) }
	}
	a.link.flush(client)
}

func (d *dial) discard(a *attempt, how negotiate.How) {
	a.over = true
	d.end(a)
	if how != negotiate.CancelStream {
		d.pool = slices.DeleteFunc(d.pool, func(p *pooled) bool { return p.carries(a) })
	}
	if a.link == nil {
		return
	}
	if a.stream != nil {
		a.link.ends[client].engine.Reset(d.now, a.stream, wire.Cancel)
	}
	a.link.flush(client)
}
