package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftws/weft/lab"
	"github.com/weftws/weft/negotiate"
)

func newLabCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Measure what the library claims",
		Long:  "lab measures, on this machine alone, what the documentation claims.",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLabRTTCommand())
	return cmd
}

func newLabRTTCommand() *cobra.Command {
	var l labRTT
	cmd := &cobra.Command{
		Use:   "rtt",
		Short: "Round trips of every rung: computed, and measured over a long way",
		Long: `rtt counts the round trips until a WebSocket is open, from the first packet of TCP or QUIC, for every rung: with servers that know it
and servers that do not, on fresh connections and on live ones.

Each is computed, by the machines that decide and speak HTTP/2, on a clock of their own; and measured, with real TCP, QUIC and TLS 1.3 on
the loopback interface, through a relay that delays what it passes on. Servers are this module's, with everything on ("new") and with
everything newer than HTTP/2 off ("old"), and the others that are installed:

  ` + strings.Join(labPeerNames(), ", ") + `

(-h2ws: WebSockets over HTTP/2 switched on, -noh2ws: off.) They are started on free loopback ports and end with the command.

With --json it prints an array of objects:
  {"rung":"assume","server":"old","connection":"fresh","exact":4,"live":4.07}
The policy of a row is its rung and what that falls back to, with no spare connection; for assume it is the default policy, with one, and
for h3 that after it. For alt-svc, "old" is an endpoint that was named once and is gone. Further rows have more keys: "policy" (what
differs), "dial" ("second", "remembered" or "resumed": what came before), "only" ("HTTP/1.1": the server has no HTTP/2), "network" ("no UDP":
it drops datagrams), "answer" ("425": the server's to early data), "peer" (whose server it is). A row that could not be measured has "error".

h3 races QUIC with TCP, and QUIC has a head start of 50 ms. Where it is in vain, that time is added to the round trips, and "sum" says how:
{"rung":"h3","server":"new","connection":"fresh","exact":3.5,"sum":"3 + 50 ms","network":"no UDP"}

--svg writes a picture of where the round trips go. With --exact-only it is the same each time.

Exit status 0: what was measured is what was computed. 1: a row deviates by more than 10 %, or could not be measured; the line on
standard error names each.`,
		Example: `  weft lab rtt
  weft lab rtt --exact-only
  weft lab rtt --exact-only --svg round-trips.svg
  weft lab rtt --rungs assume,settings --peers nginx,h2o --repeat 5
  weft lab rtt --rtt 250ms --peers none --html rtt.html
  weft lab rtt --json | jq -r '.[] | [.rung, .server, .connection, .exact, .live] | @tsv'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l.stdout, l.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return l.run(commandContext(cmd))
		},
	}
	f := cmd.Flags()
	f.DurationVar(&l.rtt, "rtt", 100*time.Millisecond, "round trip `TIME` that the relay simulates")
	f.StringVar(&l.rungs, "rungs", "", "rungs to measure, as `list` (default all)")
	f.StringVar(&l.peers, "peers", "all", "servers of others to measure with, as `list`: all, none, or names")
	f.IntVar(&l.repeat, "repeat", 1, "measure each row `N` times and take the median")
	f.BoolVar(&l.exactOnly, "exact-only", false, "compute, and measure nothing")
	f.BoolVar(&l.json, "json", false, "print a JSON array")
	f.StringVar(&l.html, "html", "", "write a page with the picture and every row to `FILE`")
	f.StringVar(&l.svg, "svg", "", "write the picture to `FILE`")
	return cmd
}

// labRTT is one run of the command.
type labRTT struct {
	rtt            time.Duration
	rungs, peers   string
	repeat         int
	exactOnly      bool
	json           bool
	html, svg      string
	stdout, stderr io.Writer

	start time.Time
}

func (l *labRTT) run(ctx context.Context) error {
	cases, remarks, err := l.cases()
	if err != nil {
		return err
	}
	var files []labFile
	for _, f := range []labFile{{flag: "--html", name: l.html, write: l.writePage}, {flag: "--svg", name: l.svg, write: l.writePicture}} {
		if f.name == "" {
			continue
		}
		if f.file, err = os.Create(f.name); err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
		defer f.file.Close()
		files = append(files, f)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process

	l.start = time.Now()
	rows, err := l.measure(ctx, cases)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	if err := l.print(rows, remarks); err != nil {
		return err
	}
	for _, f := range files {
		err := f.write(f.file, rows, remarks)
		if closeErr := f.file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
	}
	return judgeLab(rows)
}

// A labFile is a file that a flag asks for. It is made before anything is measured, which takes its time.
type labFile struct {
	flag, name string
	file       *os.File
	write      func(w io.Writer, rows []lab.Row, remarks []string) error
}

func (l *labRTT) writePage(w io.Writer, rows []lab.Row, remarks []string) error {
	return writeLabPage(w, rows, l.setting(), remarks)
}

func (l *labRTT) writePicture(w io.Writer, rows []lab.Row, _ []string) error {
	picture, err := labPictureSVG(rows)
	if err == nil {
		_, err = io.WriteString(w, picture)
	}
	return err
}

// cases are what is to be measured, and remarks what is not, and why.
func (l *labRTT) cases() (cases []lab.Case, remarks []string, err error) {
	if l.rtt <= 0 {
		return nil, nil, usagef("--rtt %v: want more than 0", l.rtt)
	}
	if l.repeat < 1 {
		return nil, nil, usagef("--repeat %d: want 1 or more", l.repeat)
	}
	var rungs []negotiate.Rung
	if l.rungs != "" {
		if rungs, err = negotiate.ParseRungs(l.rungs); err != nil {
			return nil, nil, usagef("--rungs: %w", err)
		}
	}
	cases = lab.Cases(rungs...)
	peers, err := l.chosenPeers()
	for _, p := range peers {
		if why := p.Missing(); why != "" {
			remarks = append(remarks, fmt.Sprintf("%s: not measured: %s", p.Name, why))
			continue
		}
		cases = append(cases, p.Cases(rungs...)...)
	}
	return cases, remarks, err
}

func (l *labRTT) chosenPeers() (chosen []lab.Peer, err error) {
	all := lab.Peers()
	switch {
	case l.exactOnly || l.peers == "none":
		return nil, nil
	case l.peers == "all":
		return all, nil
	}
	for name := range strings.SplitSeq(l.peers, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(p lab.Peer) bool { return p.Name == name })
		if i < 0 {
			return nil, usagef("--peers: no server is called %q; there are %s", name, strings.Join(labPeerNames(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func labPeerNames() (names []string) {
	for _, p := range lab.Peers() {
		names = append(names, p.Name)
	}
	return names
}

func (l *labRTT) measure(ctx context.Context, cases []lab.Case) ([]lab.Row, error) {
	if l.exactOnly {
		return lab.Exact(cases, l.rtt)
	}
	o := lab.Options{RTT: l.rtt, Repeat: l.repeat}
	if isTerminal(l.stderr) {
		defer io.WriteString(l.stderr, clearLine)
		o.Report = func(i int, r lab.Row, done bool) {
			if !done {
				fmt.Fprintf(l.stderr, "%s%s", clearLine, cutLine(fmt.Sprintf("%d of %d  %s", i+1, len(cases), r), maxProgress))
			}
		}
	}
	return lab.Live(ctx, cases, o)
}

const clearLine = "\r\x1b[K"

func cutLine(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// setting says how the rows came about.
func (l *labRTT) setting() string {
	s := l.start.UTC().Format("2006-01-02 15:04 MST")
	if l.exactOnly {
		return s + ", nothing measured"
	}
	s += fmt.Sprintf(", round trip %v", l.rtt)
	if l.repeat > 1 {
		s += fmt.Sprintf(", median of %d", l.repeat)
	}
	return s
}

func (l *labRTT) print(rows []lab.Row, remarks []string) error {
	var b strings.Builder
	if l.json {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		rounded := slices.Clone(rows)
		for i := range rounded {
			rounded[i].Exact, rounded[i].Live = hundredths(rounded[i].Exact), hundredths(rounded[i].Live)
		}
		if err := enc.Encode(rounded); err != nil {
			return err
		}
		for _, r := range remarks {
			fmt.Fprintf(l.stderr, "%s\n", r)
		}
	} else {
		b.WriteString(labTable(rows, isTerminal(l.stdout)))
		for _, r := range remarks {
			fmt.Fprintf(&b, "%s\n", r)
		}
	}
	if _, err := io.WriteString(l.stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// judgeLab is the error that says which rows are not as computed; nil: all are.
func judgeLab(rows []lab.Row) error {
	var bad []string // "row: what is wrong"
	for _, r := range rows {
		switch {
		case r.Error != "":
			bad = append(bad, fmt.Sprintf("%s: %s", r, strings.TrimPrefix(r.Error, "weft: ")))
		case !r.Agrees():
			bad = append(bad, fmt.Sprintf("%s: measured %.2f round trips, computed %s", r, r.Live, exactText(r)))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d rows are not as computed: %s", len(bad), len(rows), strings.Join(bad, "; "))
}
