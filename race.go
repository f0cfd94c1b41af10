package weft

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// A race is one Dial: it obeys the machine of package negotiate, reports back, and decides nothing.
type race struct {
	d      *Dialer
	opts   *DialOptions
	url    *url.URL
	host   string
	header http.Header
	offer  handshake.Offer
	// carried is the handshake of another library, whose WebSocket this is; nil: ours. See tunnel.go.
	carried *carriedHandshake
	policy  Policy
	proxy   *url.URL
	key     poolKey
	memory  originMemory
	hints   []negotiate.Alternative // from HTTPS records
	report  func(TraceEvent)

	ctx        context.Context
	start      time.Time
	machine    *negotiate.Machine
	outcomes   chan negotiate.Outcome // from the goroutines that do what takes time
	attempts   map[int]*attempt
	timer      *time.Timer // SetTimer's; nil: none
	probesOver int         // that the pool has not been told of
	waits      *poolWait   // for another dial's probe; nil: it does not

	// What Succeed or Fail left.
	conn     *Conn
	tunnel   *tunnel // instead of conn, with carried
	response *http.Response
	err      error
	verdict  string // for the Observer, if err is not nil
}

// An attempt is what the executor holds of one of the machine's attempts.
type attempt struct {
	id     int
	ctx    context.Context
	cancel context.CancelFunc
	addr   string
	alpn   string
	steps  []Step

	nc      net.Conn     // until a protocol owns it
	fin     *atomic.Bool // the server has ended TCP
	watch   *spareWatch  // of nc, on a spare
	alt     *negotiate.Alternative
	cc      transport.Mux
	told    chan struct{} // closed when SETTINGS were reported, or are not going to be; nil: they came before this dial
	pooled  bool          // the pool owns cc
	reused  bool          // cc was in the pool before: it may have died unnoticed
	probing bool          // counted in the pool
	call    transport.Call
	key     string // Sec-WebSocket-Key, HTTP/1.1

	// The response and what follows from it, until they are handed out.
	response *http.Response
	stream   transport.Stream
	agreed   handshake.Agreement
	invalid  *handshake.Error
}

// run is the loop: orders out, outcomes in.
func (r *race) run(ctx context.Context) (*Conn, *http.Response, error) {
	ctx, cancel := context.WithCancel(r.observeStart(ctx))
	r.ctx = ctx
	r.start = time.Now()
	defer r.cleanUp(cancel)
	r.lookUpHints()
	r.obey(r.decide(func() []negotiate.Order {
		r.machine = negotiate.New(r.policy, r.facts())
		return r.machine.Start(r.start)
	}))
	for !r.machine.Done() {
		var timer <-chan time.Time
		if r.timer != nil {
			timer = r.timer.C
		}
		var o negotiate.Outcome
		select {
		case o = <-r.outcomes:
		case <-timer:
			r.timer = nil
			o = negotiate.Timer{}
		case <-ctx.Done():
			o = negotiate.Cancelled{Err: context.Cause(ctx)}
		}
		if s, ok := o.(stepDone); ok {
			s.a.steps = append(s.a.steps, s.step)
			r.event(s.a.id, s.step.Name, s.step.Detail)
			continue
		}
		r.obey(r.decide(func() []negotiate.Order {
			if o = r.note(o); o == nil {
				return nil
			}
			return r.machine.Report(time.Now(), o)
		}))
		r.wakeWaiting()
	}
	r.observeEnd()
	return r.conn, r.response, r.err
}

// decide runs the machine. Probes that it orders are counted, and streams on live connections opened, before another dial looks, so that only
// one probe is under way and no dial relies on a stream that another one takes.
func (r *race) decide(f func() []negotiate.Order) []negotiate.Order {
	p := &r.d.pool
	p.deciding.Lock()
	defer p.deciding.Unlock()
	orders := f()
	for _, o := range orders {
		switch o := o.(type) {
		case negotiate.Connect:
			if o.Probe {
				p.startProbe(r.key)
			}
		case negotiate.UseLive:
			r.useLive(o)
		}
	}
	p.passOn(r.key)
	return orders
}

