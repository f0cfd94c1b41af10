package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/weftws/weft/bench/peers"
)

// A report is everything a run found. It is what -json writes.
type report struct {
	Date     string    `json:"date"`
	Took     string    `json:"took"`
	Command  string    `json:"command"`
	Machine  string    `json:"machine"`
	Pinning  string    `json:"pinning"`
	Rounds   int       `json:"rounds"`
	Servers  []server  `json:"servers"`
	Skipped  []string  `json:"skipped,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Results  []*result `json:"results"`
	Failures []string  `json:"failures,omitempty"`
}

type server struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	About   string `json:"about"`
}

// A result is one server under one workload.
type result struct {
	Workload string   `json:"workload"`
	Server   string   `json:"server"`
	Unit     string   `json:"unit"`
	Samples  []sample `json:"samples"`
	Median   sample   `json:"median"`           // of each number by itself
	Min      float64  `json:"min"`              // of the values
	Max      float64  `json:"max"`              //
	OfWeft   float64  `json:"ratio_to_weft"`    // to weft-callbacks or -broadcast; 0: not measured
	OfBest   float64  `json:"ratio_to_best"`    // to the best peer; 0: none
	Budget   float64  `json:"budget,omitempty"` // in the unit
	Allocs   float64  `json:"budget_allocs,omitempty"`

	work *workload
	peer *peers.Peer
}

func (rep *report) add(w *workload, p *peers.Peer, x sample) {
	for _, r := range rep.Results {
		if r.work == w && r.peer == p {
			r.Samples = append(r.Samples, x)
			return
		}
	}
	rep.Results = append(rep.Results, &result{Workload: w.Name, Server: p.Name, Unit: w.Kind.unit(), Samples: []sample{x}, work: w, peer: p})
}

// finish computes medians and ratios.
func (rep *report) finish() {
	weft, best, bestGo := map[*workload]float64{}, map[*workload]float64{}, map[*workload]float64{}
	for _, r := range rep.Results {
		r.Median = sample{
			Value: r.median(func(x sample) float64 { return x.Value }), Allocs: r.median(func(x sample) float64 { return x.Allocs }),
			Rate: r.median(func(x sample) float64 { return x.Rate }), Load: r.median(func(x sample) float64 { return x.Load }),
			RSS: r.median(func(x sample) float64 { return x.RSS }),
		}
		r.Min, r.Max = math.Inf(1), math.Inf(-1)
		for _, x := range r.Samples {
			r.Min, r.Max = min(r.Min, x.Value), max(r.Max, x.Value)
		}
		v := r.Median.Value
		if r.peer.Name == "weft-callbacks" || r.peer.Name == "weft-broadcast" {
			weft[r.work] = v
		}
		if r.peer.Weft || r.peer.Floor {
			continue
		}
		lower(best, r.work, v)
		if r.peer.Serve != nil {
			lower(bestGo, r.work, v)
		}
	}
	for _, r := range rep.Results {
		if v := weft[r.work]; v > 0 {
			r.OfWeft = r.Median.Value / v
		}
		if v := best[r.work]; v > 0 {
			r.OfBest = r.Median.Value / v
		}
		r.Budget = r.work.Budget.of(r.peer, bestGo[r.work])
		if r.peer.Weft {
			r.Allocs = r.work.Budget.Allocs
		}
	}
}

func lower(m map[*workload]float64, w *workload, v float64) {
	if old, ok := m[w]; !ok || v < old {
		m[w] = v
	}
}

func (r *result) median(of func(sample) float64) float64 {
	v := make([]float64, len(r.Samples))
	for i, x := range r.Samples {
		v[i] = of(x)
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (rep *report) overBudget() (over []string) {
	for _, r := range rep.Results {
		if r.Budget > 0 && r.Median.Value > r.Budget {
			over = append(over, fmt.Sprintf("%s under %s: %s %s, budget %s", r.Server, r.Workload, number(r.Median.Value), r.Unit, number(r.Budget)))
		}
		if r.Allocs > 0 && r.Median.Allocs > r.Allocs {
			over = append(over, fmt.Sprintf("%s under %s: %.3f allocations, budget %s", r.Server, r.Workload, r.Median.Allocs, number(r.Allocs)))
		}
	}
	return over
}

// markdown is the table, for the terminal and README.md alike.
func (rep *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %s; rounds: %d, taken in %s. To repeat, in `bench/`: `%s`\n\n",
		rep.Date, rep.Machine, rep.Pinning, rep.Rounds, rep.Took, rep.Command)
	for _, s := range rep.Servers {
		fmt.Fprintf(&b, "- %s: %s\n", strings.TrimSpace(s.Name+" "+s.Version), s.About)
	}
	for _, s := range rep.Skipped {
		fmt.Fprintf(&b, "- not measured: %s\n", s)
	}
	for _, s := range rep.Notes {
		fmt.Fprintf(&b, "- %s\n", s)
	}
	var last *workload
	for i := range workloads {
		for _, r := range rep.Results {
			if r.work != &workloads[i] {
				continue
			}
			if r.work != last {
				last = r.work
				header(&b, last)
			}
			r.row(&b)
		}
	}
	return b.String()
}

func header(b *strings.Builder, w *workload) {
	fmt.Fprintf(b, "\n**%s** (`%s`)\n\n", w.title(), w.Name)
	cells := []string{"server", w.Kind.unit(), "min to max", "to weft", "to best peer", "budget"}
	if w.Kind == perIdle {
		cells = append(cells, "RSS")
	} else {
		cells = append(cells, "allocations", "a second", "load us")
	}
	line(b, cells)
	b.WriteString("| ---" + strings.Repeat(" | ---:", len(cells)-1) + " |\n")
}

func (r *result) row(b *strings.Builder) {
	ratio := func(v float64) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", v)
	}
	spread := ""
	if len(r.Samples) > 1 {
		spread = number(r.Min) + " to " + number(r.Max)
	}
	budget := ""
	if r.Budget > 0 {
		budget = number(r.Budget)
		if r.Median.Value > r.Budget {
			budget += " (over)"
		}
	}
	cells := []string{r.Server, number(r.Median.Value), spread, ratio(r.OfWeft), ratio(r.OfBest), budget}
	if r.work.Kind == perIdle {
		cells = append(cells, number(r.Median.RSS))
	} else {
		allocs := ""
		if r.Median.Allocs >= 0 {
			allocs = fmt.Sprintf("%.2f", r.Median.Allocs)
			if r.Allocs > 0 && r.Median.Allocs > r.Allocs {
				allocs += " (over)"
			}
		}
		cells = append(cells, allocs, fmt.Sprintf("%.0f", r.Median.Rate), number(r.Median.Load))
	}
	line(b, cells)
}

func line(b *strings.Builder, cells []string) {
	widths := []int{17, 10, 16, 7, 12, 12, 11, 9, 7}
	for i, c := range cells {
		format := "| %*s "
		w := widths[i]
		if i == 0 {
			w = -w
		}
		fmt.Fprintf(b, format, w, c)
	}
	b.WriteString("|\n")
}

// number shows three digits or so.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// spliceFile replaces what stands between the marks in file.
func spliceFile(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := splice(string(b), text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(s), 0o644)
}

func splice(doc, text string) (string, error) {
	head, rest, ok := strings.Cut(doc, beginMark)
	if !ok {
		return "", errors.New("no begin mark")
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", errors.New("no end mark")
	}
	return head + beginMark + text + endMark + tail, nil
}
