package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"
)

//go:embed picture.css
var pictureStyle string

//go:embed picture.svg
var pictureText string

var pictureTemplate = template.Must(template.New("picture.svg").Parse(pictureText))

// pictureGroups are the rows of every panel: who stands beside whom.
var pictureGroups = []struct {
	name    string
	servers []pictureServer
}{
	{"HTTP/2", []pictureServer{{"weft-callbacks", "weft"}, {"weft-blocking", "weft, goroutine"}, {"net/http", "net/http"}, {"x/net", "x/net"}, {"node", "Node"}}},
	{"HTTP/1.1", []pictureServer{{"weft-callbacks", "weft"}, {"weft-blocking", "weft, goroutine"}, {"gws", "gws"}, {"gorilla", "gorilla"}, {"coder", "coder"}, {"gobwas", "gobwas"}}},
}

type pictureServer struct{ name, label string }

// picturePanels are what is drawn of them, and from which workload of each group.
var picturePanels = []struct {
	title, unit, about string
	workloads          [2]string
	of                 func(sample) float64 // nil: latency
	show               func(float64) string
}{
	{"CPU", "µs a message", "one message in flight on each WebSocket; shorter is better", [2]string{"h2-1x100-1", "h1-tls-100-1"},
		func(x sample) float64 { return x.Value }, number},
	{"Throughput", "messages a second", "16 messages in flight on each WebSocket; longer is better", [2]string{"h2-1x100-16", "h1-tls-100-16"},
		func(x sample) float64 { return x.Rate }, short},
	{"Memory", "bytes an idle WebSocket", "heap and stacks of 1,000; HTTP/2: 100 on a connection; shorter is better", [2]string{"h2-idle", "h1-tls-idle"},
		func(x sample) float64 { return x.Value }, short},
	{"Latency", "µs, logarithmic", fmt.Sprintf("p50, p99, p99.9 at %s messages a second in all; further left is better", thousands(latencyRate)),
		[2]string{"h2-latency-rate", "h1-tls-latency-rate"}, nil, number},
}

// A picture is four panels of bars, in its units.
type picture struct {
	Desc                  string
	Style                 template.CSS
	Width, Height         int
	CardWidth, CardHeight int
	Panels                []panel
	FootLine              int
	Foot                  []label
}

type panel struct {
	X, HeadY, AboutY   int
	Title, Unit, About string
	Top, Bottom        int
	Ticks              []tick
	Groups             []label
	Rows               []row
}

type label struct {
	X, Y int
	Text string
}

type tick struct {
	X, TextY int
	Text     string
}

// A row is a server in a panel.
type row struct {
	Name, Value, Hover        string
	Ours, Spread              bool
	NameX, X, ValueX          int
	Y, Height, MiddleY, TextY int
	Bar                       int
	LowX, HighX               int
	Dots                      []int
}

// The picture's measures.
const (
	pictureWidth  = 960
	panelWidth    = 456
	panelLeft     = 24
	panelTop      = 92
	panelNames    = 124 // where bars begin
	panelBars     = 232 // the longest; values stand to its right
	panelAxis     = 164 // of latencies, whose values are longer
	panelRow      = 19
	panelBar      = 13
	panelGroup    = 20
	panelGap      = 36
	pictureFooter = 20
)

// drawPicture draws README's picture. It wants every workload of the panels.
func (rep *report) drawPicture() (string, error) {
	p := picture{Width: pictureWidth, CardWidth: pictureWidth - 1, Style: template.CSS(pictureStyle)}
	y := panelTop
	var desc []string
	for i, d := range picturePanels {
		a := panel{X: panelLeft + i%2*panelWidth, HeadY: y, AboutY: y + 17, Title: d.title, Unit: d.unit, About: d.about, Top: y + 28}
		results, err := rep.panelResults(d.workloads)
		if err != nil {
			return "", err
		}
		told := a.rows(results, d.of, d.show)
		desc = append(desc, fmt.Sprintf("%s, %s: %s.", d.title, d.unit, strings.Join(told, "; ")))
		p.Panels = append(p.Panels, a)
		if i%2 == 1 {
			y = a.Bottom + panelGap
			if d.of == nil {
				y += 16 // the axis
			}
		}
	}
	p.Desc = strings.Join(desc, " ")
	p.FootLine = y - panelGap + 14
	for i, text := range rep.pictureFoot() {
		p.Foot = append(p.Foot, label{Y: p.FootLine + 21 + i*pictureFooter, Text: text})
	}
	p.Height = p.FootLine + 14 + len(p.Foot)*pictureFooter
	p.CardHeight = p.Height - 1
	var b strings.Builder
	err := pictureTemplate.Execute(&b, p)
	return b.String(), err
}

// panelResults are the results of the groups' servers, a slice for each group.
func (rep *report) panelResults(workloads [2]string) (groups [][]*result, err error) {
	for i, g := range pictureGroups {
		var found []*result
		for _, s := range g.servers {
			if r := rep.result(workloads[i], s.name); r != nil {
				found = append(found, r)
			}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("picture: %s was not measured", workloads[i])
		}
		groups = append(groups, found)
	}
	return groups, nil
}

