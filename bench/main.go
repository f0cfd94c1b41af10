// Command bench sets weft's server beside others: CPU time, allocations and memory of the server process, under the same
// load, in one run. README.md says what is measured and how, and holds the last table.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/weftws/weft/bench/peers"
)

func main() {
	var err error
	switch arg := append(os.Args, "")[1]; arg {
	case "serve":
		err = serve(os.Args[2:])
	case "hold":
		err = hold(os.Args[2:])
	default:
		err = bench(os.Args[1:])
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	quick   bool
	rounds  int
	measure time.Duration
	servers *regexp.Regexp
	loads   *regexp.Regexp
	growth  bool
	idle    int
	json    string
	from    string
	docs    string
	cpu     string
	mem     string
	check   bool
}

func parseOptions(args []string) (o options, err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&o.quick, "quick", false, "one round of the main workloads, about a minute")
	fs.IntVar(&o.rounds, "rounds", 5, "interleaved rounds; the median counts")
	fs.DurationVar(&o.measure, "time", 250*time.Millisecond, "time of one measurement; broadcasts and latency take 3 times as much")
	servers := fs.String("servers", "", "only servers that match this `regexp`")
	loads := fs.String("loads", "", "only workloads that match this `regexp`")
	fs.StringVar(&o.json, "json", "", "write all samples to this `file` (- for standard output, instead of the table)")
	fs.BoolVar(&o.growth, "growth", false, "also measure 1 to 10,000 WebSockets over 1 to 100 connections (alone, without -loads: only that)")
	fs.IntVar(&o.idle, "idle", 0, "also hold this `number` of idle WebSockets in one server (alone, without -loads: only that)")
	fs.StringVar(&o.from, "from", "", "measure nothing and take the samples from this `file`, which -json wrote")
	fs.StringVar(&o.docs, "docs", "", "write the tables and pictures into the documents of the module in this `directory`")
	fs.StringVar(&o.cpu, "cpuprofile", "", "write CPU profiles of the servers into this `directory`")
	fs.StringVar(&o.mem, "memprofile", "", "write heap profiles of the servers, and of the clients that are measured, into this `directory`")
	fs.BoolVar(&o.check, "check", false, "fail if weft is over a budget")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.quick {
		o.rounds, o.measure = 1, 250*time.Millisecond
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds must be at least 1")
	}
	if o.servers, err = regexp.Compile(*servers); err != nil {
		return o, err
	}
	if *loads == "" && o.docs == "" && (o.growth || o.idle > 0) {
		*loads = nothing
	}
	if o.idle < 0 {
		return o, errors.New("-idle must not be negative")
	}
	o.loads, err = regexp.Compile(*loads)
	return o, err
}

// nothing matches no workload's name.
const nothing = "^$"

func bench(args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.from != "" {
		rep, err := loadReport(o.from)
		if err != nil {
			return err
		}
		return rep.deliver(o)
	}
	name, value, _ := strings.Cut(quietQUIC, "=")
	os.Setenv(name, value)
	dir, err := os.MkdirTemp("", "weft-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := newLab(dir)
	if err != nil {
		return err
	}
	for _, dir := range []string{o.cpu, o.mem} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	l.warm, l.measure, l.cpuProfile, l.memProfile = o.measure/4, o.measure, o.cpu, o.mem
	rep := &report{Date: time.Now().UTC().Format("2006-01-02"), Command: strings.Join(append([]string{"go run ."}, args...), " "), Rounds: o.rounds}
	l.core, rep.Pinning = pin()
	rep.Machine = machine()
	if v := loadAverage(); v >= busyMachine {
		l.notes = append(l.notes, fmt.Sprintf("the machine was busy with other things when this began (load average %.1f): times by the clock are too long", v))
	}
	present := findPeers(o, rep)
	began := time.Now()
	if err := rep.run(rep.plan(l, o, present)); err != nil {
		return err
	}
	slices.Sort(l.notes)
	rep.Notes = slices.Compact(l.notes)
	rep.Took = time.Since(began).Round(time.Second).String()
	return rep.deliver(o)
}

// findPeers returns the servers that were asked for and are here, and notes the others.
func findPeers(o options, rep *report) (present []*peers.Peer) {
	for _, p := range peers.All {
		if !o.servers.MatchString(p.Name) {
			continue
		}
		version := p.Version()
		if p.Command != nil {
			out, err := exec.Command(p.Command[0], "--version").Output()
			if err != nil {
				rep.Skipped = append(rep.Skipped, fmt.Sprintf("%s: %v", p.Name, err))
				continue
			}
			version = strings.TrimSpace(string(out))
		}
		rep.Servers = append(rep.Servers, server{p.Name, version, p.About})
		present = append(present, p)
	}
	return present
}

// deliver writes the report where it was asked for.
func (rep *report) deliver(o options) error {
	rep.finish()
	text := rep.markdown()
	if o.json != "" {
		b, err := json.MarshalIndent(rep, "", "\t")
		if err != nil {
			return err
		}
		b = append(b, '\n')
		if o.json == "-" {
			_, err = os.Stdout.Write(b)
			text = ""
		} else {
			err = os.WriteFile(o.json, b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	fmt.Print(text)
	if len(rep.Failures) > 0 {
		return fmt.Errorf("%d measurements failed:\n\t%s", len(rep.Failures), strings.Join(rep.Failures, "\n\t"))
	}
	if o.docs != "" {
		if err := rep.document(o.docs, text); err != nil {
			return err
		}
	}
	if over := rep.overBudget(); o.check && len(over) > 0 {
		return fmt.Errorf("over budget:\n\t%s", strings.Join(over, "\n\t"))
	}
	return nil
}

// machine describes where the run took place, without naming it.
func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}

// loadAverage is that of the last minute, or 0 where there is none.
func loadAverage() (v float64) {
	b, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		fmt.Sscan(string(b), &v)
	}
	return v
}

// busyMachine is more than what building this program leaves behind.
const busyMachine = 2
