package weft

import (
	"context"
	"fmt"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/negotiate"
)

// waitSettings starts HTTP/2 on a's connection.
func (r *race) waitSettings(a *attempt) {
	r.startHTTP2(a)
	a.cc.Start()
}

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

// keep leaves a's connection in the pool.
func (r *race) keep(a *attempt) {
	r.endProbe(a)
	if a.cc.State().Streams == 0 {
		r.d.pool.setIdle(r.key, a.cc, r.d.idleTimeout())
	}
}

// startHTTP2 puts HTTP/2 on a's connection; its first flight leaves with Start or with the first stream.
func (r *race) startHTTP2(a *attempt) {
	nc := a.nc
	a.nc = nil
	d, key := r.d, r.key
	cfg := d.h2Config()
	cfg.ConnectRule = connectRules[a.alpn]
	a.cc = h2net.NewClientConn(nc, h2net.ClientOptions{
		Config: cfg,
		Idle: func(cc *h2net.ClientConn) {
			d.pool.setIdle(key, cc, d.idleTimeout())
		},
		Closed: func(cc *h2net.ClientConn, _ error) { d.pool.remove(key, cc) },
		AltSvc: r.recvAltSvc,
	})
	r.watchSettings(a)
}

// connectRules say by ALPN protocol when Extended CONNECT may be used; "h2" is the zero rule.
var connectRules = map[string]h2.ConnectRule{"h2.1": h2.UnlessOff, "wsoverh2": h2.Implied}

// sendConnect opens a stream with an Extended CONNECT, on a connection whose HTTP/2 has not begun in its first flight.
func (r *race) sendConnect(a *attempt) {
	r.open(a, (*h2net.ClientConn).OpenConnect)
}

// sendFrame proposes a stream of type WebSocket.
func (r *race) sendFrame(a *attempt) {
	r.open(a, (*h2net.ClientConn).OpenFrame)
	if call := a.call; call != nil {
		go func() {
			select {
			case <-call.Accepted():
				r.tell(a, negotiate.FrameAccepted{Attempt: a.id})
			case <-a.ctx.Done():
			}
		}()
	}
}

func (r *race) open(a *attempt, send func(*h2net.ClientConn, h2net.ConnectRequest) (*h2net.Call, error)) {
	if a.cc == nil && a.nc != nil {
		r.startHTTP2(a)
	}
	began := time.Now()
	var err error
	if a.cc != nil {
		h := r.handshakeHeader("")
		if a.alt != nil {
			h.Set("Alt-Used", a.alt.Addr())
		}
		a.call, err = send(a.cc, h2net.ConnectRequest{
			Scheme: map[bool]string{true: "https", false: "http"}[r.key.secure], Authority: r.host, Path: requestURI(r.url), Header: h,
		})
	}
	if a.cc == nil || err != nil {
		a.call = nil
		go r.tell(a, negotiate.NoSlot{Attempt: a.id})
		return
	}
	go r.awaitResponse(a, a.call, began)
}

func (r *race) awaitResponse(a *attempt, call *h2net.Call, began time.Time) {
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
	r.check(&o, "")
	r.tell(a, o) // a call that is not told is cancelled by release
}

// settle ends an assumption that was wrong: the stream is reset, and the connection goes into the pool once a PING behind
// that was answered. It goes on when the dial is over.
func (r *race) settle(a *attempt, ifKilled negotiate.Remember) {
	r.endProbe(a)
	cc := a.cc
	a.release()
	a.pooled = true // by us, in a moment
	d, key, alpn, mem, secure := r.d, r.key, a.alpn, r.memory, r.key.secure
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		defer cancel()
		err := cc.Settle(ctx)
		if err == nil {
			d.pool.add(key, cc, alpn, nil)
			d.pool.setIdle(key, cc, d.idleTimeout())
			return
		}
		cc.Close()
		lost := lossOf(err, secure)
		if lost.GoAway && lost.Code != 0 || lost.CloseNotify {
			mem.remember(ifKilled)
		}
	}()
}

// settleTimeout bounds the wait for the PING that settles a connection.
const settleTimeout = 10 * time.Second
