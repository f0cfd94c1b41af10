package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func (p progress) line(r *run) string {
	var messages, bytes, dialed int64
	for _, c := range r.clients {
		messages, bytes, dialed = messages+c.messages.Load(), bytes+c.bytes.Load(), dialed+c.dialed.Load()
	}
	seconds := p.at.Sub(r.begun).Seconds()
	return fmt.Sprintf("%6.0f s  open %d  dialed %d  echoed %d (%.0f/s, %.1f MB/s)  cores %.2f (limit %.1f)  late %d  faults %d",
		seconds, r.openNow(), dialed, messages, float64(messages)/seconds, float64(bytes)/seconds/1e6, p.cpu.Seconds()/seconds, r.cores, r.late.Load(), r.faults.count())
}

func (r *run) dialedAll() (n int64) {
	for _, c := range r.clients {
		n += c.dialed.Load()
	}
	return n
}

func (s sample) line() string {
	return fmt.Sprintf("%6.0f s  sample: open %d  client heap %s, %d goroutines  server heap %s, %d goroutines",
		s.at.Seconds(), s.open, mib(s.client.Heap), s.client.Goroutines, mib(s.server.Heap), s.server.Goroutines)
}

func mib(n uint64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }

// table prints what was done, and what was measured.
func (r *run) table(base account) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintln(w, "\n\tdialed\tcancelled\techoed\tMB\tbroadcasts\tgaps\trequests\tpings\taborted\tretries\tslow\tinterrupts\t")
	slices.SortFunc(r.clients, func(a, b *client) int { return cmp.Compare(a.name, b.name) })
	for _, c := range r.clients {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", c.name, c.dialed.Load(), c.cancelled.Load(), c.messages.Load(),
			float64(c.bytes.Load())/1e6, c.feeds.Load(), c.gaps.Load(), c.requests.Load(), c.pings.Load(), c.aborts.Load(),
			c.reconnects.Load(), c.unread.Load(), c.interrupts.Load())
	}
	fmt.Fprintln(w, "\n\topen\tclient heap\tgoroutines\tfiles\tserver heap\tgoroutines\tfiles\t")
	end := r.samples[len(r.samples)-1]
	fmt.Fprintf(w, "start\t0\t%s\t%d\t%d\t%s\t%d\t\t\n", mib(base.Heap), base.Goroutines, base.Files, mib(end.server.HeapFirst), end.server.AtFirst)
	for i, s := range r.samples {
		name := fmt.Sprintf("%.0f s", s.at.Seconds())
		if i == len(r.samples)-1 {
			name = "end"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%s\t%d\t%d\t\n", name, s.open, mib(s.client.Heap), s.client.Goroutines, s.client.Files,
			mib(s.server.Heap), s.server.Goroutines, s.server.Files)
	}
}

// verdict judges the samples after the warm-up, which is the first fifth.
func (r *run) verdict() error {
	steady := r.samples[:len(r.samples)-1]
	steady = steady[(len(steady)+4)/5:]
	if len(steady) < 3 {
		r.faults.add("verdict", errors.New("fewer than 3 samples after the warm-up: a longer -time or a shorter -sample is needed"))
		return r.result()
	}
	for _, what := range []struct {
		name  string
		of    func(sample) float64
		slack float64 // beside a tenth
	}{
		{"client heap, bytes", func(s sample) float64 { return float64(s.client.Heap) }, 1 << 20},
		{"server heap, bytes", func(s sample) float64 { return float64(s.server.Heap) }, 1 << 20},
		{"client goroutines", func(s sample) float64 { return float64(s.client.Goroutines) }, 10},
		{"server goroutines", func(s sample) float64 { return float64(s.server.Goroutines) }, 10},
		{"client files", func(s sample) float64 { return float64(s.client.Files) }, 10},
		{"server files", func(s sample) float64 { return float64(s.server.Files) }, 10},
	} {
		growth, mean := fit(steady, what.of)
		bound := mean/10 + what.slack
		fmt.Printf("%s: grew by %.0f from %.0f s to %.0f s, mean %.0f, allowed %.0f\n", what.name, growth,
			steady[0].at.Seconds(), steady[len(steady)-1].at.Seconds(), mean, bound)
		if growth > bound {
			r.faults.add("verdict", fmt.Errorf("%s grew by %.0f, more than %.0f", what.name, growth, bound))
		}
	}
	return r.result()
}

func (r *run) result() error {
	if late := r.late.Load(); late > 0 {
		fmt.Printf("%d were late on a machine whose processors others wanted (%d of 1000 may be), at last: %s\n", late, maxLate, *r.last.Load())
		if late*1000 > r.dialedAll()*maxLate {
			r.faults.add("verdict", fmt.Errorf("%d of %d WebSockets were late", late, r.dialedAll()))
		}
	}
	if n := r.faults.count(); n > 0 {
		for _, f := range r.faults.list() {
			fmt.Println(f)
		}
		return fmt.Errorf("%d faults", n)
	}
	fmt.Printf("ok after %v\n", time.Since(r.begun).Round(time.Second))
	return nil
}

// fit lays a line through the samples by least squares, and returns how much it rises from the first to the last, and their mean.
func fit(samples []sample, of func(sample) float64) (growth, mean float64) {
	if len(samples) < 2 {
		return 0, 0
	}
	var at, over, under float64
	for _, s := range samples {
		at += s.at.Seconds() / float64(len(samples))
		mean += of(s) / float64(len(samples))
	}
	for _, s := range samples {
		d := s.at.Seconds() - at
		over += d * (of(s) - mean)
		under += d * d
	}
	return over / under * (samples[len(samples)-1].at - samples[0].at).Seconds(), mean
}
