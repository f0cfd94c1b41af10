package metrics

import (
	"context"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weftws/weft"
)

// A Collector is a prometheus.Collector of what its Observer is told. It is safe for concurrent use.
type Collector struct {
	opened, closed, resets, violations, limits, refused *prometheus.CounterVec
	dials, attempts, baseline                           *prometheus.CounterVec
	roundTrips                                          prometheus.Counter
	saved                                               *prometheus.GaugeVec
	dialDuration                                        *prometheus.HistogramVec

	mu   sync.Mutex
	open map[*weft.Conn]kind
	// Invariant: past is what the WebSockets carried that are not in open, and has a key for every kind that there has been.
	past map[kind]weft.Stats
}

// A kind is what the traffic of WebSockets is told apart by.
type kind struct{ side, version string }

var (
	openDesc = prometheus.NewDesc("weft_websockets_open",
		"WebSockets that are open now.", []string{"side", "version"}, nil)
	messagesDesc = prometheus.NewDesc("weft_messages_total",
		"Messages received (in) and sent (out).", []string{"side", "version", "direction"}, nil)
	bytesDesc = prometheus.NewDesc("weft_message_bytes_total",
		"Payload of messages, before compressing and after inflating.", []string{"side", "version", "direction"}, nil)
)

// New returns a Collector that has counted nothing.
func New() *Collector {
	return &Collector{
		open: make(map[*weft.Conn]kind),
		past: make(map[kind]weft.Stats),

		opened: counters("weft_websockets_opened_total",
			"WebSockets that were opened.", "side", "version"),
		closed: counters("weft_websockets_closed_total",
			"WebSockets that have ended, by who began it and the code of the Close frame (1006: none).", "side", "by", "code"),
		resets: counters("weft_websockets_reset_total",
			"WebSockets that RST_STREAM ended, by who sent it and its code.", "side", "by", "code"),
		refused: counters("weft_handshakes_refused_total",
			"Requests that were refused, by the rule they broke.", "version", "rule"),
		violations: counters("weft_violations_total",
			"Rules that peers broke; side is the peer's.", "side", "protocol", "rule"),
		limits: counters("weft_limits_exceeded_total",
			"Limits of ours that peers exceeded; side is the peer's.", "side", "protocol", "limit"),

		dials: counters("weft_dials_total",
			"Dials that have ended, by what came of them and the rung of their last attempt.", "rung", "verdict"),
		attempts: counters("weft_dial_attempts_total",
			"Attempts of Dials, spare connections included.", "rung", "verdict"),
		roundTrips: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weft_dial_round_trips_total",
			Help: "Round trips of the network that Dials took which opened a WebSocket.",
		}),
		baseline: counters("weft_dial_baseline_round_trips_total",
			"Round trips that the same Dials would have taken by waiting for SETTINGS, and by an HTTP/1.1 Upgrade each.", "baseline"),
		saved: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weft_dial_round_trips_saved",
			Help: "Round trips that Dials have saved so far against each baseline; negative where they took more.",
		}, []string{"baseline"}),
		dialDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weft_dial_duration_seconds",
			Help:    "How long Dials took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"verdict"}),
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// vectors are the metrics that keep themselves.
func (c *Collector) vectors() []prometheus.Collector {
	return []prometheus.Collector{
		c.opened, c.closed, c.resets, c.refused, c.violations, c.limits, c.dials, c.attempts, c.roundTrips, c.baseline, c.saved, c.dialDuration,
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range c.vectors() {
		v.Describe(ch)
	}
	ch <- openDesc
	ch <- messagesDesc
	ch <- bytesDesc
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, v := range c.vectors() {
		v.Collect(ch)
	}
	open, carried := c.traffic()
	for k, s := range carried {
		ch <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(open[k]), k.side, k.version)
		for _, d := range []struct {
			direction       string
			messages, bytes int64
		}{{"in", s.MessagesIn, s.BytesIn}, {"out", s.MessagesOut, s.BytesOut}} {
			ch <- prometheus.MustNewConstMetric(messagesDesc, prometheus.CounterValue, float64(d.messages), k.side, k.version, d.direction)
			ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(d.bytes), k.side, k.version, d.direction)
		}
	}
}

