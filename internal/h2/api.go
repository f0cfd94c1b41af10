package h2

import (
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// CONTRACT STUB: signatures that h2net and the root package build on. The engine's author replaces this file by the
// real thing, split by the RFC's nouns.

// Side is the end of the connection that we are.
type Side uint8

const (
	Client Side = iota
	Server
)

// Config is what one endpoint is set to. The zero value of a field means its default.
type Config struct {
	Side Side

	// ConnectProtocol: a server announces SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441, Section 3). While it is off
	// a request with :protocol is malformed.
	ConnectProtocol bool

	MaxConcurrentStreams uint32 // what the peer may open; default 1000; a client always says 0 pushes
	InitialWindowSize    uint32 // receive window of a stream, bytes; default 256 KiB
	ConnWindowSize       uint32 // receive window of the connection, bytes; default 1 MiB
	MaxBufferedBytes     int64  // received and not yet consumed, over all streams; default 4 MiB. Above it no connection credit is given
	MaxFrameSize         uint32 // largest payload we accept, 16384 to 16777215; default 16384
	HeaderTableSize      uint32 // HPACK table of ours as decoder; default 4096; the encoder's is capped to 4096
	MaxHeaderListSize    uint32 // decoded bytes of a field section, RFC 9113, Section 6.5.2 arithmetic; default 64 KiB
	MaxHeaderFields      int    // field lines in a section, cookie crumbs counted; default 256
	MaxContinuations     int    // CONTINUATION frames in a section; default 8
	MaxSendQueue         int    // bytes of DATA queued on a stream at which Pending says stop; default 64 KiB

	SettingsTimeout time.Duration // for the peer's SETTINGS and for its ack; default 10 s
	HeadersTimeout  time.Duration // from a HEADERS frame to its END_HEADERS; default 10 s
	PingInterval    time.Duration // silence from the peer after which a PING is sent; 0: none
	PingTimeout     time.Duration // for its ack; default 15 s
	ResetBurst      int           // resets caused by the peer (Rapid Reset, and those that we send because of it); default 1000
	ResetRate       int           // a second; default 33
	ControlBurst    int           // SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty and unknown frames; default 10000
	ControlRate     int           // a second; default 1000
}

// A Stream is one request and its answer. The driver keeps what it needs of its own in User.
type Stream struct {
	ID   uint32
	User any

	conn *Conn
}

// Pending returns how many bytes of DATA are queued and wait for window or for their turn.
func (s *Stream) Pending() int { return 0 }

// SendClosed: END_STREAM was queued or the stream is closed. RecvClosed: END_STREAM arrived, or closed. Closed: both, or reset.
func (s *Stream) SendClosed() bool { return false }
func (s *Stream) RecvClosed() bool { return false }
func (s *Stream) Closed() bool     { return false }

// A Field is one field line; Name is lower case.
type Field struct{ Name, Value string }

// Pseudo are the pseudo-header fields of a request or response, "" or 0 where absent.
type Pseudo struct {
	Method, Scheme, Authority, Path, Protocol string
	Status                                    int
}

type EventKind uint8

const (
	// EventSettings: the peer's SETTINGS were applied; First on its first frame. See PeerSettings.
	EventSettings EventKind = iota + 1
	// EventHeaders: a request (server), or a response, interim (1xx) ones included (client). Pseudo, Fields, End.
	EventHeaders
	// EventTrailers ends the peer's side of the stream. Fields.
	EventTrailers
	// EventData: Data points into the slice given to Recv. End: the peer ended its side. Size is what flow control
	// counted (padding included) and what Consume is due for: the driver gives Consume(s, Size) in the end, at once or
	// as the application reads; padding's and empty frames' share is handled by the engine (Size is len(Data)).
	EventData
	// EventReset: the stream is gone, by the peer's RST_STREAM, by our Reset because of a violation, or because the
	// peer's GOAWAY did not count it (Unprocessed). Code, Initiator, Violation, Detail. Not sent for the driver's own Reset.
	EventReset
	// EventWritable: Pending has fallen to half of MaxSendQueue after it stood above MaxSendQueue.
	EventWritable
	// EventPong: the ack of a Ping of ours with this Ping payload; RTT is how long it took.
	EventPong
	// EventGoAway: the peer's GOAWAY. LastStreamID, Code, Debug.
	EventGoAway
	// EventConnFailed: the connection is over. Code, Initiator, Violation, Detail. AppendOutput still has the GOAWAY;
	// the driver writes it and closes. Every open stream is gone without an event of its own.
	EventConnFailed
)

// An Event is something the driver has to know. Slices are valid until the next Recv.
type Event struct {
	Kind         EventKind
	Stream       *Stream
	Pseudo       Pseudo
	Fields       []Field
	Data         []byte
	Size         int
	End          bool
	First        bool
	Unprocessed  bool
	Code         wire.ErrCode
	Initiator    Initiator
	Violation    *Violation // nil when it was the peer's own wish
	Detail       string     // "peer exceeded stream window by 16 bytes (FLOW_CONTROL_ERROR, stream 5)"
	LastStreamID uint32
	Debug        []byte
	Ping         [8]byte
	RTT          time.Duration
}

// Initiator is who ended a stream or a connection.
type Initiator uint8

const (
	Local Initiator = iota + 1
	Peer
)

// A Violation is a rule of the RFCs that a peer can break; violation.go is the table of them.
type Violation struct {
	Name    string // kebab-case: "connect-protocol-withdrawn"
	Conn    bool   // scope: the connection, else the stream
	Code    wire.ErrCode
	Section string // "RFC 9113, Section 6.9.1"
}

// PeerSettings are the peer's settings as they stand; the RFC's defaults before its first frame.
type PeerSettings struct {
	Received             bool
	ConnectProtocol      bool
	MaxConcurrentStreams uint32
	InitialWindowSize    uint32
	MaxFrameSize         uint32
	MaxHeaderListSize    uint32
}

// A Conn is one HTTP/2 connection as a machine.
type Conn struct{}

// New returns a Conn whose first output is queued: the preface (Client) and SETTINGS, and a WINDOW_UPDATE for the
// connection where ConnWindowSize is above 65,535.
func New(now time.Time, cfg Config) *Conn { return &Conn{} }

// Questions.

func (c *Conn) PeerSettings() PeerSettings { return PeerSettings{} }

// OpenStreams counts the streams that are not closed, both sides'; on a server also those not yet Released.
func (c *Conn) OpenStreams() int { return 0 }

// Slots returns how many more streams Open would take now; 0 once GOAWAY was sent or received.
func (c *Conn) Slots() int { return 0 }

// Failed: after EventConnFailed. Draining: GOAWAY was sent or received.
func (c *Conn) Failed() bool   { return false }
func (c *Conn) Draining() bool { return false }

// HasOutput reports whether AppendOutput would append something.
func (c *Conn) HasOutput() bool { return false }

// NextTimeout is when Advance is due; the zero time means never.
func (c *Conn) NextTimeout() time.Time { return time.Time{} }

// What happened.

// Recv takes whole frames (and the preface) from b and returns how many bytes it took; the driver keeps the rest and
// gives it again with more behind it. Data of events points into b.
func (c *Conn) Recv(now time.Time, b []byte) (n int) { return len(b) }

// Advance tells the time: timeouts, keepalive.
func (c *Conn) Advance(now time.Time) {}

// What we want.

// Open starts a request (client). An error: no slot, draining, or no identifiers left; nothing was sent.
func (c *Conn) Open(now time.Time, p Pseudo, fields []Field, end bool) (*Stream, error) {
	return nil, nil
}

// SendHeaders sends a response (p.Status set; interim for 1xx) or trailers (p zero, end true), in order behind DATA
// that is queued. On a closed stream it does nothing.
func (c *Conn) SendHeaders(s *Stream, p Pseudo, fields []Field, end bool) {}

// SendData queues head and body as DATA, copied. It always takes everything: the driver looks at Pending first.
func (c *Conn) SendData(s *Stream, head, body []byte, end bool) {}

// Consume says that n bytes of s's DATA are done with, and gives credit back.
func (c *Conn) Consume(s *Stream, n int) {}

// AutoConsume: from now on s's DATA counts as consumed when it arrives.
func (c *Conn) AutoConsume(s *Stream, on bool) {}

// Reset sends RST_STREAM and forgets what is queued on s.
func (c *Conn) Reset(now time.Time, s *Stream, code wire.ErrCode) {}

// Release says that the driver is done with s (its handler has returned); a server's slot is free when s is closed and released.
func (c *Conn) Release(s *Stream) {}

// Ping sends a PING; EventPong reports its ack.
func (c *Conn) Ping(now time.Time, data [8]byte) {}

// GoAway says that no new streams are taken. A server's graceful shutdown: GoAway(NoError) first with the highest
// last-stream-id, again (the driver calls it after a round trip) with the real one. RFC 9113, Section 6.8.
func (c *Conn) GoAway(code wire.ErrCode, debug string) {}

// What to do.

// NextEvent returns the next event, in order, or nil. It is valid until the next Recv or Advance.
func (c *Conn) NextEvent() *Event { return nil }

// AppendOutput appends what is to be written now, about max bytes at most, and returns it.
func (c *Conn) AppendOutput(dst []byte, max int) []byte { return dst }
