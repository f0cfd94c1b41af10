package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/netdial"
	"github.com/weftws/weft/negotiate"
	"github.com/weftws/weft/resolver"
)

// Options are for one Run. The zero value asks on every rung.
type Options struct {
	// Rungs to ask on; nil: all.
	Rungs []negotiate.Rung
	// Thorough also asks what costs the connection at some servers: DATA behind an assumed CONNECT, an unknown frame on an idle
	// stream.
	Thorough bool

	// Header has further fields for the handshakes: Authorization, Cookie, Origin ... Host replaces the URL's host in requests.
	// Fields that carry secrets are left out of the evidence.
	Header http.Header
	Host   string

	// Timeout bounds each rung; 0: 5 s. A Run takes at most one Timeout for each rung and one for reaching the server.
	Timeout time.Duration

	// TLSConfig for wss; nil: the zero Config.
	TLSConfig *tls.Config
	// NetDial makes TCP connections; nil: a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// NetDialUDP opens a UDP socket for HTTP/3 and the peer addr (host:port), and says which address that is; nil: the system's.
	NetDialUDP func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)
	// Resolver is asked where HTTP/3 is, if no response says so; nil: nobody is.
	Resolver *resolver.Resolver
	// Proxy to go through; nil: none.
	Proxy *url.URL

	// Progress, if not nil, is told each rung before it is asked on. It must not block.
	Progress func(negotiate.Rung)
}

// DefaultTimeout bounds a rung where Options.Timeout is 0.
const DefaultTimeout = 5 * time.Second

// Run asks the server at a ws or wss URL. A server that cannot be reached, or has no WebSockets, is no error: the Report says
// so. The error is about the arguments, or ctx's cause where ctx is done first.
func Run(ctx context.Context, rawURL string, opt Options) (*Report, error) {
	p, err := newProber(rawURL, opt)
	if err != nil {
		return nil, err
	}
	p.run(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.report.Advice = advise(p.report)
	return p.report, nil
}

// A prober is one Run.
type prober struct {
	opt       Options
	url       *url.URL
	addr      string // host:port
	authority string
	header    http.Header
	dialer    *netdial.Dialer
	report    *Report
}

func newProber(rawURL string, opt Options) (*prober, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is no WebSocket URL; one looks like wss://host/path", rawURL)
	case u.Fragment != "" || strings.Contains(rawURL, "#"):
		return nil, errors.New(`URL has a fragment; "#" must be escaped as %23 (RFC 6455, Section 3)`)
	case u.User != nil:
		return nil, errors.New("URL has user information: send an Authorization field instead")
	}
	if opt.Timeout <= 0 {
		opt.Timeout = DefaultTimeout
	}
	p := &prober{
		opt: opt, url: u, authority: u.Host, header: opt.Header.Clone(),
		dialer: &netdial.Dialer{NetDial: opt.NetDial, TLSConfig: opt.TLSConfig},
		report: &Report{URL: rawURL, secure: u.Scheme == "wss"},
	}
	if opt.Host != "" {
		p.authority = opt.Host
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	p.addr = net.JoinHostPort(u.Hostname(), port)
	if p.header == nil {
		p.header = http.Header{}
	}
	if p.header.Get("User-Agent") == "" {
		p.header.Set("User-Agent", "weft-probe")
	}
	return p, p.checkHeader()
}

// maxHeaderBytes is the most that Options.Header may have, so that a request fits one HEADERS and one WS_OPEN frame.
const maxHeaderBytes = 8 << 10

func (p *prober) checkHeader() error {
	size := len(p.authority) + len(p.url.RequestURI())
	for name, values := range p.header {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("header field %q is malformed (RFC 9110, Section 5)", name)
			}
			size += len(name) + len(v)
		}
	}
	if size > maxHeaderBytes {
		return fmt.Errorf("URL and header fields have %d bytes, more than %d", size, maxHeaderBytes)
	}
	if err := handshake.SetRequest(p.header.Clone(), handshake.Offer{}, ""); err != nil {
		return err
	}
	return nil
}

// rungs are in the order in which they are asked on. alt-svc also counts what the others saw, and h3 goes by it.
var rungs = []struct {
	rung negotiate.Rung
	ask  func(*prober, *exchange)
}{
	{negotiate.Upgrade, (*prober).askUpgrade},
	{negotiate.Settings, (*prober).askSettings},
	{negotiate.Assume, (*prober).askAssume},
	{negotiate.Token, (*prober).askToken},
	{negotiate.H21, (*prober).askH21},
	{negotiate.Frame, (*prober).askFrame},
	{negotiate.AltSvc, (*prober).askAltSvc},
	{negotiate.H3, (*prober).askH3},
}

func (p *prober) run(ctx context.Context) {
	unreachable := p.reach(ctx)
	if unreachable != nil {
		p.report.noTCP = unreachable.Reason
	}
	for _, r := range rungs {
		if p.opt.Rungs != nil && !slices.Contains(p.opt.Rungs, r.rung) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if p.opt.Progress != nil {
			p.opt.Progress(r.rung)
		}
		if unreachable != nil && r.rung != negotiate.H3 {
			p.report.Rungs = append(p.report.Rungs, Result{
				Rung: r.rung, Verdict: Verdict(negotiate.Transport), Reason: unreachable.Reason,
				Evidence: unreachable.Evidence,
			})
			continue
		}
		p.report.Rungs = append(p.report.Rungs, p.ask(ctx, r.rung, func(x *exchange) { r.ask(p, x) }))
	}
}

// ask runs one rung's questions within its time limit.
func (p *prober) ask(ctx context.Context, r negotiate.Rung, f func(*exchange)) Result {
	limited, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	x := &exchange{p: p, run: ctx, ctx: limited, start: time.Now(), result: Result{Rung: r, Verdict: Verdict(negotiate.Silent)}}
	f(x)
	x.finish()
	return x.result
}

// reach connects once, to see whether there is a server and what it shows of itself. It returns what went wrong, or nil.
func (p *prober) reach(ctx context.Context) *Result {
	var failed bool
	r := p.ask(ctx, "", func(x *exchange) {
		nc, err := x.dial("h2", "http/1.1")
		if err != nil {
			failed = !noCommonProtocol(err)
			p.report.untrusted = isStep(err, negotiate.StepCertificate)
			x.conclude(Verdict(negotiate.Transport), "%v", err)
			return
		}
		p.report.Reached, p.report.base = true, x.roundTrips
		p.report.ALPN = nc.ALPN
		if nc.TLS != nil {
			p.report.TLS, p.report.Certificate = describeTLS(nc.TLS)
		}
		nc.Close()
	})
	if failed {
		return &r
	}
	p.report.Reached = true
	return nil
}

func describeTLS(s *tls.ConnectionState) (version, certificate string) {
	version = tls.VersionName(s.Version)
	if len(s.PeerCertificates) == 0 {
		return version, ""
	}
	leaf := s.PeerCertificates[0]
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, leaf.Subject.CommonName)
	}
	certificate = fmt.Sprintf("certificate for %s until %s", printable(strings.Join(names, ", ")), leaf.NotAfter.UTC().Format(time.DateOnly))
	if len(s.VerifiedChains) == 0 {
		certificate += ", not verified"
	}
	return version, certificate
}
