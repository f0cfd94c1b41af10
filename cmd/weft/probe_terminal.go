package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/weftws/weft/probe"
)

// A probeFormat draws reports for people.
type probeFormat struct {
	width   int  // columns
	wrap    bool // lines that are wider are broken; what is piped stays whole, for grep
	color   bool
	verbose bool
}

// plainWidth is how wide reports are that do not go to a terminal.
const plainWidth = 100

func newProbeFormat(w io.Writer, verbose bool) *probeFormat {
	f := &probeFormat{width: plainWidth, verbose: verbose}
	if !isTerminal(w) {
		return f
	}
	if width, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && width > 0 {
		f.width = max(width, narrowest)
	}
	f.wrap = true
	// https://no-color.org: set and not empty.
	f.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return f
}

const narrowest = 40

func (f *probeFormat) append(dst []byte, r *probe.Report) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.paint(bold, r.URL))
	if about := aboutServer(r); about != "" {
		fmt.Fprintf(&b, "%s\n", f.fill(about, 0))
	}
	if drawn := f.waterfall(r); drawn != "" {
		fmt.Fprintf(&b, "\n%s", drawn)
	}
	fmt.Fprintf(&b, "\n%s", f.table(r))
	if f.verbose {
		b.WriteString(f.frames(r))
	}
	fmt.Fprintf(&b, "\n%s\n", f.fill(r.Advice, 0))
	return append(dst, b.String()...)
}

// aboutServer is what the server shows of itself.
func aboutServer(r *probe.Report) string {
	var parts []string
	for _, s := range []string{r.TLS, r.Certificate, r.Server} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if r.ALPN != "" {
		parts = append(parts, "chose "+r.ALPN)
	}
	return strings.Join(parts, "; ")
}

// A spanKind is how the steps of one name are drawn.
type spanKind struct {
	name  string
	glyph string
	color string
	html  string
}

// spanKinds are in the order of the legend.
var spanKinds = []spanKind{
	{"resolve", "·", "\x1b[90m", "#9aa0a6"},
	{"tcp", "─", "\x1b[34m", "#4c78a8"},
	{"proxy", "~", "\x1b[36m", "#76b7b2"},
	{"tls", "═", "\x1b[35m", "#8e6bb0"},
	{"quic", "≡", "\x1b[35m", "#c0588f"},
	{"settings", "▒", "\x1b[33m", "#e0a030"},
	{"request", "█", "\x1b[32m", "#3a9a5b"},
	{"check", "░", "\x1b[90m", "#c4c9cf"},
}

func kindOf(s probe.Span) spanKind {
	name := s.Name
	if name == "certificate" {
		name = "tls"
	}
	for _, k := range spanKinds {
		if k.name == name {
			return k
		}
	}
	return spanKind{name: name, glyph: "?", html: "#000000"}
}

const (
	bold   = "\x1b[1m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	gray   = "\x1b[90m"
	normal = "\x1b[0m"
)

func (f *probeFormat) paint(color, s string) string {
	if !f.color || color == "" || s == "" {
		return s
	}
	return color + s + normal
}

func verdictColor(v probe.Verdict) string {
	switch v {
	case probe.Open, probe.Advertised:
		return green
	case probe.NotAsked, probe.Absent:
		return gray
	case probe.FalseAccept, "killed", "silent", "transport", "handshake":
		return red
	}
	return yellow
}

// waterfall draws a bar a rung, all to the same scale.
func (f *probeFormat) waterfall(r *probe.Report) string {
	const nameWidth, timeWidth = 10, 11
	longest := longestRung(r)
	room := f.width - nameWidth - timeWidth
	if longest == 0 || room < 10 {
		return ""
	}
	var b strings.Builder
	used := map[string]bool{}
	for _, result := range r.Rungs {
		if len(result.Spans) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%-*s", nameWidth, result.Rung)
		at := 0
		for _, s := range result.Spans {
			from, to := column(s.Start, longest, room), column(s.End, longest, room)
			from = max(from, at) // spans may overlap
			to = max(to, from+1)
			if at >= room || from >= room {
				break
			}
			to = min(to, room)
			b.WriteString(strings.Repeat(" ", from-at))
			k := kindOf(s)
			used[k.name] = true
			bar := strings.Repeat(k.glyph, to-from)
			if s.Failed { // it ended without what it waited for
				bar = strings.Repeat(k.glyph, to-from-1) + "x"
			}
			b.WriteString(f.paint(k.color, bar))
			at = to
		}
		fmt.Fprintf(&b, "%s%*s\n", strings.Repeat(" ", max(0, room-at)), timeWidth, milliseconds(result.Took))
	}
	if b.Len() == 0 {
		return ""
	}
	var legend []string
	for _, k := range spanKinds {
		if used[k.name] {
			legend = append(legend, f.paint(k.color, k.glyph)+" "+k.name)
		}
	}
	return b.String() + strings.Repeat(" ", nameWidth) + strings.Join(legend, "  ") + "  x nothing came\n"
}

func longestRung(r *probe.Report) (longest time.Duration) {
	for _, result := range r.Rungs {
		if len(result.Spans) > 0 {
			longest = max(longest, result.Took)
		}
	}
	return longest
}

func column(t, longest time.Duration, room int) int {
	return int(float64(t)/float64(longest)*float64(room) + 0.5)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func (f *probeFormat) table(r *probe.Report) string {
	const layout = "%-10s%-13s%-14s"
	const indent = 10 + 13 + 14
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.paint(bold, fmt.Sprintf(layout+"%s", "RUNG", "ROUND TRIPS", "VERDICT", "EVIDENCE")))
	for _, result := range r.Rungs {
		trips := "-"
		if result.RoundTrips > 0 {
			trips = fmt.Sprint(result.RoundTrips)
		}
		verdict := f.paint(verdictColor(result.Verdict), fmt.Sprintf("%-14s", result.Verdict))
		reason := f.fill(result.Reason, indent)
		if f.wrap && f.width < indent+20 {
			reason = "\n  " + f.fill(result.Reason, 2)
		}
		fmt.Fprintf(&b, "%-10s%-13s%s%s\n", result.Rung, trips, verdict, reason)
	}
	return b.String()
}

// frames lists the evidence with its times.
func (f *probeFormat) frames(r *probe.Report) string {
	var b strings.Builder
	for _, result := range r.Rungs {
		fmt.Fprintf(&b, "\n%s\n", f.paint(bold, string(result.Rung)))
		for _, l := range result.Log {
			color := ""
			if strings.HasPrefix(l.Text, "#") {
				color = gray
			}
			fmt.Fprintf(&b, "%11s  %s\n", milliseconds(l.At), f.paint(color, l.Text))
		}
	}
	return b.String()
}

// fill breaks s at spaces to fit behind indent columns.
func (f *probeFormat) fill(s string, indent int) string {
	room := f.width - indent
	if !f.wrap || room < 10 {
		return s
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		if i > 0 && at+1+n > room {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = 0
		} else if i > 0 {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
