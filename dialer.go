package weft

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/negotiate"
)

// A Rung is a way to open a WebSocket; see package negotiate.
type Rung = negotiate.Rung

// The rungs. What goes on the wire for each stands in docs/bootstraps.md.
const (
	Upgrade  = negotiate.Upgrade  // RFC 6455: GET with Upgrade on HTTP/1.1
	Settings = negotiate.Settings // RFC 8441: Extended CONNECT on HTTP/2 after the server's SETTINGS
	Assume   = negotiate.Assume   // Extended CONNECT in the first flight, accepted only if the SETTINGS then allow it
	Token    = negotiate.Token    // experimental: ALPN wsoverh2
	H21      = negotiate.H21      // experimental: ALPN h2.1
	Frame    = negotiate.Frame    // experimental: an HTTP/2 frame type of our own
	AltSvc   = negotiate.AltSvc   // the endpoint that an earlier response named (RFC 7838)
	H3       = negotiate.H3       // RFC 9220: Extended CONNECT on HTTP/3
)

// When a spare connection is made beside one that assumes; see Policy.Spare.
const (
	Staggered = negotiate.Staggered
	Eager     = negotiate.Eager
	Never     = negotiate.Never
)

// A Policy says which rungs a Dial may take; the zero value is the default.
type Policy = negotiate.Policy

// A Dialer opens WebSockets and keeps the HTTP/2 connections that it made: the next WebSocket to the same origin is a stream
// on one of them and costs one round trip. The zero value works. Fields are set before the first Dial; afterwards it
// is safe for concurrent use and must not be copied.
type Dialer struct {
	// TLSConfig for wss; nil: the zero Config. NextProtos and, if empty, ServerName are set for each connection.
	TLSConfig *tls.Config

	// Policy is for Dials whose options have none.
	Policy Policy

	// Proxy says through which proxy a request goes; nil: http.ProxyFromEnvironment, for which ws counts as http and wss
	// as https. Schemes: http, https (CONNECT) and socks5.
	Proxy func(*http.Request) (*url.URL, error)

	// NetDial makes TCP connections; nil: a net.Dialer, which tries IPv6 and IPv4 (RFC 8305).
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)

	// NetDialUDP opens a UDP socket for the peer addr (host:port), for HTTP/3, and says which address that is; nil: the system's
	// resolver and a socket of net.ListenPacket. The socket is used for one connection and closed with it.
	NetDialUDP func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)

	// HTTPSResolver says whether an origin that was never dialed speaks HTTP/3; nil: nobody is asked. See package resolver. A
	// Dial waits 50 ms for it at most.
	HTTPSResolver HTTPSResolver

	// HandshakeTimeout bounds a Dial as a whole, beside its context; 0: 30 s.
	HandshakeTimeout time.Duration

	// KeepAlive is the silence after which a peer is asked whether it is there: a Ping on HTTP/1.1, one PING a connection on
	// HTTP/2 and HTTP/3. 0: 30 s; negative: never. When the end follows, see AcceptOptions and ServerOptions. A connection from before that is
	// silent for 2 s about a new WebSocket gets a PING too (HTTP/2; over HTTP/3 the request does): without an answer within 3 s more the Dial
	// takes another one.
	KeepAlive time.Duration

	// IdleTimeout is how long an HTTP/2 connection without streams is kept; 0: 90 s; negative: not at all.
	IdleTimeout time.Duration

	// PriorKnowledge says that ws servers speak HTTP/2 without TLS (RFC 9113, Section 3.3).
	PriorKnowledge bool

	// Memory keeps what was found out about origins; nil: this Dialer's own, in the process, for the 1000 origins last dialed.
	Memory Memory
	// Partition keeps what is remembered for one user from another, where one Memory serves several.
	Partition string

	// Network names the network that the machine is on: what was found out on one is not taken for another's. It may be called with every
	// Dial. nil: a digest of the subnets of the machine's interfaces.
	Network func() string

	// Trace is told the steps of every Dial whose options have no Trace. It must not block.
	Trace func(TraceEvent)

	// Observer is told of Dials and their WebSockets; nil: nobody is.
	Observer *Observer

	pool     pool
	alt      altCache
	sessions h3.Sessions

	networkMu   sync.Mutex // for the next two
	networkName string
	networkAt   time.Time // when it was asked for; zero: never

	once        sync.Once // for what follows
	store       Memory
	tlsIdentity string
}

// DefaultDialer is what [Dial] uses.
var DefaultDialer = new(Dialer)

// Dial opens a WebSocket with [DefaultDialer].
func Dial(ctx context.Context, url string, opts *DialOptions) (*Conn, *http.Response, error) {
	return DefaultDialer.Dial(ctx, url, opts)
}

// DialOptions are for one Dial. The zero value is right for most.
type DialOptions struct {
	// HTTPHeader has further header fields for the request: Authorization, Cookie, Origin ... The handshake's own
	// (Upgrade, Connection, Host, Sec-WebSocket-*) are refused.
	HTTPHeader http.Header
	// Host replaces the URL's host in the request (Host, :authority), not in what is dialed.
	Host string

	// Subprotocols are offered in this order.
	Subprotocols []string

	// CompressionMode says whether permessage-deflate (RFC 7692) is offered; CompressionThreshold from how many bytes on
	// a message is compressed (0: 512, with context takeover 128).
	CompressionMode      CompressionMode
	CompressionThreshold int

	// OnPingReceived is told each Ping; false: no Pong is sent. OnPongReceived is told each Pong. They run where messages
	// are read and must not block.
	OnPingReceived func(ctx context.Context, payload []byte) bool
	OnPongReceived func(ctx context.Context, payload []byte)

	// Policy replaces the Dialer's; nil: the Dialer's.
	Policy *Policy

	// Trace is told each step when it is over. It must not block.
	Trace func(TraceEvent)
}

func (d *Dialer) idleTimeout() time.Duration { return orDuration(d.IdleTimeout, 90*time.Second) }

func (d *Dialer) h2Config() h2.Config {
	return h2.Config{Side: h2.Client, PingInterval: keepaliveOf(d.KeepAlive)}
}

// CloseIdleConnections closes the HTTP/2 connections that carry nothing. The Dialer goes on working.
func (d *Dialer) CloseIdleConnections() { d.pool.closeIdle() }

// Close closes every HTTP/2 connection, and with it the WebSockets on it; WebSockets over HTTP/1.1 go on. Then it waits until a
// Memory that writes behind has written; the error is that one's. The Dialer goes on working.
func (d *Dialer) Close() error {
	d.pool.closeAll()
	if m, ok := d.Memory.(interface{ Flush() error }); ok {
		return m.Flush()
	}
	return nil
}
