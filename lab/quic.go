package lab

import (
	"time"

	"github.com/weftws/weft/negotiate"
)

// A quicConn is a connection of HTTP/3. No pure machine of QUIC is here: what is counted is that its handshake, TLS in it, takes a round trip
// (RFC 9001, Section 4.1), and that the server's SETTINGS are in its first flight.
type quicConn struct {
	features Features
	early    bool // the next request travels in 0-RTT data
}

// connectQUIC makes a connection: at once, as far as 0-RTT data goes, or in a round trip, or never.
func (d *dial) connectQUIC(o negotiate.Connect) {
	a := &attempt{id: o.Attempt, alt: o.Alt, alpn: "h3"}
	d.attempts[o.Attempt] = a
	f := d.origin
	if o.Alt != nil {
		f = d.alternatives[*o.Alt]
	}
	d.begin(a, "quic")
	if d.noUDP || !f.HTTP3 {
		return
	}
	a.quic = &quicConn{features: f, early: o.Early}
	if o.Early {
		d.after(0, func() { d.report(a, negotiate.Connected{Attempt: a.id, ALPN: "h3", Early: true}) })
		return
	}
	d.after(d.rtt, func() {
		if !a.over {
			d.end(a)
			d.report(a, negotiate.Connected{Attempt: a.id, ALPN: "h3"})
		}
	})
}

// awaitSettingsQUIC brings the server's SETTINGS, after so many round trips.
func (d *dial) awaitSettingsQUIC(a *attempt, trips int) {
	d.after(d.rtt*time.Duration(trips), func() {
		if a.over {
			return
		}
		d.addToPool(a)
		d.ticket = true
		connect := a.quic.features.Connect
		d.report(a, negotiate.SettingsReceived{Attempt: a.id, Present: connect, ConnectProtocol: connect, Slots: quicSlots})
	})
}

// openQUIC sends the handshake.
func (d *dial) openQUIC(a *attempt) {
	status := 200
	if a.quic.early {
		a.quic.early = false
		d.awaitSettingsQUIC(a, 1)
		if !a.quic.features.Early {
			status = 425
		}
	}
	d.after(d.rtt, func() { d.report(a, negotiate.Response{Attempt: a.id, Status: status}) })
}

// liveQUIC is what later dials know of p.
func (p *pooled) liveQUIC() negotiate.LiveConn {
	return negotiate.LiveConn{
		ID: p.id, ALPN: p.alpn, SettingsReceived: true, ConnectProtocol: p.quic.features.Connect, Slots: quicSlots, Alt: p.alt,
	}
}

const quicSlots = 100 // which does not matter
