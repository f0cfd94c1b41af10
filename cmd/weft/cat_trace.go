package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weftws/weft"
)

// A tracer prints the steps of an opening as they happen: a line each, or an object each on standard output.
type tracer struct {
	w   io.Writer
	out *printer // set with --json
}

func newTracer(c *cat, out *printer) *tracer {
	if c.json {
		return &tracer{out: out}
	}
	return &tracer{w: c.stderr}
}

func (t *tracer) event(e weft.TraceEvent) {
	if t.out != nil {
		t.out.object(struct {
			Event   string  `json:"event"`
			Millis  float64 `json:"ms"` // since the start
			Attempt int     `json:"attempt"`
			Name    string  `json:"name"`
			Detail  string  `json:"detail"`
		}{"trace", millis(e.Time), e.Attempt, e.Name, e.Detail})
		return
	}
	if e.Name == "order" && strings.HasPrefix(e.Detail, "set-timer") {
		return // nothing happens
	}
	attempt := "  " // of the dial as a whole
	if e.Attempt > 0 {
		attempt = fmt.Sprintf("#%d", e.Attempt)
	}
	fmt.Fprintf(t.w, "%9.2f ms  %s  %-9s %s\n", millis(e.Time), attempt, e.Name, e.Detail)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// printSummary says what the opening came to.
func printSummary(w io.Writer, subprotocol string, tr weft.Trace) {
	trips := fmt.Sprintf("%d round trips", tr.RoundTrips)
	if tr.RoundTrips == 1 {
		trips = "1 round trip"
	}
	fmt.Fprintf(w, "open: %s, %s%s%s\n", carrier(tr), trips, field("subprotocol", subprotocol), field("compression", tr.Compression))
}

// carrier says what carries a WebSocket: "HTTP/2.0 by rung settings, conn 1 stream 1, to 127.0.0.1:8443".
func carrier(tr weft.Trace) string {
	stream := ""
	if tr.StreamID != 0 {
		stream = fmt.Sprintf(" stream %d", tr.StreamID)
	}
	return fmt.Sprintf("%s by rung %s, conn %d%s, to %s", tr.Version, tr.Rung, tr.ConnID, stream, tr.RemoteAddr)
}