// traffic returns how many WebSockets are open, and what all have carried so far. Opening and closing do not wait for the summing.
func (c *Collector) traffic() (open map[kind]int, carried map[kind]weft.Stats) {
	type entry struct {
		conn *weft.Conn
		kind kind
	}
	open, carried = make(map[kind]int), make(map[kind]weft.Stats)
	c.mu.Lock()
	for k, s := range c.past {
		carried[k] = s
	}
	entries := make([]entry, 0, len(c.open))
	for conn, k := range c.open {
		entries = append(entries, entry{conn, k})
	}
	c.mu.Unlock()
	for _, e := range entries {
		open[e.kind]++
		carried[e.kind] = add(carried[e.kind], e.conn.Stats())
	}
	return open, carried
}

func add(a, b weft.Stats) weft.Stats {
	a.MessagesIn += b.MessagesIn
	a.BytesIn += b.BytesIn
	a.MessagesOut += b.MessagesOut
	a.BytesOut += b.BytesOut
	return a
}

// Observer returns what a weft.Dialer, weft.ServerOptions or weft.AcceptOptions is to be given, alone or joined with others.
func (c *Collector) Observer() *weft.Observer {
	return &weft.Observer{
		DialDone: func(_ context.Context, d weft.DialReport) { c.dialDone(d) },
		Opened:   func(_ context.Context, o weft.Opened) { c.connOpened(o) },
		Refused: func(_ context.Context, r weft.Refusal) {
			c.refused.WithLabelValues(versionLabel(r.Version), r.Err.Name).Inc()
		},
		Closed: c.connClosed,
		Violation: func(v weft.Violation) {
			if v.Limit {
				c.limits.WithLabelValues(v.Side, v.Protocol, v.Name).Inc()
			} else {
				c.violations.WithLabelValues(v.Side, v.Protocol, v.Name).Inc()
			}
		},
	}
}

func (c *Collector) connOpened(o weft.Opened) {
	k := kind{o.Side, o.Conn.Version()}
	c.opened.WithLabelValues(k.side, k.version).Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[o.Conn] = k
	if _, ok := c.past[k]; !ok {
		c.past[k] = weft.Stats{} // so that it is reported as 0 when the last has gone
	}
}

func (c *Collector) connClosed(e weft.Closed) {
	by := e.By
	if by == "" {
		by = "unknown"
	}
	c.closed.WithLabelValues(e.Side, by, codeLabel(e.Code())).Inc()
	if e.Reset != "" {
		c.resets.WithLabelValues(e.Side, by, resetLabel(e.Reset)).Inc()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[e.Conn]
	delete(c.open, e.Conn)
	c.past[k] = add(c.past[k], e.Stats)
}

// codeLabel keeps peers from making up label values: RFC 6455, Section 7.4.2, leaves 2000 codes to applications and libraries.
func codeLabel(code weft.StatusCode) string {
	switch {
	case code == 0:
		return "unknown"
	case code >= 1000 && code <= 1015:
		return strconv.Itoa(int(code))
	case code >= 3000 && code <= 3999:
		return "3xxx"
	case code >= 4000 && code <= 4999:
		return "4xxx"
	}
	return "other"
}

// resetCodes are those of RFC 9113, Section 7.
var resetCodes = map[string]bool{
	"NO_ERROR": true, "PROTOCOL_ERROR": true, "INTERNAL_ERROR": true, "FLOW_CONTROL_ERROR": true, "SETTINGS_TIMEOUT": true,
	"STREAM_CLOSED": true, "FRAME_SIZE_ERROR": true, "REFUSED_STREAM": true, "CANCEL": true, "COMPRESSION_ERROR": true,
	"CONNECT_ERROR": true, "ENHANCE_YOUR_CALM": true, "INADEQUATE_SECURITY": true, "HTTP_1_1_REQUIRED": true,
}

func resetLabel(code string) string {
	if resetCodes[code] {
		return code
	}
	return "other"
}

func versionLabel(proto string) string {
	switch proto {
	case "HTTP/1.1", "HTTP/2.0", "HTTP/3.0":
		return proto
	}
	return "other"
}
