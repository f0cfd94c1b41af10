package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/weftws/weft/bench/peers"
)

// A report is everything a run found. It is what -json writes.
type report struct {
	Date    string    `json:"date"`
	Took    string    `json:"took"`
	Command string    `json:"command"`
	Machine string    `json:"machine"`
	Pinning string    `json:"pinning"`
	Rounds  int       `json:"rounds"`
	Servers []server  `json:"servers"`
	Skipped []string  `json:"skipped,omitempty"`
	Notes   []string  `json:"notes,omitempty"`
	Results []*result `json:"results"`

	Spent map[string]time.Duration `json:"spent_ns"` // on each task, all rounds

	Growth []*growthPoint `json:"growth,omitempty"`
	Crowd  *crowd         `json:"crowd,omitempty"`

	Failures []string `json:"failures,omitempty"`
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
	OfWeft   float64  `json:"ratio_to_weft"`    // to the first of weft's; 0: not measured
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
			RSS: r.median(func(x sample) float64 { return x.RSS }), CPU: r.median(func(x sample) float64 { return x.CPU }),
			P99: r.median(func(x sample) float64 { return x.P99 }), P999: r.median(func(x sample) float64 { return x.P999 }),
			Max: r.median(func(x sample) float64 { return x.Max }),
		}
		r.Min, r.Max = math.Inf(1), math.Inf(-1)
		for _, x := range r.Samples {
			r.Min, r.Max = min(r.Min, x.Value), max(r.Max, x.Value)
		}
		v := r.Median.Value
		if _, ok := weft[r.work]; !ok && r.peer.Weft { // the first is the subject
			weft[r.work] = v
		}
		if r.peer.Weft || r.peer.Floor {
			continue
		}
		lower(best, r.work, v)
		if r.peer.Command == nil {
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
	rep.finishGrowth()
}

// loadReport reads what -json wrote.
func loadReport(file string) (*report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	rep := new(report)
	if err := json.Unmarshal(b, rep); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, r := range rep.Results {
		if r.peer, r.work = peers.Named(r.Server), workloadNamed(r.Workload); r.peer == nil || r.work == nil {
			return nil, fmt.Errorf("%s: this program knows no %s under %s", file, r.Server, r.Workload)
		}
	}
	return rep, nil
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
	return median(v)
}

// median of no values is 0.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
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
