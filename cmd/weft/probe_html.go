package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weftws/weft/probe"
)

//go:embed probe.html
var probePageText string

var probePageTemplate = template.Must(template.New("probe.html").Parse(probePageText))

// A probePage is what the template gets.
type probePage struct {
	Time    string
	Legend  []probeLegend
	Reports []probePicture
}

type probeLegend struct{ Name, Fill string }

// A probePicture is a report with its waterfall, measured in the picture's units.
type probePicture struct {
	*probe.Report
	About         string
	Width, Height int
	Ticks         []probeTick
	Rows          []probeRow
}

type probeTick struct {
	X    float64
	Text string
}

type probeRow struct {
	Name, Verdict, Trips, Took, Class string
	Y, TextY                          int
	Bars                              []probeBar
	TookX                             float64
}

type probeBar struct {
	X, Width float64
	Fill     string
	Title    string
	Failed   bool
}

// The picture's measures.
const (
	pictureWidth  = 960
	pictureLabel  = 190
	pictureRight  = 90
	pictureRow    = 26
	pictureTop    = 24
	pictureBottom = 8
)

// writeProbePage writes the page to a file of that name, which is whole or not there.
func writeProbePage(name string, reports []*probe.Report, now time.Time) error {
	page := probePage{Time: now.UTC().Format("2006-01-02 15:04 MST")}
	for _, k := range spanKinds {
		page.Legend = append(page.Legend, probeLegend{k.name, k.html})
	}
	for _, r := range reports {
		page.Reports = append(page.Reports, drawProbe(r))
	}
	var b strings.Builder
	if err := probePageTemplate.Execute(&b, page); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".probe-*")
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(b.String())
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

func drawProbe(r *probe.Report) probePicture {
	p := probePicture{Report: r, About: aboutServer(r), Width: pictureWidth}
	longest := longestRung(r)
	const room = pictureWidth - pictureLabel - pictureRight
	x := func(t time.Duration) float64 {
		if longest == 0 {
			return pictureLabel
		}
		return pictureLabel + room*float64(t)/float64(longest)
	}
	for i := range 5 {
		t := longest * time.Duration(i) / 4
		p.Ticks = append(p.Ticks, probeTick{x(t), milliseconds(t)})
	}
	y := pictureTop
	for _, result := range r.Rungs {
		row := probeRow{
			Name: string(result.Rung), Verdict: string(result.Verdict), Trips: "-", Y: y, TextY: y + pictureRow*2/3,
			Class: verdictClass(result.Verdict),
		}
		if result.RoundTrips > 0 {
			row.Trips = fmt.Sprint(result.RoundTrips)
		}
		for _, s := range result.Spans {
			k := kindOf(s)
			title := fmt.Sprintf("%s: %s", s.Name, milliseconds(s.End-s.Start))
			if s.Failed {
				title += ", nothing came"
			}
			row.Bars = append(row.Bars, probeBar{x(s.Start), max(x(s.End)-x(s.Start), 1), k.html, title, s.Failed})
		}
		if len(result.Spans) > 0 {
			row.Took, row.TookX = milliseconds(result.Took), x(result.Took)+6
		}
		p.Rows = append(p.Rows, row)
		y += pictureRow
	}
	p.Height = y + pictureBottom
	return p
}

// verdictClass is the style of a verdict.
func verdictClass(v probe.Verdict) string {
	return map[string]string{green: "good", yellow: "no", red: "bad", gray: "none"}[verdictColor(v)]
}
