package main

import (
	"fmt"
	"io"
	"slices"
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
	fmt.Fprintln(t.w, visible(e.String()))
}

// withoutSteps is tr without what has been printed as it happened.
func withoutSteps(tr weft.Trace) weft.Trace {
	tr.Attempts = slices.Clone(tr.Attempts)
	for i := range tr.Attempts {
		tr.Attempts[i].Steps = nil
	}
	return tr
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
