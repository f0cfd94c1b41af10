package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/load"
	"github.com/weftws/weft/negotiate"
)

func newBenchCommand() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Put a server under many WebSockets and measure it",
		Long: `bench opens many WebSockets at a server that sends back what it gets, sends messages on all of them, checks every answer, and says
how many came back, how long each took, and what that cost this process.

An answer brings out the next message of its WebSocket; --in-flight many are on the way. With --rate messages go when they are due,
whatever is on the way, and the time of each counts from when it was due: a server that falls behind shows. With --listen nothing is sent, and
what the server sends by itself is counted.

Over HTTP/2 and HTTP/3 the WebSockets share --connections; where a server grants fewer streams there will be more. Over HTTP/1.1 each has a
connection of its own. This process needs CPU time as the server does: on the same machine they compete, and what is said to be the server's
limit may be this one's. The last line of the report shows how close it was to that.

Only servers of your own: this is what an attack looks like.

With --json one object is printed at the end; times in it are milliseconds but for those that end in _s and _us_per_message:
  {"url":"wss://...","websockets":100,"connections":1,"messages":...,"messages_per_second":...,"latency":{"p50":...,"p99":...},...}

Exit status 0: every WebSocket opened and lasted, and every answer was right and came. 1: not. 2: wrong usage. 130: interrupted; the report
is of what was measured until then.`,
		Example: `  weft bench -k wss://127.0.0.1:8443/echo
  weft bench -k -n 1000 -c 10 --in-flight 4 wss://127.0.0.1:8443/echo
  weft bench -k -n 100 --rate 5000 --duration 30s --svg report.svg wss://127.0.0.1:8443/echo
  weft bench -k -n 100 --rungs upgrade wss://127.0.0.1:8443/echo      # HTTP/1.1, to compare
  weft bench -k -n 100 -c 4 --rungs h3 --json wss://127.0.0.1:8443/echo
  weft bench -k -n 500 --listen 'wss://127.0.0.1:8443/stream?rate=100'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one URL, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			b.cfg.URL = args[0]
			b.stdout, b.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return b.run(commandContext(cmd))
		},
	}
	f := cmd.Flags()
	f.IntVarP(&b.cfg.WebSockets, "websockets", "n", 100, "open `N` WebSockets")
	f.IntVarP(&b.cfg.Connections, "connections", "c", 1, "on `N` connections, over HTTP/2 and HTTP/3")
	f.IntVar(&b.cfg.Size, "size", 125, "`BYTES` of each message")
	f.IntVar(&b.cfg.InFlight, "in-flight", 1, "messages on the way on each WebSocket, unless --rate is given")
	f.Float64Var(&b.cfg.Rate, "rate", 0, "send `N` messages a second, on all WebSockets together; 0: as fast as answers come")
	f.DurationVarP(&b.cfg.Duration, "duration", "d", 10*time.Second, "measure for `TIME`, once all are open")
	f.BoolVarP(&b.cfg.Binary, "binary", "b", false, "send binary messages, not text")
	f.BoolVar(&b.cfg.Listen, "listen", false, "send nothing, and count what comes")
	f.StringArrayVarP(&b.headers, "header", "H", nil, "`'NAME: VALUE'` to send with every handshake; may be repeated")
	f.StringVar(&b.rungs, "rungs", "", "ways to allow, as `list`: upgrade, settings, assume, token, h2.1, frame, alt-svc, h3")
	f.BoolVar(&b.deflate, "deflate", false, "offer permessage-deflate")
	f.BoolVar(&b.h2c, "h2c", false, "for ws:// URLs: HTTP/2 with prior knowledge")
	f.BoolVarP(&b.insecure, "insecure", "k", false, "accept any certificate")
	f.BoolVar(&b.json, "json", false, "print one JSON object")
	f.StringVar(&b.svg, "svg", "", "write a picture to `FILE`")
	return cmd
}

// bench is one run of the command.
type bench struct {
	cfg            load.Config
	headers        []string
	rungs          string
	deflate, h2c   bool
	insecure, json bool
	svg            string
	stdout, stderr io.Writer
}

func (b *bench) run(ctx context.Context) error {
	if err := b.configure(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer cancelOnSignal(cancel)()
	show := newBenchProgress(b.stderr)
	b.cfg.Progress = show.update
	res, err := load.Run(ctx, b.cfg)
	show.end()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", b.cfg.URL, trimmed{err})
	}
	if b.json {
		enc := json.NewEncoder(b.stdout)
		enc.SetEscapeHTML(false)
		err = enc.Encode(res)
	} else {
		_, err = io.WriteString(b.stdout, benchReport(b.cfg, res))
	}
	if err != nil {
		return err
	}
	if b.svg != "" {
		picture, err := benchPicture(b.cfg, res)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.svg, []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return b.verdict(res)
}

// verdict is what the exit status comes from.
func (b *bench) verdict(res *load.Result) error {
	failed := 0
	for _, n := range res.Failed {
		failed += n
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s: %d of %d WebSockets failed", b.cfg.URL, failed, b.cfg.WebSockets)
	case res.Interrupted:
		return errInterrupted
	case res.Unanswered > 0:
		return fmt.Errorf("%s: %d messages were not answered", b.cfg.URL, res.Unanswered)
	}
	return nil
}

// configure turns the flags into what load.Run takes.
func (b *bench) configure() error {
	_, err := parseURL(b.cfg.URL, b.h2c)
	if err != nil {
		return err
	}
	if err := b.cfg.Validate(); err != nil {
		return usagef("%w", err)
	}
	opt := &weft.DialOptions{Policy: new(weft.Policy)}
	if opt.Host, opt.HTTPHeader, err = parseHeaders(b.headers); err != nil {
		return err
	}
	if b.deflate {
		opt.CompressionMode = weft.CompressionContextTakeover
	}
	if b.rungs != "" {
		if opt.Policy.Rungs, err = negotiate.ParseRungs(b.rungs); err == nil {
			err = opt.Policy.Validate()
		}
		if err != nil {
			return usagef("--rungs: %w", err)
		}
	}
	b.cfg.Options, b.cfg.Clock = opt, cpuTime
	b.cfg.Dialer = func() *weft.Dialer {
		d := &weft.Dialer{PriorKnowledge: b.h2c}
		if b.insecure {
			d.TLSConfig = &tls.Config{InsecureSkipVerify: true}
		}
		return d
	}
	return nil
}

// benchReport is the result as text.
func benchReport(cfg load.Config, r *load.Result) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s\n", visible(r.URL))
	connections := "connections"
	if r.Connections == 1 {
		connections = "connection"
	}
	line("websockets", "%d on %d %s, %s by rung %s", r.WebSockets, r.Connections, connections, counts(r.Versions), counts(r.Rungs))
	line("opening", "%s in all; each p50 %s, p99 %s, max %s", short(r.Opening), short(r.OpenLatency.P50), short(r.OpenLatency.P99), short(r.OpenLatency.Max))
	switch {
	case cfg.Listen:
		line("load", "none: listening for %s", short(r.Duration))
	case cfg.Rate > 0:
		line("load", "%d-byte messages, %g a second in all, for %s", cfg.Size, cfg.Rate, short(r.Duration))
	default:
		line("load", "%d-byte messages, %d in flight on each, for %s", cfg.Size, cfg.InFlight, short(r.Duration))
	}
	seconds := max(r.Duration.Seconds(), 1e-9)
	line("messages", "%d, %.0f a second, %.1f MB/s", r.Messages, r.Rate(), float64(r.Bytes)/seconds/1e6)
	if l := r.Latency; l.Count > 0 {
		line("latency", "p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max))
	}
	if r.Messages > 0 {
		line("cpu here", "%s, %.2f us a message, %.0f %% of one processor", short(r.CPU), float64(r.CPU.Nanoseconds())/1e3/float64(r.Messages), 100*r.CPU.Seconds()/seconds)
	}
	if r.Unanswered > 0 {
		line("unanswered", "%d", r.Unanswered)
	}
	for _, text := range sortedKeys(r.Failed) {
		line("failed", "%d: %s", r.Failed[text], visible(text))
	}
	if r.Interrupted {
		line("ended", "early: interrupted")
	}
	return b.String()
}

// counts is "HTTP/2.0", or "HTTP/1.1 (3) and HTTP/2.0 (97)".
func counts(by map[string]int) string {
	names := sortedKeys(by)
	if len(names) == 1 {
		return names[0]
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, by[name])
	}
	return strings.Join(names, " and ")
}

func sortedKeys(by map[string]int) []string {
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// short is a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d us", d.Microseconds())
}
