package weft

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// watchSettings reports the server's first SETTINGS on a connection that was made for this dial.
func (r *race) watchSettings(a *attempt) {
	if a.told != nil {
		return
	}
	began := time.Now()
	a.told = make(chan struct{})
	go func() {
		defer close(a.told)
		select {
		case <-a.cc.Settings():
		case <-a.ctx.Done():
			return
		}
		s := a.cc.State()
		if !s.SettingsReceived {
			r.tell(a, r.callFailed(a, a.cc.Err()))
			return
		}
		r.step(a, "settings", began, fmt.Sprintf("ENABLE_CONNECT_PROTOCOL=%t MAX_CONCURRENT_STREAMS leaves %d", s.ConnectProtocol, s.Slots))
		r.tell(a, negotiate.SettingsReceived{
			Attempt: a.id, Present: s.ConnectPresent, ConnectProtocol: s.ConnectAtFirst, Slots: s.Slots,
			RoundTrips: settingsRoundTrips(a, began),
		})
	}()
}

// sendConnect opens a stream with an Extended CONNECT, on a connection whose HTTP/2 has not begun in its first flight, on one of QUIC that
// is resumed in early data.
func (r *race) sendConnect(a *attempt) {
	if a.response != nil { // to an earlier one on this connection
		a.response.Body.Close()
		a.response = nil
	}
	r.open(a, openConnect)
}

func openConnect(cc transport.Mux, req transport.ConnectRequest) (transport.Call, error) {
	switch cc := cc.(type) {
	case *h2net.ClientConn:
		return callOf(cc.OpenConnect(req))
	case *h3.ClientConn:
		return callOf(cc.OpenConnect(req))
	}
	panic(fmt.Sprintf("weft: %T carries no streams", cc))
}

// callOf keeps a nil pointer from becoming a Call.
func callOf[C transport.Call](call C, err error) (transport.Call, error) {
	if err != nil {
		return nil, err
	}
	return call, nil
}

// open opens a stream with send.
func (r *race) open(a *attempt, send func(transport.Mux, transport.ConnectRequest) (transport.Call, error)) {
	if a.cc == nil && a.nc != nil {
		r.startHTTP2(a)
	}
	if a.cc != nil {
		began := time.Now()
		call, err := send(a.cc, r.connectRequest(a))
		if err == nil {
			a.call = call
			go r.awaitResponse(a, call, began)
			return
		}
	}
	a.call = nil
	go r.tell(a, negotiate.NoSlot{Attempt: a.id})
}

func (r *race) connectRequest(a *attempt) transport.ConnectRequest {
	h := r.handshakeHeader("")
	if a.alt != nil && !a.alt.Hint {
		h.Set("Alt-Used", a.alt.Addr())
	}
	return transport.ConnectRequest{
		Scheme: map[bool]string{true: "https", false: "http"}[r.key.secure], Authority: r.host, Path: requestURI(r.url), Header: h,
	}
}

func (r *race) awaitResponse(a *attempt, call transport.Call, began time.Time) {
	res, err := r.responseOf(a, call)
	if err != nil {
		if a.ctx.Err() == nil {
			r.step(a, "response", began, err.Error())
			o := r.callFailed(a, err)
			if _, lost := o.(negotiate.ConnLost); lost && a.told != nil {
				<-a.told // SETTINGS that came before the end are known before it
			}
			r.tell(a, o)
		}
		return
	}
	r.step(a, "response", began, res.Status)
	o := responded{a: a, response: res}
	if res.StatusCode/100 == 2 && !call.Ended() {
		o.stream = call.Stream()
	}
	o.Response = negotiate.Response{Attempt: a.id, Status: res.StatusCode, Ended: call.Ended()}
	r.check(&o, "")
	r.tell(a, o) // a call that is not told is cancelled by release
}

// responseOf waits for the response. A connection from the pool that is silent about it is asked whether it is there: that its peer has gone
// without a word is found out by keepalive only, later than a dial should wait.
func (r *race) responseOf(a *attempt, call transport.Call) (*http.Response, error) {
	if !a.reused || r.d.KeepAlive < 0 {
		return call.Response(a.ctx)
	}
	switch cc := a.cc.(type) {
	case *h2net.ClientConn:
		return r.responseOrDead(a, call, silenceBeforePing, func() error {
			ctx, cancel := context.WithTimeout(a.ctx, pingPatience)
			defer cancel()
			if _, err := cc.Ping(ctx); err != nil && ctx.Err() != nil {
				return errNoPong
			}
			return nil // it is there, or says itself how it ended
		})
	case *h3.ClientConn:
		// What was on the way says nothing: an answer takes a whole round trip.
		onTheWay := cc.MinRTT() * 3 / 4
		return r.responseOrElse(a, call, onTheWay, func() (*http.Response, error) {
			heard := cc.PacketsReceived()
			return r.responseOrDead(a, call, max(silenceOfQUIC-onTheWay, 2*onTheWay), func() error {
				if cc.PacketsReceived() == heard {
					return errSilent
				}
				return nil
			})
		})
	}
	return call.Response(a.ctx)
}

// responseOrElse waits for the response, and after a while does something else.
func (r *race) responseOrElse(a *attempt, call transport.Call, after time.Duration, otherwise func() (*http.Response, error)) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(a.ctx, after)
	defer cancel()
	res, err := call.Response(ctx)
	if err == nil || ctx.Err() == nil || a.ctx.Err() != nil {
		return res, err
	}
	return otherwise()
}

// responseOrDead waits for the response, and after a while asks dead whether to go on. If not, the connection is left to those that use it:
// they wait for what keepalive says.
func (r *race) responseOrDead(a *attempt, call transport.Call, after time.Duration, dead func() error) (*http.Response, error) {
	return r.responseOrElse(a, call, after, func() (*http.Response, error) {
		if err := dead(); err != nil && a.ctx.Err() == nil {
			r.d.pool.remove(r.key, a.cc)
			a.cc.Shutdown(drainLinger)
			return nil, err
		}
		return call.Response(a.ctx)
	})
}

const (
	// silenceBeforePing is how long a connection from the pool may be silent about a request. Handlers may take that long.
	silenceBeforePing = 2 * time.Second
	pingPatience      = 3 * time.Second
	// silenceOfQUIC is how long no packet may come after a request. The request is itself the question: QUIC acknowledges it while the handler
	// works, and repeats it until that has come.
	silenceOfQUIC = silenceBeforePing + pingPatience
)

var (
	errNoPong = fmt.Errorf("connection from before did not answer a PING within %v", pingPatience)
	errSilent = fmt.Errorf("connection from before did not acknowledge a request within %v", silenceOfQUIC)
)

// keep leaves a's connection in the pool.
func (r *race) keep(a *attempt) {
	r.endProbe(a)
	if cc, ok := a.cc.(*h3.ClientConn); ok && !a.pooled {
		r.keepQUIC(a, cc)
		return
	}
	if a.cc.State().Streams == 0 {
		r.d.pool.setIdle(r.key, a.cc, r.d.idleTimeout())
	}
}
