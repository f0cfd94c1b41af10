package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTicker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, options{subscribers: 10_000, ticks: 3, every: 50 * time.Millisecond}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Logf("\n%s", out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4", len(lines))
	}
	if !regexp.MustCompile(`^10000 WebSockets on 1[0-9] connections in `).MatchString(lines[0]) {
		t.Errorf("%q: not 10 to 19 connections", lines[0])
	}
	if !strings.HasPrefix(lines[3], "tick 3: ") {
		t.Errorf("the last line is %q", lines[3])
	}
}
