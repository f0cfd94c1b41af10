package weft

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// connected and responded are outcomes together with what the machine has no use for.
type connected struct {
	negotiate.Connected
	a     *attempt
	nc    net.Conn
	mux   transport.Mux // of QUIC, instead of nc
	addr  string
	spare bool
}

type responded struct {
	negotiate.Response
	a        *attempt
	response *http.Response
	stream   transport.Stream // after a success
	agreed   handshake.Agreement
	invalid  *handshake.Error
}

func (o *connected) close() {
	if o.mux != nil {
		o.mux.Close()
	} else {
		o.nc.Close()
	}
}

// check looks at a successful handshake; key is "" over HTTP/2.
func (r *race) check(o *responded, key string) {
	if o.stream == nil {
		return
	}
	h := o.response.Header
	if r.carried != nil {
		h = withoutAgreement(h) // who made the offer checks what became of it
	}
	o.agreed, o.invalid = handshake.CheckResponse(o.Status, h, r.offer, key)
	if o.invalid != nil {
		o.Invalid = o.invalid
	}
}

// note takes over what an outcome brings, and returns what the machine is to know; nil: nothing, the attempt was given up.
func (r *race) note(o negotiate.Outcome) negotiate.Outcome {
	switch o := o.(type) {
	case connected:
		if o.a.ctx.Err() != nil {
			o.close()
			return nil
		}
		o.a.nc, o.a.cc, o.a.addr, o.a.alpn = o.nc, o.mux, o.addr, o.ALPN
		if o.spare {
			r.watchSpare(o.a)
		}
		return o.Connected
	case responded:
		a := o.a
		a.response, a.stream, a.agreed, a.invalid = o.response, o.stream, o.agreed, o.invalid
		r.recvAltSvcHeader(o.response)
		if a.ctx.Err() != nil {
			a.release()
			return nil
		}
		return o.Response
	case negotiate.SettingsReceived:
		a := r.attempts[o.Attempt]
		if a.ctx.Err() != nil {
			return nil
		}
		r.endProbe(a)
		if a.pooled {
			break
		}
		if err := a.cc.Err(); err != nil && a.call == nil {
			return r.callFailed(a, err) // it ended behind them
		}
		if o.ConnectProtocol || a.call == nil {
			a.pooled = true
			r.d.pool.add(r.key, a.cc, a.alpn, a.alt)
		} // else an assumption was wrong: see settle
	case negotiate.FrameUnsupported:
		r.d.pool.noFrames(r.key, r.attempts[o.Attempt].cc)
	case negotiate.ConnectFailed:
		r.endProbe(r.attempts[o.Attempt])
	case negotiate.ConnLost:
		r.endProbe(r.attempts[o.Attempt])
	case negotiate.ProbeDone:
		r.stopWaiting()
		o.Facts = r.facts()
		return o
	}
	return o
}

// callFailed turns an error of an Extended CONNECT into an outcome.
func (r *race) callFailed(a *attempt, err error) negotiate.Outcome {
	if o := h3Failed(a, err); o != nil {
		return o
	}
	if se, ok := errors.AsType[*h2net.StreamError](err); ok {
		if se.Unsupported {
			return negotiate.FrameUnsupported{Attempt: a.id}
		}
		return negotiate.StreamReset{
			Attempt: a.id, Code: uint64(se.Code), Local: se.Initiator == h2.Local,
			Unprocessed: se.Unprocessed || se.Code == wire.RefusedStream, Err: err,
		}
	}
	return r.connLost(a, err)
}

// connLost turns the end of a's connection into an outcome. crypto/tls says io.EOF for close_notify, and for a FIN, which anybody can
// forge, if it comes between two records.
func (r *race) connLost(a *attempt, err error) negotiate.ConnLost {
	o := negotiate.ConnLost{Attempt: a.id, CloseNotify: r.key.secure && errors.Is(err, io.EOF) && !a.fin.Load(), Err: err}
	if ce, ok := errors.AsType[*h2net.ConnError](err); ok {
		o.GoAway, o.Code, o.Local = ce.GoAway, uint64(ce.Code), ce.Initiator == h2.Local
	}
	return o
}

// A stepDone is a step that is over. It goes the way of the outcomes, so that the caller's Trace runs on the Dial's
// goroutine and in order; the machine does not see it.
type stepDone struct {
	negotiate.Outcome
	a    *attempt
	step Step
}

// step records a step of a's that is over now.
func (r *race) step(a *attempt, name string, began time.Time, detail string) {
	r.tell(a, stepDone{a: a, step: Step{
		Name: name, Start: began.Sub(r.start), Duration: time.Since(began), Detail: detail,
	}})
}

func (r *race) event(attempt int, name, detail string) {
	if r.report != nil {
		r.report(TraceEvent{Attempt: attempt, Time: time.Since(r.start), Name: name, Detail: detail})
	}
}

// account puts the machine's account and the executor's together.
func (r *race) account() []Attempt { return r.accountIn(nil, nil) }

// accountIn is account in the storage given, as far as that goes: steps for those of the first attempt.
func (r *race) accountIn(list []Attempt, steps []Step) []Attempt {
	for _, m := range r.machine.Attempts() {
		t := Attempt{ID: m.ID, Rung: m.Rung, ALPN: m.ALPN, Verdict: m.Verdict, Reason: m.Reason}
		if a := r.attempts[m.ID]; a != nil {
			t.Addr = a.addr
			t.Steps = append(steps, a.steps...)
			steps = nil
		}
		list = append(list, t)
	}
	return list
}
