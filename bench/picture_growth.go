package main

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"strings"
)

//go:embed picture_growth.svg
var growthPictureText string

var growthPictureTemplate = template.Must(template.New("picture_growth.svg").Parse(growthPictureText))

// growthCharts are the two charts.
var growthCharts = []struct {
	title, unit string
	of          func(*growthPoint) float64
}{
	{"CPU", "µs a message", func(g *growthPoint) float64 { return g.CPU }},
	{"Memory", "bytes an idle WebSocket, heap and stacks (Node: RSS)", func(g *growthPoint) float64 { return g.Heap }},
}

// A growthPicture is two charts of curves.
type growthPicture struct {
	Desc                  string
	Style                 template.CSS
	Width, Height         int
	CardWidth, CardHeight int
	Legend                []legend
	Charts                []chart
	FootLine              int
	Foot                  []label
}

type legend struct {
	X, EndX, TextX, LineY, Y int
	Class, Text              string
}

type chart struct {
	X, HeadY                 int
	Title, Unit              string
	Left, Right, Top, Bottom int
	TickX, AxisX, AxisY      int
	XTicks, YTicks           []place
	Curves                   []curve
}

type place struct {
	X, Y, TextY int
	Text        string
}

type curve struct {
	Server, Class, Hover, Path string
	Points                     []place
}

const (
	chartTop    = 136
	chartHeight = 270
	chartLabels = 44 // of the vertical axis
	chartRight  = 20
	footLetters = 135 // that fit in a line
)

// drawGrowth draws the curves of every server and number of connections.
func (rep *report) drawGrowth() (string, error) {
	if len(rep.Growth) == 0 {
		return "", errors.New("picture: growth was not measured")
	}
	p := growthPicture{Width: pictureWidth, CardWidth: pictureWidth - 1, Style: template.CSS(pictureStyle)}
	x := panelLeft
	entry := func(class, text string, width int) {
		p.Legend = append(p.Legend, legend{x, x + 26, x + 33, 78, 82, class, text})
		x += width
	}
	for _, s := range growthServers {
		if rep.dearest(s, 0) != nil {
			entry(cssClass(s), s, 136)
		}
	}
	for _, c := range growthConns {
		text := fmt.Sprintf("%d connections", c)
		if c == 1 {
			text = "1 connection"
		}
		entry(fmt.Sprintf("spread dash-%d", c), text, 136)
	}
	var words []string
	for _, s := range growthServers {
		if rep.dearest(s, 0) != nil {
			words = append(words, rep.growthWords(s)+".")
		}
	}
	for i, d := range growthCharts {
		p.Charts = append(p.Charts, rep.growthChart(panelLeft+i*panelWidth, d.title, d.unit, d.of))
	}
	p.Desc = strings.Join(words, " ")
	p.FootLine = chartTop + chartHeight + 50
	for i, text := range append(wrap(words[0], footLetters), fmt.Sprintf("%s: %s. Medians; drawn by make bench, the table stands in bench/README.md.", rep.Date, rep.Machine)) {
		p.Foot = append(p.Foot, label{Y: p.FootLine + 21 + i*pictureFooter, Text: text})
	}
	p.Height = p.FootLine + 14 + len(p.Foot)*pictureFooter
	p.CardHeight = p.Height - 1
	var b strings.Builder
	err := growthPictureTemplate.Execute(&b, p)
	return b.String(), err
}

func (rep *report) growthChart(x int, title, unit string, of func(*growthPoint) float64) chart {
	c := chart{
		X: x, HeadY: chartTop - 18, Title: title, Unit: unit,
		Left: x + chartLabels, Right: x + panelWidth - chartRight, Top: chartTop, Bottom: chartTop + chartHeight,
		TickX: x + chartLabels - 8, AxisX: (x + chartLabels + x + panelWidth - chartRight) / 2, AxisY: chartTop + chartHeight + 34,
	}
	least, most := math.Inf(1), 0.0
	for _, g := range rep.Growth {
		if v := of(g); v > 0 {
			least, most = min(least, v), max(most, v)
		}
	}
	across := newLogAxis(1, float64(growthWebSockets[len(growthWebSockets)-1]), float64(c.Left), float64(c.Right))
	up := newLogAxis(least, most, float64(c.Bottom), float64(c.Top))
	for _, d := range across.decades() {
		c.XTicks = append(c.XTicks, place{X: int(across.at(d)), TextY: c.Bottom + 16, Text: thousands(int(d))})
	}
	for _, d := range up.decades() {
		y := int(up.at(d))
		c.YTicks = append(c.YTicks, place{Y: y, TextY: y + 4, Text: short(d)})
	}
	for _, s := range growthServers {
		for _, conns := range growthConns {
			k := curve{Server: cssClass(s), Class: fmt.Sprintf("%s dash-%d", cssClass(s), conns)}
			var told []string
			for _, n := range growthWebSockets {
				g := rep.growthAt(s, conns, n)
				if g == nil || of(g) <= 0 { // less than the system can tell
					continue
				}
				at := place{X: int(across.at(float64(n))), Y: int(math.Round(up.at(of(g))))}
				k.Path += fmt.Sprintf("%c%d %d", "ML"[min(len(k.Points), 1)], at.X, at.Y)
				k.Points = append(k.Points, at)
				told = append(told, fmt.Sprintf("%d: %s", n, number(of(g))))
			}
			if len(k.Points) > 0 {
				k.Hover = fmt.Sprintf("%s, %d connections. %s", s, conns, strings.Join(told, ", "))
				c.Curves = append(c.Curves, k)
			}
		}
	}
	return c
}

func cssClass(server string) string { return strings.ReplaceAll(server, "/", "-") }
