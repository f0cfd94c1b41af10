package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGrowthWords(t *testing.T) {
	tests := []struct {
		name  string
		curve [5]float64 // on one connection
		want  string
	}{
		{"falls", [5]float64{50, 8, 2, 1, 0.5}, "100.0 times the cheapest (0.50 us, 1 x 10000), from 100 WebSockets on 4.0 times (2.00 us, 1 x 100); more WebSockets on as many connections never cost more a message"},
		{"rises a little", [5]float64{50, 8, 2, 1, 1.15}, "; no bend upward: the greatest rise is 1.15 times, from 1.00 us (1 x 1000) to 1.15 us (1 x 10000)"},
		{"bends", [5]float64{50, 8, 2, 3, 9}, "; it bends upward: 4.50 times, from 2.00 us (1 x 100) to 9.00 us (1 x 10000)"},
	}
	for _, tt := range tests {
		rep := &report{}
		for i, v := range tt.curve {
			rep.addGrowth("node", 1, growthWebSockets[i], v, 1)
			rep.addGrowth("node", 1, growthWebSockets[i], v, 1)
		}
		rep.addGrowth("node", 10, 10_000, 1.1, 1) // no rise: other connections
		rep.addGrowth("net/http", 1, 10, 1000, 1)
		rep.finish()
		if got := rep.growthWords("node"); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// What is left is reckoned from the last time of each task.
func TestProgress(t *testing.T) {
	none := func() error { return nil }
	p := newProgress([][]task{{{"a", none}, {"b", none}}, {{"a", none}, {"b", none}, {"c", none}}})
	if got := p.remaining(); got != "not known how much" {
		t.Errorf("at first: %q", got)
	}
	spend := func(name string, d time.Duration) {
		p.began = time.Now().Add(-d)
		p.end(name)
	}
	spend("a", 10*time.Second)
	if got := p.remaining(); got != "40s" { // a, b twice and c
		t.Errorf("after a: %q", got)
	}
	spend("b", 2*time.Second)
	if got := p.remaining(); got != "18s" { // 10, 2 and the mean
		t.Errorf("after b: %q", got)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		args  string
		loads []string // that run
		err   string
	}{
		{"", []string{"h2-idle", "h3-latency"}, ""},
		{"-loads h3", []string{"h3-latency"}, ""},
		{"-growth", nil, ""},
		{"-idle 1000", nil, ""},
		{"-growth -loads idle", []string{"h2-idle"}, ""},
		{"-growth -idle 5 -docs ..", []string{"h2-idle", "h3-latency"}, ""},
		{"-idle -1", nil, "-idle"},
		{"-rounds 0", nil, "-rounds"},
		{"-loads [", nil, "missing closing"},
		{"more", nil, `"more"`},
	}
	for _, tt := range tests {
		o, err := parseOptions(strings.Fields(tt.args))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.args, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
			continue
		}
		var got []string
		for _, name := range []string{"h2-idle", "h3-latency"} {
			if o.loads.MatchString(name) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, tt.loads) {
			t.Errorf("%q measures %q, want %q", tt.args, got, tt.loads)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0.25: "0.2", 3: "3", 54: "54", 999: "999", 1000: "1 k", 4830: "4.8 k", 356_000: "356 k", 1e6: "1 M", 1_910_000: "1.91 M"} {
		if got := short(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{7: "7", 999: "999", 1000: "1,000", 100_000: "100,000", 1_234_567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := wrap("one two three four", 9); !slices.Equal(got, []string{"one two", "three", "four"}) {
		t.Errorf("wrapped: %q", got)
	}
	x := newLogAxis(54, 13_200, 0, 400)
	if got := x.decades(); !slices.Equal(got, []float64{10, 100, 1000, 10_000, 100_000}) || x.at(1000) != 200 {
		t.Errorf("decades %v, 1000 at %v", got, x.at(1000))
	}
}
