package netdial

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"time"

	"github.com/weftws/weft/negotiate"
)

// A Dialer makes connections. The zero value works; it is safe for concurrent use.
type Dialer struct {
	// NetDial makes TCP connections, to origins and to proxies; nil: a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// NetDialUDP opens a UDP socket for the peer addr (host:port) and says which address that is; nil: the system's resolver and
	// a socket of net.ListenPacket.
	NetDialUDP func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)
	// TLSConfig is for origins and for https proxies; nil: the zero Config. NextProtos and, where it is empty, ServerName
	// are replaced; it is not changed.
	TLSConfig *tls.Config
}

// A Target says where to, and how.
type Target struct {
	Addr  string   // host:port of the origin
	TLS   bool     // with the origin
	ALPN  []string // offered to the origin, in order of preference
	Proxy *url.URL // http, https, socks5 or socks5h; nil: none

	// ServerName is whom Addr must prove to be, where that is not Addr's host: an alternative service's origin (RFC 7838,
	// Section 2.1). TLSConfig.ServerName goes before it.
	ServerName string
}

// A Conn is what Dial made.
type Conn struct {
	net.Conn
	ALPN       string               // what the origin chose; "": nothing
	TLS        *tls.ConnectionState // with the origin; nil: none
	RoundTrips int                  // what it took, as the protocols have it
}

// A Step is one part of a Dial that is over.
type Step struct {
	Name   negotiate.Step // StepResolve, StepTCP, StepProxy or StepTLS; what fails is in Err
	Start  time.Time
	End    time.Time
	Detail string // addresses, versions
	Err    error
}

// Dial connects to t. It calls report, if not nil, for each step in its turn, from its own goroutine. The error is an *Error;
// when ctx is done it wraps ctx's cause. No connection is left behind with an error.
//
// The Conn in the result is a *tls.Conn when t.TLS is set; callers who need the connection itself take the field.
func (d *Dialer) Dial(ctx context.Context, t Target, report func(Step)) (*Conn, error) {
	if report == nil {
		report = func(Step) {}
	}
	a := &attempt{d: d, target: t, report: report}
	c, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// An attempt is one Dial under way.
type attempt struct {
	d          *Dialer
	target     Target
	report     func(Step)
	roundTrips int
}

func (a *attempt) dial(ctx context.Context) (*Conn, error) {
	nc, err := a.reach(ctx)
	if err != nil {
		return nil, err
	}
	if !a.target.TLS {
		return &Conn{Conn: nc, RoundTrips: a.roundTrips}, nil
	}
	tc, err := a.handshake(ctx, nc, a.target.Addr, a.target.ALPN)
	if err != nil {
		return nil, err
	}
	state := tc.ConnectionState()
	return &Conn{Conn: tc, ALPN: state.NegotiatedProtocol, TLS: &state, RoundTrips: a.roundTrips}, nil
}

// reach gets a byte stream to the origin.
func (a *attempt) reach(ctx context.Context) (net.Conn, error) {
	if a.target.Proxy == nil {
		return a.tcp(ctx, a.target.Addr)
	}
	return a.proxy(ctx)
}

// step reports a step that began at start and is over now.
func (a *attempt) step(name negotiate.Step, start time.Time, detail string, err error) {
	a.report(Step{Name: name, Start: start, End: time.Now(), Detail: detail, Err: err})
}
