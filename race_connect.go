package weft

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
)

// connect makes a connection.
func (r *race) connect(o negotiate.Connect) {
	a := r.attempt(o.Attempt)
	a.addr, a.probing, a.alt = r.key.addr, o.Probe, o.Alt
	d := &netdial.Dialer{NetDial: r.d.NetDial, TLSConfig: r.d.TLSConfig}
	if o.TLS {
		d.NetDial = a.watchFIN(r.d.NetDial)
	}
	target := netdial.Target{Addr: r.key.addr, TLS: o.TLS, ALPN: o.ALPN, Proxy: r.proxy}
	if o.Alt != nil {
		// "the client MUST have reasonable assurances that it is under the control of and valid for the whole origin": its
		// certificate is the origin's. RFC 7838, Section 2.1.
		target.ServerName, target.Addr = r.url.Hostname(), o.Alt.Addr()
		a.addr = target.Addr
	}
	go func() {
		c, err := d.Dial(a.ctx, target, func(s netdial.Step) { r.dialStep(a, s) })
		if err != nil {
			f := negotiate.ConnectFailed{Attempt: a.id, Step: negotiate.StepTCP, Err: err}
			if de, ok := errors.AsType[*netdial.Error](err); ok {
				f.Step = de.Step
			}
			r.tell(a, f)
			return
		}
		done := connected{Connected: negotiate.Connected{Attempt: a.id, ALPN: c.ALPN, RoundTrips: c.RoundTrips}, a: a, nc: c.Conn, addr: target.Addr, spare: o.Spare}
		if !o.TLS {
			done.ALPN = o.ALPN[0]
		}
		if r.proxy != nil {
			done.addr = r.proxy.Host
		}
		if !r.tell(a, done) {
			c.Close()
		}
	}()
}

// watchFIN makes dial's connections tell a when FIN has come.
func (a *attempt) watchFIN(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &finConn{nc, a.fin}, nil
	}
}

// A finConn is the connection under TLS. crypto/tls says io.EOF for close_notify, and for a FIN that comes between two records.
type finConn struct {
	net.Conn
	fin *atomic.Bool
}

func (c *finConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.fin.Store(true)
	}
	return n, err
}

// CloseWrite closes the whole where that is all that the connection can.
func (c *finConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Conn.Close()
}

// dialStep records a step of netdial's.
func (r *race) dialStep(a *attempt, s netdial.Step) {
	detail := s.Detail
	if s.Err != nil {
		detail = s.Err.Error()
	}
	r.tell(a, stepDone{a: a, step: Step{
		Name: string(s.Name), Start: s.Start.Sub(r.start), Duration: s.End.Sub(s.Start), Detail: detail,
	}})
	if s.Name == negotiate.StepTCP && s.Err == nil {
		r.tell(a, negotiate.Reached{Attempt: a.id, RTT: s.End.Sub(s.Start)})
	}
}
