package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
)

// An exchange is what one rung says to the server, on one connection or several, one after the other.
type exchange struct {
	p          *prober
	run        context.Context // the caller's
	ctx        context.Context // with the rung's limit
	start      time.Time
	result     Result
	roundTrips int    // of the connection that is open now
	alpn       string // chosen on it
	concluded  bool
	release    []func() bool
}

// maxLines is how much evidence a rung keeps.
const maxLines = 400

// note adds evidence: lines of out's notation.
func (x *exchange) note(prefix, text string) {
	at := time.Since(x.start)
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if n := len(x.result.Log); n >= maxLines {
			if n == maxLines {
				x.result.Log = append(x.result.Log, Line{at, "# and so on"})
			}
			return
		}
		x.result.Log = append(x.result.Log, Line{at, prefix + printable(withoutSecret(line))})
	}
}

func (x *exchange) remark(format string, args ...any) { x.note("# ", fmt.Sprintf(format, args...)) }

// conclude sets the verdict, once; it costs what has been waited for up to now.
func (x *exchange) conclude(v Verdict, format string, args ...any) {
	if x.concluded {
		return
	}
	x.concluded = true
	x.result.Verdict, x.result.RoundTrips = v, x.roundTrips
	x.result.Reason = printable(fmt.Sprintf(format, args...))
}

// add adds words to the reason.
func (x *exchange) add(format string, args ...any) {
	x.result.Reason += "; " + printable(fmt.Sprintf(format, args...))
}

// finish makes the evidence of the log.
func (x *exchange) finish() {
	for _, release := range x.release {
		release()
	}
	x.result.Took = time.Since(x.start)
	x.conclude(Verdict(negotiate.Silent), "server did not answer within %v", x.p.opt.Timeout)
	x.remark("%s, %d round trips: %s", x.result.Verdict, x.result.RoundTrips, x.result.Reason)
	x.result.Evidence = make([]string, 0, len(x.result.Log))
	for _, l := range x.result.Log {
		x.result.Evidence = append(x.result.Evidence, l.Text)
	}
}

// dial makes a connection on which only x's limit holds.
func (x *exchange) dial(alpn ...string) (*netdial.Conn, error) {
	return x.dialWith(x.p.dialer, alpn)
}

func (x *exchange) dialWith(d *netdial.Dialer, alpn []string) (*netdial.Conn, error) {
	x.roundTrips, x.alpn = 0, ""
	t := netdial.Target{Addr: x.p.addr, TLS: x.p.report.secure, Proxy: x.p.opt.Proxy}
	if t.TLS {
		t.ALPN = alpn
	}
	nc, err := d.Dial(x.ctx, t, func(s netdial.Step) {
		detail := s.Detail
		if s.Name == negotiate.StepTLS && s.Err == nil {
			detail += " of " + strings.Join(alpn, ", ")
		}
		x.step(s, detail)
	})
	if err != nil {
		return nil, err
	}
	x.roundTrips, x.alpn = nc.RoundTrips, nc.ALPN
	if deadline, ok := x.ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	x.release = append(x.release, context.AfterFunc(x.run, func() { nc.Close() }))
	return nc, nil
}

// step shows a step of dialing, with more than its own detail.
func (x *exchange) step(s netdial.Step, detail string) {
	x.result.Spans = append(x.result.Spans, Span{string(s.Name), s.Start.Sub(x.start), s.End.Sub(x.start), s.Err != nil})
	if s.Err == nil {
		x.remark("%s: %s", s.Name, detail)
	} else {
		x.remark("%v", s.Err)
	}
}

// span adds the wait that began at start.
func (x *exchange) span(name string, start time.Time, answered bool) {
	x.result.Spans = append(x.result.Spans, Span{name, start.Sub(x.start), time.Since(x.start), !answered})
}

// part is a moment within x's limit: that share of all the time from now on, but no later than the end.
func (x *exchange) part(share float64) time.Time {
	t := time.Now().Add(time.Duration(share * float64(x.p.opt.Timeout)))
	if end, ok := x.ctx.Deadline(); ok && t.After(end) {
		return end
	}
	return t
}

// failed concludes from a connection that could not be made.
func (x *exchange) failed(err error, alpn ...string) {
	switch {
	case noCommonProtocol(err):
		x.conclude(Verdict(negotiate.Version), "server speaks none of %s (no_application_protocol)", strings.Join(alpn, ", "))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		x.conclude(Verdict(negotiate.Silent), "%v", err)
	default:
		x.conclude(Verdict(negotiate.Transport), "%v", err)
	}
}

func isStep(err error, step negotiate.Step) bool {
	e, ok := errors.AsType[*netdial.Error](err)
	return ok && e.Step == step
}

// noCommonProtocol recognizes the alert of RFC 7301, Section 3.2; crypto/tls has no type for it over TCP.
func noCommonProtocol(err error) bool {
	return isStep(err, negotiate.StepTLS) && strings.Contains(err.Error(), "no application protocol")
}

// strayProtocol recognizes a server that chose what was not offered.
func strayProtocol(err error) bool {
	return isStep(err, negotiate.StepTLS) && strings.Contains(err.Error(), "unadvertised ALPN protocol")
}

// chosen is an ALPN protocol in words.
func chosen(alpn string) string {
	if alpn == "" {
		return "no protocol by ALPN, which means HTTP/1.1"
	}
	return alpn
}

// printable makes a server's text safe for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// secret are the fields whose values stay out of the evidence.
var secret = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// withoutSecret cuts the value out of a field line.
func withoutSecret(line string) string {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || !slices.Contains(secret, strings.ToLower(strings.TrimSpace(name))) {
		return line
	}
	return fmt.Sprintf("%s: (%d bytes)", name, len(value))
}
