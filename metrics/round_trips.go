package metrics

import (
	"strings"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
)

// Round trips of a connection that nothing is known of, and no proxy is in the way of.
const (
	requestTrip   = 1 // the handshake of the WebSocket
	settingsTrip  = 1 // until the server's SETTINGS are there
	tcpTrips      = 1
	tcpAndTLS     = 2 // TLS 1.3, RFC 8446, Section 2
	baseWaiting   = "settings"
	baseUpgrading = "upgrade"
)

func (c *Collector) dialDone(d weft.DialReport) {
	rung := "none"
	for _, a := range d.Trace.Attempts {
		c.attempts.WithLabelValues(string(a.Rung), a.Verdict).Inc()
		if a.Verdict != negotiate.VerdictUnused {
			rung = string(a.Rung)
		}
	}
	if d.Trace.Rung != "" {
		rung = string(d.Trace.Rung)
	}
	c.dials.WithLabelValues(rung, d.Verdict).Inc()
	c.dialDuration.WithLabelValues(d.Verdict).Observe(d.Duration.Seconds())
	if d.Err == nil {
		c.roundTrips.Add(float64(d.Trace.RoundTrips))
		for baseline, trips := range map[string]int{baseWaiting: waiting(d), baseUpgrading: upgrading(d)} {
			c.baseline.WithLabelValues(baseline).Add(float64(trips))
			c.saved.WithLabelValues(baseline).Add(float64(trips - d.Trace.RoundTrips))
		}
	}
}

// upgrading is what a client that knows RFC 6455 alone takes for every WebSocket: a connection and an Upgrade. Proxies and name
// resolution are not counted.
func upgrading(d weft.DialReport) int { return connecting(d) + requestTrip }

func connecting(d weft.DialReport) int {
	if strings.HasPrefix(d.URL, "wss:") {
		return tcpAndTLS
	}
	return tcpTrips
}

// waiting is what this Dial would have taken with RFC 8441 to the letter, knowing what it knew: a client that sends no Extended
// CONNECT before the server's SETTINGS have announced it, and makes no spare connection.
//
//   - On a connection that was there before, by an Upgrade on the first connection, or by waiting: what it did take.
//   - By a request in the first flight of a new HTTP/2 connection: a round trip more.
//   - By an Upgrade after an HTTP/2 connection without WebSockets: at least that connection and its SETTINGS, and then another one and
//     the Upgrade.
func waiting(d weft.DialReport) int {
	t := d.Trace
	switch {
	case t.Reused || t.Rung == weft.Settings:
		return t.RoundTrips
	case t.Version != "HTTP/1.1":
		return t.RoundTrips + settingsTrip
	case fellBack(t):
		return max(t.RoundTrips, connecting(d)+settingsTrip+connecting(d)+requestTrip)
	}
	return t.RoundTrips
}

// fellBack reports that a new HTTP/2 connection turned out to carry no WebSockets.
func fellBack(t weft.Trace) bool {
	for _, a := range t.Attempts {
		switch negotiate.Class(a.Verdict) {
		case negotiate.Version, negotiate.Killed:
			if a.Rung != weft.Upgrade {
				return true
			}
		}
	}
	return false
}
