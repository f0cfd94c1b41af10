package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/weftws/weft/bench/peers"
)

// A task is one measurement of a run.
type task struct {
	name string // the same in every round
	run  func() error
}

// plan is what a run measures, by rounds: the servers of a workload one after the other, the rounds around everything.
func (rep *report) plan(l *lab, o options, present []*peers.Peer) (rounds [][]task) {
	for round := range o.rounds {
		var tasks []task
		for i := range workloads {
			w := &workloads[i]
			if !o.loads.MatchString(w.Name) || o.quick && !w.Quick {
				continue
			}
			for _, p := range present {
				if !w.asks(p) || !p.Weft && w.PeerRounds > 0 && round >= w.PeerRounds {
					continue
				}
				tasks = append(tasks, task{w.Name + ", " + p.Name, func() error {
					x, err := l.take(w, p)
					if err == nil {
						rep.add(w, p, x)
					}
					return err
				}})
			}
		}
		if o.growth {
			tasks = append(tasks, rep.growthTasks(l, present, round)...)
		}
		if o.idle > 0 && round == 0 {
			tasks = append(tasks, task{fmt.Sprintf("%d idle", o.idle), func() (err error) {
				rep.Crowd, err = l.crowd(o.idle)
				return err
			}})
		}
		rounds = append(rounds, tasks)
	}
	return rounds
}

// run carries the plan out. A failure spoils its cell and the whole run, but the rest is still measured.
func (rep *report) run(rounds [][]task) error {
	p := newProgress(rounds)
	for i, tasks := range rounds {
		for _, t := range tasks {
			p.begin(i, t.name)
			if err := t.run(); err != nil {
				rep.Failures = append(rep.Failures, fmt.Sprintf("%s: %v", t.name, err))
			}
			p.end(t.name)
		}
	}
	p.clear()
	rep.Spent = p.sums
	if p.done == 0 {
		return errors.New("no server and workload match")
	}
	return nil
}

// A progress tells standard error how far a run is: a changing line on a terminal, else one every ten seconds.
type progress struct {
	terminal bool
	rounds   int
	left     map[string]int           // how often a task is still to come
	took     map[string]time.Duration // how long it took the last time
	sums     map[string]time.Duration // and every time
	done     int
	spent    time.Duration
	began    time.Time // of the task
	shown    time.Time
}

func newProgress(rounds [][]task) *progress {
	p := &progress{rounds: len(rounds), left: map[string]int{}, took: map[string]time.Duration{}, sums: map[string]time.Duration{}}
	for _, tasks := range rounds {
		for _, t := range tasks {
			p.left[t.name]++
		}
	}
	st, err := os.Stderr.Stat()
	p.terminal = err == nil && st.Mode()&os.ModeCharDevice != 0
	return p
}

func (p *progress) begin(round int, name string) {
	p.began = time.Now()
	text := fmt.Sprintf("round %d of %d, %s left: %s", round+1, p.rounds, p.remaining(), name)
	switch {
	case p.terminal:
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
	case p.began.Sub(p.shown) >= 10*time.Second:
		p.shown = p.began
		fmt.Fprintln(os.Stderr, text)
	}
}

func (p *progress) end(name string) {
	took := time.Since(p.began)
	p.done++
	p.spent += took
	p.left[name]--
	p.took[name] = took
	p.sums[name] += took
}

// remaining is what is left, where every task takes as long as the last time, and a new one as long as all did on average.
func (p *progress) remaining() string {
	if p.done == 0 {
		return "not known how much"
	}
	var sum time.Duration
	for name, n := range p.left {
		took, ok := p.took[name]
		if !ok {
			took = p.spent / time.Duration(p.done)
		}
		sum += took * time.Duration(n)
	}
	return sum.Round(time.Second).String()
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
