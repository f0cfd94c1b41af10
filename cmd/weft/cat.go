package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/term"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/resolver"
)

func newCatCommand() *cobra.Command {
	var c cat
	cmd := &cobra.Command{
		Use:   "cat URL",
		Short: "Connect standard input and output to a WebSocket",
		Long: `cat opens a WebSocket, sends each line of standard input as a message, and prints each message that arrives on a line
of standard output. A binary message is printed as its size and first bytes.

On a terminal, Ctrl-D closes the WebSocket (1000). When standard input is a file or pipe, its end does not cut off the
replies: the WebSocket is closed when no message has arrived for --linger, or, with -n, when enough have.

HTTP/3 is tried where something says that the server has it (an HTTPS record in DNS, --memory), or --rungs names h3; TCP follows when
QUIC has not connected within --head-start. Names are looked up for HTTPS records, addresses and localhost are not.

With --json every line of output is an object:
  {"event":"open","url":"wss://...","version":"HTTP/2.0","rung":"settings","round_trips":4,"conn":1,"stream":1,...}
  {"type":"text","data":"..."}    {"type":"binary","data":"BASE64"}
  {"event":"close","code":1000,"reason":""}    {"event":"error","error":"..."}
With --trace too there is {"event":"trace","ms":...,"attempt":1,"name":"tls","detail":"..."} for each step, "open" has the whole account
as "trace", and "error" has what was tried as "attempts". Their keys are those of weft.Trace.

Exit status 0: the WebSocket was closed normally (1000, or no code). Any other end is 1, with one line on standard error.`,
		Example: `  weft cat wss://127.0.0.1:8443/echo --insecure
  echo hello | weft cat wss://127.0.0.1:8443/echo -k
  weft cat -k -n 3 'wss://127.0.0.1:8443/stream?rate=1' </dev/null
  weft cat -k --trace --rungs upgrade wss://127.0.0.1:8443/echo
  weft cat -k --trace --rungs h3 --early wss://127.0.0.1:8443/echo
  weft cat -H 'Authorization: Bearer abc' --subprotocol v2 --subprotocol v1 wss://example.com/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one URL, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.url = args[0]
			c.stdin, c.stdout, c.stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			c.lingerSet = cmd.Flags().Changed("linger")
			return c.run(commandContext(cmd))
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&c.headers, "header", "H", nil, "`'NAME: VALUE'` to send with the handshake; may be repeated")
	f.StringArrayVar(&c.subprotocols, "subprotocol", nil, "subprotocol `name` to offer; may be repeated, best first")
	f.BoolVar(&c.deflate, "deflate", false, "offer permessage-deflate")
	f.StringVar(&c.rungs, "rungs", "", "ways to allow, as `list`: upgrade, settings, assume (the default is these, and h3 where the server is known to have it), token, h2.1, frame, alt-svc, h3")
	f.DurationVar(&c.headStart, "head-start", defaultHeadStart, "try HTTP/3 alone for `TIME`, then TCP beside it; 0s: both at once")
	f.BoolVar(&c.early, "early", false, "open a first WebSocket over HTTP/3 and close it, then this one in early data, which may be replayed (RFC 8470)")
	f.BoolVar(&c.noRecords, "no-https-records", false, "ask no DNS server whether there is HTTP/3")
	f.StringVar(&c.memory, "memory", "", "remember what was found out about origins in `file`; see weft memory")
	f.BoolVar(&c.h2c, "h2c", false, "for ws:// URLs: HTTP/2 with prior knowledge")
	f.BoolVarP(&c.insecure, "insecure", "k", false, "accept any certificate")
	f.BoolVarP(&c.binary, "binary", "b", false, "send lines as binary messages")
	f.BoolVar(&c.raw, "raw", false, "print the bytes of messages as they are, with nothing between them")
	f.BoolVar(&c.json, "json", false, "print JSON lines")
	f.BoolVar(&c.trace, "trace", false, "print each step of the opening and its time on standard error")
	f.IntVarP(&c.count, "count", "n", 0, "close after `N` messages have arrived; fewer are a failure")
	f.DurationVar(&c.linger, "linger", time.Second, "after the end of a file or pipe, close when nothing arrived for `TIME`; -1s: never")
	f.DurationVar(&c.timeout, "timeout", 0, "fail if not done after `TIME` (default: no limit; the opening may take 30s)")
	return cmd
}

// cat is one run of the command.
type cat struct {
	url              string
	headers          []string
	subprotocols     []string
	rungs            string
	memory           string
	headStart        time.Duration
	early, noRecords bool
	deflate, h2c     bool
	insecure         bool
	binary           bool
	raw, json, trace bool
	count            int
	linger, timeout  time.Duration
	lingerSet        bool
	stdin            io.Reader
	stdout, stderr   io.Writer
}

// defaultHeadStart is what Policy.HeadStart is where it is 0.
const defaultHeadStart = 50 * time.Millisecond

// maxCatMessage is the largest message that cat takes, in bytes after inflating.
const maxCatMessage = 64 << 20

func (c *cat) run(ctx context.Context) error {
	dialer, opt, err := c.options()
	if err != nil {
		return err
	}
	defer dialer.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer cancelOnSignal(cancel)()
	if c.timeout > 0 {
		timer := time.AfterFunc(c.timeout, func() { cancel(fmt.Errorf("not done after %v (--timeout)", c.timeout)) })
		defer timer.Stop()
	}

	out := &printer{w: c.stdout, json: c.json, raw: c.raw, terminal: isTerminal(c.stdout)}
	if c.early {
		c.resumable(ctx, dialer, opt)
	}
	if c.trace {
		opt.Trace = newTracer(c, out).event
	}
	conn, _, err := dialer.Dial(ctx, c.url, opt)
	if err != nil {
		attempts := c.notOpened(err)
		if ctx.Err() != nil {
			err = fmt.Errorf("%s: %w", c.url, context.Cause(ctx))
		} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			err = fmt.Errorf("%w (--insecure accepts any certificate)", err)
		}
		out.failure(err, attempts)
		return err
	}
	conn.SetReadLimit(maxCatMessage)
	c.opened(conn, out)
	s := &catSession{cat: c, conn: conn, out: out}
	err = s.run(ctx)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.url, trimmed{err})
	}
	s.report(err)
	return err
}

// resumable opens a WebSocket over HTTP/3 and closes it, so that dialer has a session to come back to. Where that fails, the dial that
// matters says why.
func (c *cat) resumable(ctx context.Context, dialer *weft.Dialer, opt *weft.DialOptions) {
	first := *opt
	first.Policy = &weft.Policy{Rungs: []weft.Rung{weft.H3}}
	if conn, _, err := dialer.Dial(ctx, c.url, &first); err == nil {
		conn.Close(weft.StatusNormalClosure, "")
		dialer.Close()
	}
}

// cancelOnSignal calls cancel on the first Ctrl-C; a second one ends the process. The returned function stops that.
func cancelOnSignal(cancel context.CancelCauseFunc) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(errInterrupted)
		case <-done:
			signal.Stop(signals)
		}
	}()
	return func() { close(done) }
}

// options turns the flags into what Dial takes.
func (c *cat) options() (*weft.Dialer, *weft.DialOptions, error) {
	u, err := parseURL(c.url, c.h2c)
	if err != nil {
		return nil, nil, err
	}
	if c.count < 0 {
		return nil, nil, usagef("-n %d: want 1 or more", c.count)
	}
	if c.raw && c.json {
		return nil, nil, usagef("--raw and --json exclude each other")
	}
	opt := &weft.DialOptions{Subprotocols: c.subprotocols}
	if opt.Host, opt.HTTPHeader, err = parseHeaders(c.headers); err != nil {
		return nil, nil, err
	}
	for _, p := range c.subprotocols {
		if !httpguts.ValidHeaderFieldName(p) { // both are tokens
			return nil, nil, usagef("--subprotocol %q: a subprotocol is one word", p)
		}
	}
	if c.deflate {
		opt.CompressionMode = weft.CompressionContextTakeover
	}
	if opt.Policy, err = c.policy(u); err != nil {
		return nil, nil, err
	}
	dialer := &weft.Dialer{PriorKnowledge: c.h2c}
	if !c.noRecords {
		dialer.HTTPSResolver = new(resolver.Resolver)
	}
	if c.memory != "" {
		dialer.Memory = weft.FileMemory(c.memory, func(err error) { fmt.Fprintf(c.stderr, "weft: memory: %v\n", err) })
	}
	if c.insecure {
		dialer.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return dialer, opt, nil
}

// policy is what the flags allow at u.
func (c *cat) policy(u *url.URL) (*weft.Policy, error) {
	policy := &weft.Policy{HeadStart: c.headStart, EarlyConnect: c.early}
	switch {
	case c.headStart < 0:
		return nil, usagef("--head-start %v: want 0s or more", c.headStart)
	case c.headStart == 0:
		policy.HeadStart = -1
	}
	if c.rungs != "" {
		var err error
		if policy.Rungs, err = negotiate.ParseRungs(c.rungs); err == nil {
			err = policy.Validate()
		}
		if err != nil {
			return nil, usagef("--rungs: %w", err)
		}
	}
	if c.early && (u.Scheme != "wss" || !policy.Allows(weft.H3)) {
		return nil, usagef("--early is for wss:// URLs and the rung h3")
	}
	return policy, nil
}

// opened says that the WebSocket is open, to whom it may concern.
func (c *cat) opened(conn *weft.Conn, out *printer) {
	tr := conn.Trace()
	out.opened(c.url, conn.Subprotocol(), tr, c.trace)
	switch {
	case c.json:
	case c.trace:
		fmt.Fprintln(c.stderr, visible(withoutSteps(tr).String()))
	case isTerminal(c.stdin) && isTerminal(c.stderr):
		tr.Attempts = nil
		fmt.Fprintf(c.stderr, "%s; Ctrl-D closes\n", visible(tr.String()))
	}
}

// notOpened says what was tried, with --trace, and returns it.
func (c *cat) notOpened(err error) []weft.Attempt {
	de, ok := errors.AsType[*weft.DialError](err)
	if !c.trace || !ok {
		return nil
	}
	if !c.json {
		fmt.Fprintln(c.stderr, visible(withoutSteps(de.Trace()).String()))
	}
	return de.Attempts
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// trimmed is an error without the library's prefix, for the middle of a line.
type trimmed struct{ error }

func (e trimmed) Error() string { return strings.TrimPrefix(e.error.Error(), "weft: ") }
func (e trimmed) Unwrap() error { return e.error }
