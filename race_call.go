package weft

import (
	"fmt"
	"time"

	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// watchSettings reports the server's first SETTINGS on a connection that was made for this dial.
func (r *race) watchSettings(a *attempt) {
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
		r.tell(a, negotiate.SettingsReceived{
			Attempt: a.id, Present: s.ConnectPresent, ConnectProtocol: s.ConnectAtFirst, Slots: s.Slots,
		})
	}()
}

// sendConnect opens a stream with an Extended CONNECT, on a connection whose HTTP/2 has not begun in its first flight.
func (r *race) sendConnect(a *attempt) {
	r.open(a, openConnect)
}

func openConnect(cc transport.Mux, req transport.ConnectRequest) (transport.Call, error) {
	call, err := cc.(*h2net.ClientConn).OpenConnect(req)
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
	h := r.header.Clone()
	handshake.SetRequest(h, r.offer, "")
	if a.alt != nil {
		h.Set("Alt-Used", a.alt.Addr())
	}
	return transport.ConnectRequest{
		Scheme: map[bool]string{true: "https", false: "http"}[r.key.secure], Authority: r.host, Path: requestURI(r.url), Header: h,
	}
}

func (r *race) awaitResponse(a *attempt, call transport.Call, began time.Time) {
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
}

// keep leaves a's connection in the pool.
func (r *race) keep(a *attempt) {
	r.endProbe(a)
	if a.cc.State().Streams == 0 {
		r.d.pool.setIdle(r.key, a.cc, r.d.idleTimeout())
	}
}
