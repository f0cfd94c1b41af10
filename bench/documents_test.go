package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft/bench/peers"
)

// wholeReport has every measurement there is, with made-up numbers: weft's is the workload's number, a peer's a little more with each.
func wholeReport() *report {
	rep := &report{Date: "2026-03-01", Machine: "a machine", Rounds: 2}
	for i := range workloads {
		w := &workloads[i]
		for n, p := range peers.All {
			if !w.asks(p) {
				continue
			}
			for _, wobble := range []float64{0, 0.5} {
				v := float64(i) + 1 + float64(n)/8 + wobble
				rep.add(w, p, sample{Value: v, CPU: v, Allocs: 1, Rate: 1e6 / v, Load: v, RSS: v, P99: 10 * v, P999: 100 * v, Max: 1000 * v})
			}
		}
	}
	for _, s := range growthServers {
		for _, conns := range growthConns {
			for _, n := range growthWebSockets {
				if n >= conns {
					rep.addGrowth(s, conns, n, 100/float64(n)+1, 1e5/float64(n)+1e3)
				}
			}
		}
	}
	rep.Crowd = &crowd{WebSockets: 100_000, Conns: 100, Heap: 200 << 20, RSS: 250 << 20, Spoken: 210 << 20, OpenTime: 2 * time.Second, OpenCPU: time.Second,
		Broadcasts: 11, SpreadTime: 40 * time.Millisecond, SpreadCPU: 30 * time.Millisecond, LoadRSS: 80 << 20}
	rep.finish()
	return rep
}

// The documents get tables, words and pictures, and nothing around the marks changes.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"bench", "docs"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"README.md", "bench/README.md"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("before\n"+beginMark+endMark+"after\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rep := wholeReport()
	if err := rep.document(dir, rep.markdown()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	wantParts(t, "README.md", read("README.md"), "before\n"+beginMark+"![CPU", "(docs/bench.svg)", "**weft-callbacks 1.25**", "100,000 idle WebSockets", "takes 40ms", endMark+"after\n")
	wantParts(t, "bench/README.md", read("bench/README.md"), "`h2-1x100-1`", "`h1-deflate-idle`", "| 100 x 100 |", "**100,000 idle WebSockets")
	wantPicture(t, read("docs/bench.svg"), "x/net", "2026-03-01: a machine", "p99.9 at 5,000 messages a second", ">1.25</text>")
	wantPicture(t, read("docs/growth.svg"), "100 connections", "10,000", "weft-callbacks: the dearest message")
}

func wantParts(t *testing.T, name, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %q", name, part)
		}
	}
}

// wantPicture checks that a picture stands alone, like weft lab's: it is well-formed, small, runs nothing and loads nothing.
func wantPicture(t *testing.T, svg string, parts ...string) {
	t.Helper()
	wantParts(t, "the picture", svg, append(parts, "prefers-color-scheme: dark", "<title", "<desc")...)
	if len(svg) > 100<<10 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch element.Name.Local {
		case "svg", "title", "desc", "style", "g", "rect", "line", "circle", "path", "text", "tspan":
		default:
			t.Errorf("element %s", element.Name.Local)
		}
		for _, a := range element.Attr {
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "-9223372036854775808") {
				t.Errorf("%s of %s is %q", a.Name.Local, element.Name.Local, a.Value)
			}
		}
	}
	for _, s := range []string{"url(", "@import", "@font-face", "href", "ZgotmplZ"} {
		if strings.Contains(svg, s) {
			t.Errorf("the picture has %q", s)
		}
	}
}

// Without a workload that it shows, there is no picture, and no README that claims things.
func TestDocumentNeedsEverything(t *testing.T) {
	rep := &report{}
	w := workloadNamed("h2-1x100-1")
	rep.add(w, peers.Named("weft-callbacks"), sample{Value: 1})
	rep.finish()
	for name, draw := range map[string]func() (string, error){"picture": rep.drawPicture, "growth": rep.drawGrowth, "summary": rep.summary} {
		if _, err := draw(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What -json wrote gives the same tables again.
func TestLoadReport(t *testing.T) {
	rep := wholeReport()
	b, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := loadReport(file)
	if err != nil {
		t.Fatal(err)
	}
	again.finish()
	if again.markdown() != rep.markdown() {
		t.Error("the tables differ")
	}
	if err := os.WriteFile(file, []byte(`{"results":[{"workload":"h4","server":"node"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadReport(file); err == nil || !strings.Contains(err.Error(), "h4") {
		t.Errorf("an unknown workload: error %v", err)
	}
}

// Every row of a table has as many cells as its head.
func TestTables(t *testing.T) {
	cells := 0
	for line := range strings.Lines(wholeReport().markdown()) {
		n := strings.Count(line, "|")
		switch {
		case n == 0:
			cells = 0
		case cells == 0:
			cells = n
		case n != cells:
			t.Errorf("%d cells instead of %d: %s", n-1, cells-1, line)
		}
	}
}

func TestLosses(t *testing.T) {
	rep := &report{}
	add := func(workload, server string, v float64) {
		rep.add(workloadNamed(workload), peers.Named(server), sample{Value: v})
	}
	add("h2-idle", "weft-callbacks", 2)
	add("h2-idle", "weft-blocking", 1)
	add("h2-idle", "node", 3)
	add("h1-100-1", "weft-callbacks", 8)
	add("h1-100-1", "gws", 7)
	add("h1-100-1", "gobwas", 4)
	add("h1-100-1", "raw", 1)
	add("h1-idle", "weft-callbacks", 100)
	add("h1-idle", "gws", 98) // as good as equal
	rep.finish()
	if got := strings.Join(rep.losses(), "; "); got != "`h1-100-1` (weft 2.00 times gobwas)" {
		t.Errorf("losses: %q", got)
	}
}
