package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/weftws/weft/internal/load"
)

//go:embed bench.svg
var benchPictureText string

var benchPictureTemplate = template.Must(template.New("bench.svg").Parse(benchPictureText))

// A benchDrawing is what the template draws, in the picture's units.
type benchDrawing struct {
	Width, Height, CardWidth, CardHeight int
	Title, Desc                          string
	Lines                                []benchLine
	Panels                               []benchPanel
}

type benchLine struct {
	Y    int
	Text string
}

// A benchPanel is one diagram.
type benchPanel struct {
	Head                                                   string
	X, Right, Top, Bottom, HeadY, LabelX, LegendX, XLabelY int
	XTicks, YTicks                                         []benchTick
	First, Second                                          string // points of the curves
}

type benchTick struct {
	At, TextAt int
	Text       string
}

// The picture's measures.
const (
	benchWidth  = 960
	benchPanelW = 240
	benchPanelH = 170
	benchTop    = 190
)

// benchPicture draws messages a second and latency over time, and latency by percentile.
func benchPicture(cfg load.Config, r *load.Result) (string, error) {
	text := strings.Split(strings.TrimSpace(benchReport(cfg, r)), "\n")
	d := benchDrawing{
		Width: benchWidth, CardWidth: benchWidth - 1, Title: visible(r.URL), Desc: strings.Join(text[1:], "; "),
	}
	for i, line := range text[1:min(len(text), 6)] {
		d.Lines = append(d.Lines, benchLine{58 + 19*i, line})
	}
	d.Height = benchTop + benchPanelH + 50
	d.CardHeight = d.Height - 1
	var rates, p50, p99 []benchPoint
	for _, s := range r.Samples {
		rates = append(rates, benchPoint{s.At.Seconds(), s.Rate()})
		if s.P99 > 0 {
			p50, p99 = append(p50, benchPoint{s.At.Seconds(), float64(s.P50)}), append(p99, benchPoint{s.At.Seconds(), float64(s.P99)})
		}
	}
	seconds := benchAxis{0, max(r.Duration.Seconds(), 1e-3), false, func(v float64) string { return fmt.Sprintf("%.3g s", v) }}
	perSecond := benchAxis{0, roundUp(highest(rates)), false, func(v float64) string { return siNumber(v) }}
	d.Panels = append(d.Panels, newBenchPanel(0, "messages a second", seconds, perSecond, rates, nil))
	if len(p99) > 0 {
		d.Panels = append(d.Panels, newBenchPanel(1, "latency", seconds, timeAxis(p50, p99), p50, p99))
	}
	if len(r.Latency.Curve) > 1 {
		var curve []benchPoint
		for _, p := range r.Latency.Curve {
			curve = append(curve, benchPoint{min(nines(p.Percent), maxNines), float64(p.At)})
		}
		percent := benchAxis{0, maxNines, false, func(v float64) string {
			return strings.TrimSuffix(fmt.Sprintf("%.5g", 100-100*math.Pow(10, -v)), ".0")
		}}
		d.Panels = append(d.Panels, newBenchPanel(2, "latency by percentile", percent, timeAxis(curve, nil), curve, nil))
	}
	var b strings.Builder
	err := benchPictureTemplate.Execute(&b, d)
	return b.String(), err
}

// nines is 1 for 90 %, 2 for 99 % ...
func nines(percent float64) float64 { return -math.Log10(max(1-percent/100, 1e-9)) }

const maxNines = 4

type benchPoint struct{ x, y float64 }

func highest(points []benchPoint) (top float64) {
	for _, p := range points {
		top = max(top, p.y)
	}
	return top
}

// roundUp is the next of 1, 2, 5, 10, 20 ...
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*unit {
			return f * unit
		}
	}
	return 10 * unit
}

// A benchAxis maps values to a length.
type benchAxis struct {
	from, to float64
	log      bool
	text     func(v float64) string
}

// timeAxis is logarithmic, over the decades that the curves need.
func timeAxis(a, b []benchPoint) benchAxis {
	low, high := math.Inf(1), 0.0
	for _, points := range [][]benchPoint{a, b} {
		for _, p := range points {
			low, high = min(low, p.y), max(high, p.y)
		}
	}
	from := math.Pow(10, math.Floor(math.Log10(max(low, 1e3))))
	to := math.Pow(10, math.Ceil(math.Log10(max(high, 10*from))))
	return benchAxis{from, to, true, func(v float64) string { return strings.Replace(time.Duration(v).String(), "µ", "u", 1) }}
}

func (a benchAxis) at(v float64) float64 {
	v = min(max(v, a.from), a.to)
	if a.log {
		return math.Log10(v/a.from) / math.Log10(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

func (a benchAxis) ticks() (values []float64) {
	if a.log {
		for v := a.from; v <= a.to*1.001; v *= 10 {
			values = append(values, v)
		}
		return values
	}
	for i := range 5 {
		values = append(values, a.from+(a.to-a.from)*float64(i)/4)
	}
	return values
}

func newBenchPanel(column int, head string, x, y benchAxis, first, second []benchPoint) benchPanel {
	left := 72 + column*(benchPanelW+68)
	p := benchPanel{
		Head: head, X: left, Right: left + benchPanelW, Top: benchTop, Bottom: benchTop + benchPanelH, HeadY: benchTop - 12,
		LabelX: left - 6, LegendX: left + benchPanelW - 34, XLabelY: benchTop + benchPanelH + 18,
	}
	px := func(v float64) int { return left + int(math.Round(x.at(v)*benchPanelW)) }
	py := func(v float64) int { return p.Bottom - int(math.Round(y.at(v)*benchPanelH)) }
	for _, v := range x.ticks() {
		p.XTicks = append(p.XTicks, benchTick{At: px(v), Text: x.text(v)})
	}
	for _, v := range y.ticks() {
		p.YTicks = append(p.YTicks, benchTick{At: py(v), TextAt: py(v) + 4, Text: y.text(v)})
	}
	points := func(of []benchPoint) string {
		var b strings.Builder
		for _, v := range of {
			fmt.Fprintf(&b, "%d,%d ", px(v.x), py(v.y))
		}
		return strings.TrimSpace(b.String())
	}
	p.First, p.Second = points(first), points(second)
	return p
}

// siNumber is 0, 500, 1.5k, 20k, 3M.
func siNumber(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