// result is server's under a workload, or nil.
func (rep *report) result(workload, server string) *result {
	for _, r := range rep.Results {
		if r.Workload == workload && r.Server == server {
			return r
		}
	}
	return nil
}

// rows draws the results and returns what they say in words.
func (a *panel) rows(groups [][]*result, of func(sample) float64, show func(float64) string) (told []string) {
	from := a.X + panelNames
	var scale func(float64) int
	if of == nil {
		scale = a.latencyAxis(groups, from)
	} else {
		longest := 0.0
		for _, g := range groups {
			for _, r := range g {
				longest = max(longest, r.extremes(of)[1])
			}
		}
		scale = func(v float64) int { return from + int(math.Round(v/longest*panelBars)) }
		a.Ticks = []tick{{X: from}}
	}
	y := a.Top
	for i, g := range groups {
		a.Groups = append(a.Groups, label{a.X, y + 13, pictureGroups[i].name})
		y += panelGroup
		for _, r := range g {
			w := row{
				Name: pictureLabel(i, r.Server), Ours: r.peer.Weft, NameX: from - 8, X: from,
				Y: y + (panelRow-panelBar)/2, Height: panelBar, MiddleY: y + panelRow/2, TextY: y + 14,
			}
			if of == nil {
				w.latency(r.Median, scale)
			} else {
				w.bar(r, of, show, scale)
			}
			w.Hover = pictureGroups[i].name + ", " + r.Server + ": " + w.Value
			told = append(told, w.Hover)
			a.Rows = append(a.Rows, w)
			y += panelRow
		}
		y += 4
	}
	a.Bottom = y
	for i := range a.Ticks {
		a.Ticks[i].TextY = y + 14
	}
	return told
}

func pictureLabel(group int, server string) string {
	for _, s := range pictureGroups[group].servers {
		if s.name == server {
			return s.label
		}
	}
	return server
}

func (w *row) bar(r *result, of func(sample) float64, show func(float64) string, scale func(float64) int) {
	v, ends := of(r.Median), r.extremes(of)
	w.Bar = scale(v) - w.X
	w.LowX, w.HighX, w.Spread = scale(ends[0]), scale(ends[1]), len(r.Samples) > 1
	w.Value, w.ValueX = show(v), max(scale(v), w.HighX)+6
}

func (w *row) latency(x sample, scale func(float64) int) {
	w.Dots = []int{scale(x.Value), scale(x.P99), scale(x.P999)}
	w.LowX, w.HighX = w.Dots[0], w.Dots[2]
	w.Value = fmt.Sprintf("%s, %s, %s", short(x.Value), short(x.P99), short(x.P999))
	w.ValueX = w.X + panelAxis + 14
}

// latencyAxis is logarithmic, over whole decades.
func (a *panel) latencyAxis(groups [][]*result, from int) func(float64) int {
	least, most := math.Inf(1), 0.0
	for _, g := range groups {
		for _, r := range g {
			least, most = min(least, r.Median.Value), max(most, r.Median.P999)
		}
	}
	x := newLogAxis(least, most, float64(from), float64(from+panelAxis))
	for _, d := range x.decades() {
		a.Ticks = append(a.Ticks, tick{X: int(x.at(d)), Text: short(d)})
	}
	return func(v float64) int { return int(math.Round(x.at(v))) }
}

// extremes are the lowest and highest of the samples.
func (r *result) extremes(of func(sample) float64) [2]float64 {
	least, most := math.Inf(1), math.Inf(-1)
	for _, x := range r.Samples {
		least, most = min(least, of(x)), max(most, of(x))
	}
	return [2]float64{least, most}
}

// pictureFoot says what was measured, how, when and where.
func (rep *report) pictureFoot() []string {
	var versions []string
	for _, g := range pictureGroups {
		for _, s := range g.servers {
			for _, v := range rep.Servers {
				if v.Name == s.name && v.Version != "" {
					versions = append(versions, s.label+" "+v.Version)
				}
			}
		}
	}
	return []string{
		fmt.Sprintf("Medians of rounds (%d); thin lines: lowest and highest. “weft, goroutine”: Read instead of callbacks; net/http, x/net, Node: frames by hand.", rep.Rounds),
		strings.Join(versions, ", "),
		fmt.Sprintf("%s: %s. Drawn by make bench; the tables stand in bench/README.md.", rep.Date, rep.Machine),
	}
}

// short shows three digits or so, and thousands as k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", v/1e6), ".00") + " M"
	case v >= 100e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 1e3:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v/1e3), ".0") + " k"
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// wrap breaks text into lines of at most n characters, where it has words that short.
func wrap(text string, n int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > n {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// A logAxis maps values to places, whole decades at its ends.
type logAxis struct{ least, most, from, to float64 } // the first two are exponents of 10

func newLogAxis(least, most, from, to float64) logAxis {
	x := logAxis{math.Floor(math.Log10(least)), math.Ceil(math.Log10(most)), from, to}
	if x.most <= x.least {
		x.most = x.least + 1
	}
	return x
}

func (x logAxis) at(v float64) float64 {
	return x.from + (math.Log10(v)-x.least)/(x.most-x.least)*(x.to-x.from)
}

func (x logAxis) decades() (values []float64) {
	for e := x.least; e <= x.most; e++ {
		values = append(values, math.Pow(10, e))
	}
	return values
}
