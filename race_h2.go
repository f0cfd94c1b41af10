package weft

import (
	"context"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// waitSettings starts HTTP/2 on a's connection. HTTP/3 has begun.
func (r *race) waitSettings(a *attempt) {
	if a.cc != nil {
		r.watchSettings(a)
		return
	}
	r.startHTTP2(a).Start()
}

// startHTTP2 puts HTTP/2 on a's connection; its first flight leaves with Start or with the first stream.
func (r *race) startHTTP2(a *attempt) *h2net.ClientConn {
	nc := a.nc
	a.nc = nil
	d, key := r.d, r.key
	cfg := d.h2Config()
	cfg.ConnectRule = connectRules[a.alpn]
	cc := h2net.NewClientConn(nc, h2net.ClientOptions{
		Config: cfg,
		Idle: func(cc *h2net.ClientConn) {
			d.pool.setIdle(key, cc, d.idleTimeout())
		},
		Closed: func(cc *h2net.ClientConn, _ error) { d.pool.remove(key, cc) },
		AltSvc: r.recvAltSvc,
	})
	a.cc = cc
	r.watchSettings(a)
	return cc
}

// connectRules say by ALPN protocol when Extended CONNECT may be used; "h2" is the zero rule.
var connectRules = map[string]h2.ConnectRule{"h2.1": h2.UnlessOff, "wsoverh2": h2.Implied}

// sendFrame proposes a stream of type WebSocket.
func (r *race) sendFrame(a *attempt) {
	r.open(a, func(cc transport.Mux, req transport.ConnectRequest) (transport.Call, error) {
		call, err := cc.(*h2net.ClientConn).OpenFrame(req)
		if err != nil {
			return nil, err
		}
		go func() {
			select {
			case <-call.Accepted():
				r.tell(a, negotiate.FrameAccepted{Attempt: a.id})
			case <-a.ctx.Done():
			}
		}()
		return call, nil
	})
}

// settle ends an assumption that was wrong: the stream is reset, and the connection goes into the pool once a PING behind
// that was answered. It goes on when the dial is over.
func (r *race) settle(a *attempt, ifKilled negotiate.Remember) {
	r.endProbe(a)
	cc := a.cc.(*h2net.ClientConn)
	a.release()
	a.pooled = true // by us, in a moment
	d, key, alpn, mem := r.d, r.key, a.alpn, r.memory
	d.pool.settle(cc, true)
	go func() {
		defer d.pool.settle(cc, false) // add has refused it if it was closed
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		defer cancel()
		err := cc.Settle(ctx)
		if err == nil {
			d.pool.add(key, cc, alpn, nil)
			d.pool.setIdle(key, cc, d.idleTimeout())
			return
		}
		cc.Close()
		lost := r.connLost(a, err)
		if !lost.Local && (lost.GoAway && lost.Code != 0 || lost.CloseNotify) {
			mem.remember(ifKilled)
		}
	}()
}

// settleTimeout bounds the wait for the PING that settles a connection.
const settleTimeout = 10 * time.Second
