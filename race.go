package weft

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/weftws/weft/internal/h1"
	"github.com/weftws/weft/internal/h2/h2net"
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
	policy Policy
	proxy  *url.URL
	key    poolKey
	report func(TraceEvent)

	ctx      context.Context
	start    time.Time
	machine  *negotiate.Machine
	outcomes chan negotiate.Outcome // from the goroutines that do what takes time
	attempts map[int]*attempt
	timer    *time.Timer // SetTimer's; nil: none

	// What Succeed or Fail left.
	conn     *Conn
	response *http.Response
	err      error
}

// An attempt is what the executor holds of one of the machine's attempts.
type attempt struct {
	id     int
	ctx    context.Context
	cancel context.CancelFunc
	addr   string
	alpn   string
	steps  []Step

	nc      net.Conn // until a protocol owns it
	cc      *h2net.ClientConn
	pooled  bool // the pool owns cc
	probing bool // counted in the pool
	call    *h2net.Call
	key     string // Sec-WebSocket-Key, HTTP/1.1

	// The response and what follows from it, until they are handed out.
	response *http.Response
	stream   transport.Stream
	agreed   handshake.Agreement
	invalid  *handshake.Error
}

// run is the loop: orders out, outcomes in.
func (r *race) run(ctx context.Context) (*Conn, *http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	r.ctx = ctx
	r.start = time.Now()
	defer r.cleanUp(cancel)
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
	}
	return r.conn, r.response, r.err
}

// decide runs the machine. Probes that it orders are counted before another dial looks, so that only one is under way.
func (r *race) decide(f func() []negotiate.Order) []negotiate.Order {
	p := &r.d.pool
	p.deciding.Lock()
	defer p.deciding.Unlock()
	orders := f()
	for _, o := range orders {
		if c, ok := o.(negotiate.Connect); ok && c.Probe {
			p.startProbe(r.key)
		}
	}
	return orders
}

// facts gathers what is known of the origin now.
func (r *race) facts() negotiate.Facts {
	f := negotiate.Facts{
		Secure: r.key.secure, PriorKnowledge: r.d.PriorKnowledge && !r.key.secure, Proxied: r.proxy != nil,
	}
	f.Live, f.Probing = r.d.pool.facts(r.key)
	f.Deadline, _ = r.ctx.Deadline()
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
		case negotiate.UseLive:
			r.useLive(o)
		case negotiate.AwaitProbe:
			r.awaitProbe()
		case negotiate.Connect:
			r.connect(o)
		case negotiate.WaitSettings:
			r.waitSettings(r.attempts[o.Attempt])
		case negotiate.SendConnect:
			r.sendConnect(r.attempts[o.Attempt])
		case negotiate.SendUpgrade:
			r.sendUpgrade(r.attempts[o.Attempt])
		case negotiate.Keep:
			r.keep(r.attempts[o.Attempt])
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
	a := &attempt{id: id}
	a.ctx, a.cancel = context.WithCancel(r.ctx)
	r.attempts[id] = a
	return a
}

func (r *race) useLive(o negotiate.UseLive) {
	a := r.attempt(o.Attempt)
	a.addr, a.pooled = r.key.addr, true
	a.cc = r.d.pool.find(r.key, o.Conn)
	r.sendConnect(a)
}

// awaitProbe waits until another dial's probe of this origin is over.
func (r *race) awaitProbe() {
	over := r.d.pool.probeOver(r.key)
	go func() {
		if over != nil {
			select {
			case <-over:
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

// endProbe wakes the dials that wait for a's connection, once.
func (r *race) endProbe(a *attempt) {
	if a.probing {
		a.probing = false
		r.d.pool.endProbe(r.key)
	}
}

// waitSettings starts HTTP/2 on a's connection.
func (r *race) waitSettings(a *attempt) {
	r.startHTTP2(a)
	a.cc.Start()
	began := time.Now()
	go func() {
		select {
		case <-a.cc.Settings():
		case <-a.ctx.Done():
			return
		}
		s := a.cc.State()
		if !s.SettingsReceived {
			r.tell(a, r.connLost(a, a.cc.Err()))
			return
		}
		r.step(a, "settings", began, fmt.Sprintf("ENABLE_CONNECT_PROTOCOL=%t MAX_CONCURRENT_STREAMS leaves %d", s.ConnectProtocol, s.Slots))
		r.tell(a, negotiate.SettingsReceived{Attempt: a.id, ConnectProtocol: s.ConnectProtocol, Slots: s.Slots})
	}()
}

// keep leaves a's connection in the pool.
func (r *race) keep(a *attempt) {
	r.endProbe(a)
	if a.cc.State().Streams == 0 {
		r.d.pool.setIdle(r.key, a.cc, r.d.idleTimeout())
	}
}

func (r *race) startHTTP2(a *attempt) {
	nc := a.nc
	a.nc = nil
	d, key := r.d, r.key
	a.cc = h2net.NewClientConn(nc, h2net.ClientOptions{
		Config: d.h2Config(),
		Idle: func(cc *h2net.ClientConn) {
			d.pool.setIdle(key, cc, d.idleTimeout())
		},
		Closed: func(cc *h2net.ClientConn, _ error) { d.pool.remove(key, cc) },
	})
}

// sendConnect opens a stream with an Extended CONNECT.
func (r *race) sendConnect(a *attempt) {
	began := time.Now()
	var err error
	if a.cc != nil {
		h := r.header.Clone()
		handshake.SetRequest(h, r.offer, "")
		a.call, err = a.cc.OpenConnect(h2net.ConnectRequest{
			Scheme: map[bool]string{true: "https", false: "http"}[r.key.secure], Authority: r.host, Path: requestURI(r.url), Header: h,
		})
	}
	if a.cc == nil || err != nil {
		go r.tell(a, negotiate.NoSlot{Attempt: a.id})
		return
	}
	call := a.call
	go func() {
		res, err := call.Response(a.ctx)
		if err != nil {
			if a.ctx.Err() == nil {
				r.step(a, "response", began, err.Error())
				r.tell(a, r.callFailed(a, err))
			}
			return
		}
		r.step(a, "response", began, res.Status)
		o := responded{a: a, response: res}
		if res.StatusCode/100 == 2 && !call.Ended() {
			o.stream = call.Stream()
		}
		o.Response = negotiate.Response{Attempt: a.id, Status: res.StatusCode, Ended: call.Ended()}
		o.check(r.offer, "")
		r.tell(a, o) // a call that is not told is cancelled by release
	}()
}

// sendUpgrade sends the GET with Upgrade.
func (r *race) sendUpgrade(a *attempt) {
	r.endProbe(a)
	began := time.Now()
	var random [16]byte
	rand.Read(random[:])
	a.key = handshake.NewKey(random)
	nc := a.nc
	a.nc = nil
	h := r.header.Clone()
	handshake.SetRequest(h, r.offer, a.key)
	go func() {
		res, stream, err := h1.Upgrade(a.ctx, nc, h1.UpgradeRequest{Host: r.host, Path: requestURI(r.url), Header: h}, h1.Options{Secure: r.key.secure})
		if err != nil {
			nc.Close()
			if a.ctx.Err() == nil {
				r.step(a, "response", began, err.Error())
				r.tell(a, r.connLost(a, err))
			}
			return
		}
		r.step(a, "response", began, res.Status)
		o := responded{a: a, response: res, stream: stream}
		o.Response = negotiate.Response{Attempt: a.id, Status: res.StatusCode}
		o.check(r.offer, a.key)
		if !r.tell(a, o) {
			res.Body.Close()
			if stream != nil {
				stream.Abort()
			}
		}
	}()
}
