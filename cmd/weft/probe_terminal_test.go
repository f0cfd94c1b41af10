package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weftws/weft/probe"
)

// fieldReport is a report as Run makes them, of a server that would like to be more than text.
func fieldReport() *probe.Report {
	const ms = time.Millisecond
	return &probe.Report{
		URL: "wss://example.com/", TLS: "TLS 1.3", ALPN: "h2", Server: `<script>alert("x")</script>`,
		Rungs: []probe.Result{
			{
				Rung: "upgrade", Verdict: probe.Open, RoundTrips: 3, Reason: "101 Switching Protocols, Sec-WebSocket-Accept matches", Took: 40 * ms,
				Evidence: []string{"-> GET / HTTP/1.1", "<- HTTP/1.1 101 <b>"},
				Log:      []probe.Line{{At: 20 * ms, Text: "-> GET / HTTP/1.1"}, {At: 40 * ms, Text: "<- HTTP/1.1 101 <b>"}},
				Spans:    []probe.Span{{Name: "tcp", End: 10 * ms}, {Name: "tls", Start: 10 * ms, End: 20 * ms}, {Name: "request", Start: 20 * ms, End: 40 * ms}},
			},
			{
				Rung: "assume", Verdict: "killed", RoundTrips: 3, Reason: "server ended the connection over an assumed CONNECT: GOAWAY PROTOCOL_ERROR", Took: 80 * ms,
				Spans: []probe.Span{{Name: "tcp", End: 10 * ms}, {Name: "certificate", Start: 10 * ms, End: 20 * ms}, {Name: "request", Start: 40 * ms, End: 80 * ms, Failed: true}},
			},
			{Rung: "h3", Verdict: probe.NotAsked, Reason: "no"},
		},
		Advice: "reached in 4 round trips; 3 once it is remembered",
	}
}

func TestProbeTerminal(t *testing.T) {
	f := &probeFormat{width: 61, wrap: true}
	const want = `wss://example.com/
TLS 1.3; <script>alert("x")</script>; chose h2

upgrade   ─────═════██████████                        40.0 ms
assume    ─────═════          ███████████████████x    80.0 ms
          ─ tcp  ═ tls  █ request  x nothing came

RUNG      ROUND TRIPS  VERDICT       EVIDENCE
upgrade   3            open          101 Switching Protocols,
                                     Sec-WebSocket-Accept
                                     matches
assume    3            killed        server ended the
                                     connection over an
                                     assumed CONNECT: GOAWAY
                                     PROTOCOL_ERROR
h3        -            not-asked     no

reached in 4 round trips; 3 once it is remembered
`
	if got := string(f.append(nil, fieldReport())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for width := narrowest; width < 200; width += 7 {
		f := &probeFormat{width: width, wrap: true}
		for line := range strings.Lines(string(f.append(nil, fieldReport()))) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > max(width, 49) { // the legend
				t.Errorf("a line of %d columns in %d: %s", n, width, line)
			}
		}
	}
	f.color, f.verbose = true, true
	got := string(f.append(nil, fieldReport()))
	for _, want := range []string{"\x1b[32mopen          \x1b[0m", "\x1b[31mkilled        \x1b[0m", "\x1b[90mnot-asked     \x1b[0m", "\n    20.0 ms  -> GET / HTTP/1.1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestProbePage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.html")
	if err := writeProbePage(name, []*probe.Report{fieldReport(), fieldReport()}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{
		"&lt;script&gt;alert(", "HTTP/1.1 101 &lt;b&gt;", `<rect x="190" y="24" width="85"`, "<title>request: 40.0 ms, nothing came</title>", "1970-01-01 00:00 UTC",
		"reached in 4 round trips; 3 once it is remembered", `<text class="bad" x="78" y="67">killed</text>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "ZgotmplZ", "http://", "https://", "NaN"} {
		if strings.Contains(page, bad) {
			t.Errorf("page has %q", bad)
		}
	}
	if n := strings.Count(page, "<svg viewBox=\"0 0 960 "); n != 2 {
		t.Errorf("%d pictures, want 2", n)
	}
	if err := writeProbePage(filepath.Join(name, "below"), nil, time.Now()); err == nil {
		t.Error("a page was written below a file")
	}
}

func TestProbeProgress(t *testing.T) {
	var b strings.Builder
	p := newProbeProgress(&b, []string{"wss://one.example/", "wss://two.example/\x1b[2J"}, true)
	p.rung(0, "upgrade")
	p.rung(1, "settings")
	p.done(0)
	p.end()
	p.done(1)
	want := "\r\x1b[K0 of 2 asked  one.example/: upgrade" +
		"\r\x1b[K0 of 2 asked  one.example/: upgrade  two.example/␛[2J: settings" +
		"\r\x1b[K1 of 2 asked  two.example/␛[2J: settings\r\x1b[K"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
	newProbeProgress(nil, []string{"wss://one.example/"}, false).rung(0, "upgrade") // nothing is shown
}

// A span that lies within the one before is drawn behind it.
func TestWaterfallOfSpansThatOverlap(t *testing.T) {
	r := &probe.Report{Rungs: []probe.Result{{Rung: "upgrade", Took: 100, Spans: []probe.Span{
		{Name: "tcp", End: 90}, {Name: "tls", Start: 10, End: 20, Failed: true}, {Name: "request", Start: 20, End: 100},
	}}}}
	f := &probeFormat{width: plainWidth}
	line, _, _ := strings.Cut(f.waterfall(r), "\n")
	if utf8.RuneCountInString(line) != plainWidth {
		t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
	}
}
