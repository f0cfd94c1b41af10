package main

import (
	"fmt"
	"math"
	"strings"
)

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
	b.WriteString(rep.growthMarkdown())
	if rep.Crowd != nil {
		b.WriteString(rep.Crowd.markdown())
	}
	return b.String()
}

func header(b *strings.Builder, w *workload) {
	fmt.Fprintf(b, "\n**%s** (`%s`)\n\n", w.title(), w.Name)
	cells := []string{"server", w.Kind.unit(), "min to max", "to weft", "to best peer"}
	switch w.Kind {
	case perIdle, perClient:
		cells = append(cells, "budget", "RSS")
	case perLatency:
		cells = append(cells, "p99 us", "p99.9 us", "max us", "CPU us", "load us")
	default:
		cells = append(cells, "budget", "allocations", "a second", "load us")
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
	cells := []string{r.Server, number(r.Median.Value), spread, ratio(r.OfWeft), ratio(r.OfBest)}
	switch r.work.Kind {
	case perIdle, perClient:
		cells = append(cells, budget, number(r.Median.RSS))
	case perLatency:
		cells = append(cells, number(r.Median.P99), number(r.Median.P999), number(r.Median.Max), number(r.Median.CPU), number(r.Median.Load))
	default:
		allocs := ""
		if r.Median.Allocs >= 0 {
			allocs = fmt.Sprintf("%.2f", r.Median.Allocs)
			if r.Allocs > 0 && r.Median.Allocs > r.Allocs {
				allocs += " (over)"
			}
		}
		cells = append(cells, budget, allocs, fmt.Sprintf("%.0f", r.Median.Rate), number(r.Median.Load))
	}
	line(b, cells)
}

func line(b *strings.Builder, cells []string) {
	widths := []int{20, 10, 16, 7, 12, 12, 11, 9, 7, 7}
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
