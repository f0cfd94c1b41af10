package main

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

func TestRatiosAndBudgets(t *testing.T) {
	peer := func(p peers.Peer) *peers.Peer { return &p }
	weft := peer(peers.Peer{Name: "weft-callbacks", Weft: true})
	library := peer(peers.Peer{Name: "library", Serve: peers.Named("gws").Serve})
	program := peer(peers.Peer{Name: "program", Command: []string{"program"}})
	floor := peer(peers.Peer{Name: "floor", Floor: true, Serve: library.Serve})
	fixed := &workload{Name: "fixed", Budget: budget{Callbacks: 1.5, Allocs: 1}}
	relative := &workload{Name: "relative", Budget: budget{TimesBest: 0.5}}

	rep := &report{}
	for _, w := range []*workload{fixed, relative} {
		for _, v := range []float64{1, 9, 2} { // median 2
			rep.add(w, weft, sample{Value: v, Allocs: v})
		}
		rep.add(w, library, sample{Value: 8})
		rep.add(w, program, sample{Value: 4})
		rep.add(w, floor, sample{Value: 1})
	}
	rep.finish()
	want := []struct{ value, ofWeft, ofBest, budget float64 }{
		{2, 1, 0.5, 1.5}, {8, 4, 2, 0}, {4, 2, 1, 0}, {1, 0.5, 0.25, 0},
		{2, 1, 0.5, 4}, {8, 4, 2, 0}, {4, 2, 1, 0}, {1, 0.5, 0.25, 0},
	}
	for i, r := range rep.Results {
		if w := want[i]; r.Median.Value != w.value || r.OfWeft != w.ofWeft || r.OfBest != w.ofBest || r.Budget != w.budget {
			t.Errorf("%s under %s: %v, ratios %v and %v, budget %v, want %v",
				r.Server, r.Workload, r.Median.Value, r.OfWeft, r.OfBest, r.Budget, w)
		}
	}
	if r := rep.Results[0]; r.Min != 1 || r.Max != 9 || r.Median.Allocs != 2 {
		t.Errorf("min %v, max %v, allocs %v", r.Min, r.Max, r.Median.Allocs)
	}
	over := rep.overBudget()
	if len(over) != 2 || !strings.Contains(over[0], "weft-callbacks under fixed: 2.00 us") || !strings.Contains(over[1], "2.000 allocations") {
		t.Errorf("over budget: %q", over)
	}
}

func TestSplice(t *testing.T) {
	doc := "before\n" + beginMark + "old\n" + endMark + "after\n"
	got, err := splice(doc, "new\n")
	if want := "before\n" + beginMark + "new\n" + endMark + "after\n"; err != nil || got != want {
		t.Errorf("%q, error %v, want %q", got, err, want)
	}
	for _, broken := range []string{"none", beginMark, endMark + beginMark} {
		if _, err := splice(broken, "new\n"); err == nil {
			t.Errorf("%q was accepted", broken)
		}
	}
}

// The percentiles are the histogram's, in microseconds, and the CPU time stays.
func TestLatencies(t *testing.T) {
	h := load.NewLatencies()
	for i := range int64(10_000) {
		h.RecordValue((i + 1) * 1000)
	}
	x := sample{Value: 7}
	x.latencies(h)
	for _, v := range []struct{ got, want float64 }{{x.CPU, 7}, {x.Value, 5000}, {x.P99, 9900}, {x.P999, 9990}, {x.Max, 10_000}} {
		if v.got < v.want*0.998 || v.got > v.want*1.002 {
			t.Errorf("%v, want %v", v.got, v.want)
		}
	}
}

func TestParseCores(t *testing.T) {
	got, err := parseCores("0-2,5,7-8")
	if want := []int{0, 1, 2, 5, 7, 8}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, error %v, want %v", got, err, want)
	}
	if _, err := parseCores("0-x"); err == nil {
		t.Error("0-x was accepted")
	}
}

// Every server answers some workload, and its name is its own.
func TestWorkloads(t *testing.T) {
	asked := map[*peers.Peer]int{}
	for i := range workloads {
		for _, p := range peers.All {
			if workloads[i].asks(p) {
				asked[p]++
			}
		}
	}
	for _, p := range peers.All {
		if asked[p] == 0 {
			t.Errorf("%s is never measured", p.Name)
		}
		if peers.Named(p.Name) != p {
			t.Errorf("%s is there twice", p.Name)
		}
	}
}

func TestObey(t *testing.T) {
	in, commands := io.Pipe()
	answers, out := io.Pipe()
	go func() {
		obey(in, out, nil)
		out.Close()
	}()
	sc := bufio.NewScanner(answers)
	ask := func(cmd string) (s stats) {
		t.Helper()
		io.WriteString(commands, cmd+"\n")
		sc.Scan()
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			t.Fatalf("%q: %v", sc.Text(), err)
		}
		return s
	}
	first := ask("stats")
	sink = make([]byte, 8<<20)
	second := ask("stats")
	if first.CPU <= 0 || second.CPU < first.CPU || second.Mallocs <= first.Mallocs || second.Heap < first.Heap+(7<<20) {
		t.Errorf("first %+v, with 8 MiB more %+v", first, second)
	}
	sink = nil
	ask("gc")
	if third := ask("stats"); third.Heap > second.Heap-(7<<20) {
		t.Errorf("with 8 MiB %+v, without %+v", second, third)
	}
	if s := ask("dance"); !strings.Contains(s.Error, `"dance"`) {
		t.Errorf("unknown command: %+v", s)
	}
	commands.Close()
	if sc.Scan() {
		t.Errorf("after the end: %q", sc.Text())
	}
}

var sink []byte