// facts gathers what is known of the origin now.
func (r *race) facts() negotiate.Facts {
	f := negotiate.Facts{
		Secure: r.key.secure, PriorKnowledge: r.d.PriorKnowledge && !r.key.secure, Proxied: r.proxy != nil,
	}
	f.Live, f.Probing = r.d.pool.facts(r.key)
	f.Known = r.memory.known()
	f.Alternatives, f.Hints = r.alternatives(), r.hints
	if r.policy.Allows(negotiate.H3) {
		f.Addr = r.key.addr
		f.QUIC = negotiate.QUICStateOf(r.memory.network().known(), time.Now())
		f.EarlySession = r.d.sessions.Early(r.memory.key.String(), time.Now())
	}
	if d, ok := r.ctx.Deadline(); ok {
		f.Deadline = r.start.Add(d.Sub(r.start)) // with a monotonic reading, whatever the caller's has
	}
	return f
}

// tell reports an outcome from a goroutine of a's, unless the dial is over or a given up.
func (r *race) tell(a *attempt, o negotiate.Outcome) bool {
	select {
	case r.outcomes <- o:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// obey carries out the orders in their sequence.
func (r *race) obey(orders []negotiate.Order) {
	for _, o := range orders {
		r.event(0, "order", o.String())
		switch o := o.(type) {
		case negotiate.UseLive: // decide has
		case negotiate.AwaitProbe:
			r.awaitProbe()
		case negotiate.Connect:
			if o.QUIC {
				r.connectQUIC(o)
			} else {
				r.connect(o)
			}
		case negotiate.WaitSettings:
			r.waitSettings(r.attempts[o.Attempt])
		case negotiate.SendConnect:
			r.sendConnect(r.attempts[o.Attempt])
		case negotiate.SendFrame:
			r.sendFrame(r.attempts[o.Attempt])
		case negotiate.SendUpgrade:
			r.sendUpgrade(r.attempts[o.Attempt])
		case negotiate.Keep:
			r.keep(r.attempts[o.Attempt])
		case negotiate.Settle:
			r.settle(r.attempts[o.Attempt], o.IfKilled)
		case negotiate.Remember:
			r.memory.remember(o)
		case negotiate.Forget:
			r.memory.forget(o)
		case negotiate.RememberNetwork:
			r.memory.network().remember(o.Remember())
		case negotiate.DropAlternative:
			r.dropAlternative(o.Alt)
		case negotiate.Discard:
			r.discard(r.attempts[o.Attempt], o.How)
		case negotiate.SetTimer:
			if r.timer != nil {
				r.timer.Stop()
			}
			r.timer = time.NewTimer(time.Until(o.At))
		case negotiate.Succeed:
			r.succeed(o)
		case negotiate.Fail:
			r.fail(o)
		default:
			panic(fmt.Sprintf("weft: order %T is unknown", o))
		}
	}
}

func (r *race) attempt(id int) *attempt {
	a := &attempt{id: id, fin: new(atomic.Bool)}
	a.ctx, a.cancel = context.WithCancel(r.ctx)
	r.attempts[id] = a
	return a
}

func (r *race) useLive(o negotiate.UseLive) {
	a := r.attempt(o.Attempt)
	a.addr, a.pooled = r.key.addr, true
	a.cc = r.d.pool.find(r.key, o.Conn)
	a.reused = !o.Frame // whose PING says enough
	if o.Frame {
		r.sendFrame(a)
	} else {
		r.sendConnect(a)
	}
}

// awaitProbe waits until another dial's probe of this origin is over.
func (r *race) awaitProbe() {
	r.stopWaiting()
	w := r.d.pool.wait(r.key)
	r.waits = w
	go func() {
		if w != nil {
			select {
			case <-w.over:
			case <-r.ctx.Done():
				return
			}
		}
		select {
		case r.outcomes <- negotiate.ProbeDone{}: // note adds the facts
		case <-r.ctx.Done():
		}
	}()
}

// stopWaiting is called when the facts were looked at, or are not going to be.
func (r *race) stopWaiting() {
	if r.waits != nil {
		r.d.pool.stopWaiting(r.key, r.waits)
		r.waits = nil
	}
}

// endProbe says that a's connection is nothing to wait for any more, once. The dials that wait hear it when what was found out is
// remembered: see wakeWaiting.
func (r *race) endProbe(a *attempt) {
	if a.probing {
		a.probing = false
		r.probesOver++
	}
}

// wakeWaiting wakes the dials that wait for our probes that are over.
func (r *race) wakeWaiting() {
	for ; r.probesOver > 0; r.probesOver-- {
		r.d.pool.endProbe(r.key)
	}
}
