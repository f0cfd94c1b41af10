package weft

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/weftws/weft/negotiate"
)

func (r *race) connect(o negotiate.Connect) {
	a := r.attempt(o.Attempt)
	a.addr, a.probing = r.key.addr, o.Probe
	go func() {
		began := time.Now()
		dial := r.d.NetDial
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		nc, err := dial(a.ctx, "tcp", r.key.addr)
		if err != nil {
			r.tell(a, negotiate.ConnectFailed{Attempt: a.id, Step: negotiate.StepTCP, Err: err})
			return
		}
		r.step(a, "tcp", began, "")
		alpn := o.ALPN[0]
		if o.TLS {
			cfg := r.d.TLSConfig.Clone()
			if cfg == nil {
				cfg = new(tls.Config)
			}
			cfg.NextProtos = o.ALPN
			if cfg.ServerName == "" {
				cfg.ServerName = r.url.Hostname()
			}
			began = time.Now()
			tc := tls.Client(nc, cfg)
			if err := tc.HandshakeContext(a.ctx); err != nil {
				nc.Close()
				r.tell(a, negotiate.ConnectFailed{Attempt: a.id, Step: negotiate.StepTLS, Err: err})
				return
			}
			r.step(a, "tls", began, "")
			alpn = tc.ConnectionState().NegotiatedProtocol
			nc = tc
		}
		if !r.tell(a, connected{Connected: negotiate.Connected{Attempt: a.id, ALPN: alpn}, a: a, nc: nc, addr: r.key.addr}) {
			nc.Close()
		}
	}()
}
