package h2

import (
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// Side is the end of the connection that we are.
type Side uint8

const (
	Client Side = iota
	Server
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// Config is what one endpoint is set to. The zero value of a field means its default.
type Config struct {
	Side Side

	// ConnectProtocol: a server takes Extended CONNECT (RFC 8441, Section 3), and announces it as ConnectRule asks. While
	// it is off a request with :protocol is malformed.
	ConnectProtocol bool
	// ConnectRule is how the two sides agree on Extended CONNECT. It follows from the ALPN protocol.
	ConnectRule ConnectRule
	// WSFrame: a server takes WS_OPEN (package wire, WebSocket streams 1), whatever ConnectProtocol is. While it is off that
	// is an unknown frame.
	WSFrame bool

	MaxConcurrentStreams uint32 // what the peer may open; default 1000; a client always says 0 pushes
	InitialWindowSize    uint32 // receive window of a stream, bytes; default 256 KiB
	ConnWindowSize       uint32 // receive window of the connection, bytes, at least 65,535; default 1 MiB
	MaxBufferedBytes     int64  // received and not yet consumed, over all streams; default 4 MiB. Above it no connection credit is given
	MaxFrameSize         uint32 // largest payload we accept, 16384 to 16777215; default 16384
	HeaderTableSize      uint32 // HPACK table of ours as decoder; default 4096; the encoder's is capped to 4096
	MaxHeaderListSize    uint32 // decoded bytes of a field section, RFC 9113, Section 6.5.2 arithmetic; default 64 KiB
	MaxHeaderFields      int    // field lines in a section, cookie crumbs counted; default 256
	MaxContinuations     int    // CONTINUATION frames in a section; default 8
	MaxSendQueue         int    // bytes of DATA queued on a stream at which Pending says stop; default 64 KiB

	// NewStream makes a stream: a zero one but for User. It lets a driver have what it keeps of its own in one piece with the
	// Stream. nil: new(Stream).
	NewStream func() *Stream

	// MaxEvents is how many events Recv makes before it takes no more: see More. 0: no bound.
	MaxEvents int

	SettingsTimeout time.Duration // for the peer's SETTINGS and for its ack; default 10 s
	HeadersTimeout  time.Duration // from a HEADERS frame to its END_HEADERS; default 10 s
	StallTimeout    time.Duration // that a peer's windows may hold up a stream (server); 0: for ever
	PingInterval    time.Duration // silence from the peer after which a PING is sent; 0: none
	PingTimeout     time.Duration // for its ack; default 15 s
	ResetBurst      int           // resets caused by the peer (Rapid Reset, and those that we send because of it); default 1000
	ResetRate       int           // a second; default 33
	ControlBurst    int           // SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty and unknown frames; default 10000
	ControlRate     int           // a second; default 1000
}

// newStream makes a stream of a driver that has a place for it, or one by itself.
func (c *Config) newStream() *Stream {
	if c.NewStream != nil {
		return c.NewStream()
	}
	return new(Stream)
}

// A ConnectRule says when a client may use Extended CONNECT on a connection.
type ConnectRule uint8

const (
	// Announced: once the server has sent SETTINGS_ENABLE_CONNECT_PROTOCOL = 1. RFC 8441, Section 3. ALPN h2.
	Announced ConnectRule = iota
	// Implied: always, as if a 1 had been received before the first byte; an explicit 0 breaks the rule that a 1 is not
	// taken back. A server has ConnectProtocol on, and announces nothing. ALPN wsoverh2.
	Implied
	// UnlessOff: unless the server's first SETTINGS say 0, which is what a server with ConnectProtocol off does; with it
	// on it announces nothing. A client knows when the first SETTINGS are there. ALPN h2.1.
	UnlessOff
)

// String returns "announced", "implied" or "unless-off".
func (r ConnectRule) String() string {
	switch r {
	case Announced:
		return "announced"
	case Implied:
		return "implied"
	case UnlessOff:
		return "unless-off"
	}
	return "ConnectRule(?)"
}

func (cfg Config) withDefaults() Config {
	setDefault(&cfg.MaxConcurrentStreams, 1000)
	setDefault(&cfg.InitialWindowSize, 256<<10)
	setDefault(&cfg.ConnWindowSize, 1<<20)
	setDefault(&cfg.MaxBufferedBytes, 4<<20)
	setDefault(&cfg.MaxFrameSize, wire.DefaultMaxFrameSize)
	setDefault(&cfg.HeaderTableSize, wire.DefaultTableSize)
	setDefault(&cfg.MaxHeaderListSize, 64<<10)
	setDefault(&cfg.MaxHeaderFields, 256)
	setDefault(&cfg.MaxContinuations, 8)
	setDefault(&cfg.MaxSendQueue, 64<<10)
	setDefault(&cfg.SettingsTimeout, 10*time.Second)
	setDefault(&cfg.HeadersTimeout, 10*time.Second)
	setDefault(&cfg.PingTimeout, 15*time.Second)
	setDefault(&cfg.ResetBurst, 1000)
	setDefault(&cfg.ResetRate, 33)
	setDefault(&cfg.ControlBurst, 10000)
	setDefault(&cfg.ControlRate, 1000)

	cfg.ConnectProtocol = cfg.ConnectProtocol || cfg.ConnectRule == Implied
	cfg.InitialWindowSize = min(cfg.InitialWindowSize, wire.MaxWindow)
	cfg.ConnWindowSize = min(max(cfg.ConnWindowSize, wire.DefaultWindow), wire.MaxWindow)
	cfg.MaxFrameSize = min(max(cfg.MaxFrameSize, wire.DefaultMaxFrameSize), wire.LargestFrameSize)
	return cfg
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
