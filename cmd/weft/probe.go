package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/probe"
	"github.com/weftws/weft/resolver"
)

func newProbeCommand() *cobra.Command {
	var c probeCommand
	cmd := &cobra.Command{
		Use:   "probe URL...",
		Short: "Ask servers how they behave on every rung",
		Long: `probe opens a WebSocket in every way that weft knows, each on a connection of its own, and shows what happened: how long
each step took, a table of rungs with their round trips and verdicts, and a line of advice. It works against any server and
does no harm: by default it sends nothing that costs a server more than a connection.

Verdicts:
  open          a WebSocket was opened, and closed again
  version       the server does not do this (no ALPN, no setting, RST_STREAM PROTOCOL_ERROR ...)
  false-accept  yes to what the server had not said it understands; clients must not believe it
  killed        the server ended the connection over it
  silent        no answer within --timeout
  refused, misdirected, ambiguous, early, application
                the server's answer: REFUSED_STREAM, 421, such as 404, 425, every other status
  handshake     a success that is none by the rules of the handshake
  transport     no connection could be made
  advertised, absent   (alt-svc) responses name another endpoint, or none; (h3) nobody listens
  not-asked     this rung cannot be asked about

HTTP/3 is asked for where the other rungs' responses name it (Alt-Svc), else where an HTTPS record in DNS does, else at the URL's
own port, there for 2/5 of --timeout at most. Names are looked up for HTTPS records, addresses and localhost are not.

With --json every URL is one line, an object:
  {"url":"wss://...","rungs":[{"rung":"upgrade","verdict":"open","round_trips":3,"evidence":["..."]},...],"advice":"..."}
The evidence is what went over the wire, -> from here, <- from the server. Fields that carry secrets are left out.

Exit status 0: a WebSocket can be had at every URL, on one rung at least. 1: not. 2: wrong usage.`,
		Example: `  weft probe wss://example.com/socket
  weft probe -k wss://127.0.0.1:8443/echo           # any certificate
  weft probe -v --rungs settings,assume wss://example.com/
  weft probe --html report.html wss://one.example/ wss://two.example/
  weft probe --json wss://example.com/ | jq -r '.rungs[] | [.rung, .verdict, .round_trips] | @tsv'
  weft probe -H 'Authorization: Bearer abc' --timeout 2s wss://example.com/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("want a URL or several, got none")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.stdout, c.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return c.run(commandContext(cmd), args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&c.headers, "header", "H", nil, "`'NAME: VALUE'` to send with every handshake; may be repeated")
	f.StringVar(&c.rungs, "rungs", "", "rungs to ask on, as `list` (default all: upgrade,settings,assume,token,h2.1,frame,alt-svc,h3)")
	f.BoolVarP(&c.insecure, "insecure", "k", false, "accept any certificate")
	f.DurationVar(&c.timeout, "timeout", probe.DefaultTimeout, "ask on each rung for `TIME` at most")
	f.BoolVar(&c.thorough, "thorough", false, "ask also what costs the connection at some servers: early DATA, an unknown frame on an idle stream")
	f.BoolVar(&c.noRecords, "no-https-records", false, "ask no DNS server where HTTP/3 is")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "show the frames")
	f.BoolVar(&c.json, "json", false, "print JSON lines")
	f.StringVar(&c.html, "html", "", "write a page with the picture to `FILE`")
	return cmd
}

// probeCommand is one run of the command.
type probeCommand struct {
	headers            []string
	rungs              string
	insecure, thorough bool
	noRecords          bool
	verbose, json      bool
	html               string
	timeout            time.Duration
	stdout, stderr     io.Writer
}

// probesAtOnce is how many servers are asked at the same time.
const probesAtOnce = 4

func (c *probeCommand) run(ctx context.Context, urls []string) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	proxies := make([]*url.URL, len(urls))
	for i, u := range urls {
		if proxies[i], err = checkProbeURL(u); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process

	show := newProbeProgress(c.stderr, urls, !c.json && isTerminal(c.stderr) || c.json && isTerminal(c.stderr) && !isTerminal(c.stdout))
	out := newProbePrinter(c)
	reports, errs := make([]*probe.Report, len(urls)), make([]error, len(urls))
	done := make([]chan struct{}, len(urls))
	var turn sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for i := range urls {
		done[i] = make(chan struct{})
		turn.Go(func() {
			defer close(done[i])
			slots <- struct{}{}
			defer func() { <-slots }()
			own := opt
			own.Proxy = proxies[i]
			own.Progress = func(r negotiate.Rung) { show.rung(i, r) }
			reports[i], errs[i] = probe.Run(ctx, urls[i], own)
			show.done(i)
		})
	}
	defer turn.Wait()
	defer show.end()
	closed := 0
	for i := range urls { // in the order of the arguments, as soon as they are there
		<-done[i]
		if errs[i] != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return usagef("%w", errs[i])
		}
		show.clear()
		if err := out.report(reports[i]); err != nil {
			return err
		}
		if !reports[i].Open() {
			closed++
		}
	}
	if c.html != "" {
		if err := writeProbePage(c.html, reports, time.Now()); err != nil {
			return err
		}
	}
	switch {
	case closed == 0:
		return nil
	case len(urls) == 1:
		return fmt.Errorf("%s: %s", urls[0], reports[0].Advice)
	}
	return fmt.Errorf("no WebSocket to be had at %d of %d URLs", closed, len(urls))
}

// checkProbeURL finds what cannot be asked before anything is, and the proxy to go through.
func checkProbeURL(raw string) (*url.URL, error) {
	u, err := parseURL(raw, false)
	if err != nil {
		return nil, err
	}
	as := *u
	as.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	proxy, err := http.ProxyFromEnvironment(&http.Request{Method: http.MethodGet, URL: &as, Host: u.Host})
	if err != nil {
		return nil, usagef("proxy: %w", err)
	}
	return proxy, nil
}

// options turns the flags into what Run takes.
func (c *probeCommand) options() (probe.Options, error) {
	opt := probe.Options{Thorough: c.thorough, Timeout: c.timeout}
	if c.timeout <= 0 {
		return opt, usagef("--timeout %v: want more than 0", c.timeout)
	}
	if c.json && c.verbose {
		return opt, usagef("--json has the frames anyway: leave out --verbose")
	}
	var err error
	if opt.Host, opt.Header, err = parseHeaders(c.headers); err != nil {
		return opt, err
	}
	if c.rungs != "" {
		if opt.Rungs, err = negotiate.ParseRungs(c.rungs); err != nil {
			return opt, usagef("--rungs: %w", err)
		}
	}
	if !c.noRecords {
		opt.Resolver = new(resolver.Resolver)
	}
	if c.insecure {
		opt.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return opt, nil
}

// A probePrinter writes reports to standard output.
type probePrinter struct {
	c      *probeCommand
	format *probeFormat
	first  bool
}

func newProbePrinter(c *probeCommand) *probePrinter {
	return &probePrinter{c: c, format: newProbeFormat(c.stdout, c.verbose), first: true}
}

func (p *probePrinter) report(r *probe.Report) error {
	var b []byte
	if p.c.json {
		var text strings.Builder
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			return err
		}
		b = []byte(text.String())
	} else {
		if !p.first {
			b = append(b, '\n')
		}
		b = p.format.append(b, r)
	}
	p.first = false
	if _, err := p.c.stdout.Write(b); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
