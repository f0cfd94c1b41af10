package weft

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
)

// connectQUIC makes a connection of QUIC, on which HTTP/3 begins at once.
func (r *race) connectQUIC(o negotiate.Connect) {
	a := r.attempt(o.Attempt)
	a.addr, a.probing, a.alt = r.key.addr, o.Probe, o.Alt
	if o.Alt != nil {
		a.addr = o.Alt.Addr()
	}
	addr := a.addr
	go func() {
		cc, err := r.dialQUIC(a, addr, o.Early)
		if err != nil {
			r.tell(a, quicFailed(a, err))
			return
		}
		done := connected{Connected: negotiate.Connected{Attempt: a.id, ALPN: "h3", RoundTrips: 1}, a: a, mux: cc, addr: addr}
		if cc.Early() {
			done.Early, done.RoundTrips = true, 0
		}
		if !r.tell(a, done) {
			cc.Close()
		}
	}()
}

func (r *race) dialQUIC(a *attempt, addr string, early bool) (*h3.ClientConn, error) {
	d := &netdial.Dialer{NetDialUDP: r.d.NetDialUDP}
	socket, err := d.UDP(a.ctx, addr, func(s netdial.Step) { r.dialStep(a, s) })
	if err != nil {
		return nil, err
	}
	began := time.Now()
	cc, err := h3.Dial(a.ctx, socket.PacketConn, socket.Remote, r.h3Options(early))
	detail := socket.Remote.String()
	switch {
	case err != nil:
		detail += "; " + err.Error()
	case cc.Early():
		detail += "; resumed with early data"
	}
	r.step(a, "quic", began, detail)
	return cc, err
}

func (r *race) h3Options(early bool) h3.DialOptions {
	d, key := r.d, r.key
	cfg := d.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		// On an alternative service too: its certificate is the origin's. RFC 7838, Section 2.1.
		cfg.ServerName = r.url.Hostname()
	}
	return h3.DialOptions{
		TLS: cfg, Sessions: &d.sessions, SessionKey: r.memory.key.String(), Early: early, KeepAlive: keepaliveOf(d.KeepAlive),
		Idle:   func(cc *h3.ClientConn) { d.pool.setIdle(key, cc, d.idleTimeout()) },
		Closed: func(cc *h3.ClientConn, _ error) { d.pool.remove(key, cc) },
	}
}

// quicFailed turns an error of a connection that could not be made into an outcome.
func quicFailed(a *attempt, err error) negotiate.ConnectFailed {
	o := negotiate.ConnectFailed{Attempt: a.id, Step: negotiate.StepQUIC, Err: err}
	if de, ok := errors.AsType[*netdial.Error](err); ok {
		o.Step = de.Step
	}
	if ce, ok := errors.AsType[*h3.ConnError](err); ok {
		o.Heard = ce.Heard
		if netdial.NotTrusted(err) {
			o.Step = negotiate.StepCertificate
		}
	}
	return o
}

// h3Failed turns an error of a CONNECT over HTTP/3 into an outcome; nil: it is none of HTTP/3's.
func h3Failed(a *attempt, err error) negotiate.Outcome {
	if se, ok := errors.AsType[*h3.StreamError](err); ok {
		if se.EarlyRejected {
			return negotiate.EarlyRejected{Attempt: a.id}
		}
		return negotiate.StreamReset{Attempt: a.id, Code: se.Code, Local: se.Local, Unprocessed: se.Unprocessed, Err: err}
	}
	ce, ok := errors.AsType[*h3.ConnError](err)
	if !ok {
		return nil
	}
	if cc, ok := a.cc.(*h3.ClientConn); ok && cc.Early() {
		select {
		case <-cc.HandshakeComplete():
		default:
			return quicFailed(a, err)
		}
	}
	// The end of a QUIC connection is authenticated, unless it is silence.
	return negotiate.ConnLost{
		Attempt: a.id, GoAway: ce.Application, Code: ce.Code, Local: ce.Local, CloseNotify: !ce.Local && !ce.Timeout, Err: err,
	}
}

// keepQUIC leaves a connection that TCP was faster than to the pool, when its SETTINGS are there. It goes on when the dial is over.
func (r *race) keepQUIC(a *attempt, cc *h3.ClientConn) {
	a.pooled = true // by us, in a moment
	d, key, alpn, alt := r.d, r.key, a.alpn, a.alt
	d.pool.settle(cc, true)
	go func() {
		defer d.pool.settle(cc, false)
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		defer cancel()
		select {
		case <-cc.Settings():
		case <-ctx.Done():
		}
		if !cc.State().SettingsReceived {
			cc.Close()
			return
		}
		d.pool.add(key, cc, alpn, alt)
		d.pool.setIdle(key, cc, d.idleTimeout())
	}()
}

// settingsRoundTrips is how many passed between the handshake, at began, and the server's SETTINGS now: one if they did not come
// with the handshake. What takes longer was not spent on the way there and back, or was lost.
func settingsRoundTrips(a *attempt, began time.Time) int {
	cc, ok := a.cc.(*h3.ClientConn)
	if !ok || cc.RTT() <= 0 || time.Since(began) < cc.RTT()/2 {
		return 0
	}
	return 1
}
