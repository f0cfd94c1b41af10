package h2

import (
	"maps"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/bucket"
	"github.com/weftws/weft/internal/h2/wire"
)

// A Conn is one HTTP/2 connection as a machine. Every method that takes now expects it not to go backwards.
type Conn struct {
	cfg Config
	now time.Time // of the latest call that told it

	// Streams.
	streams     map[uint32]*Stream // open and half-closed ones
	mostStreams int                // that streams has held since it was made
	lastUsed    *Stream            // answer of the latest lookup
	nextID      uint32             // of our next request (client)
	maxPeerID   uint32             // highest that the peer opened (server)
	slotsUsed   int                // the peer's streams that are not both closed and released (server)
	closedIDs   closedIDs
	proposals   proposals // by WS_OPEN (client)

	// Receiving.
	prefaceDone bool // a server has seen the client's preface
	recvMax     uint32
	recvWindow  int64  // what the peer may send on the connection
	recvInitial uint32 // receive window of a new stream
	owed        int64  // received and not yet given back by WINDOW_UPDATE
	buffered    int64  // handed to the driver and not yet consumed, over all streams
	block       fieldBlock
	dec         *hpack.Decoder
	fields      []Field // storage of the events' Fields

	// Settings.
	peer             PeerSettings
	settingsAcked    bool
	settingsDeadline time.Time

	// Sending.
	out        []byte // what is to be written, in order; out[:outHead] is written
	outHead    int
	openData   openData
	largeOut   bool  // out has DATA that came worthSwapping bytes or more at once
	sendWindow int64 // what we may send on the connection
	ready      readyQueue
	spare      []*sendQueue // to be used again
	spareBytes int
	enc        *hpack.Encoder
	encoded    blockBuffer
	replies    int       // control frames in out that the peer has caused
	queued     int64     // bytes of DATA that wait on streams
	drained    int64     // bytes of DATA sent since the latest look for stalls
	stallCheck time.Time // when to look next; zero: nothing has waited since the last time

	// Limits.
	resets         bucket.Bucket
	control        bucket.Bucket
	freeUpdates    int // WINDOW_UPDATE frames that our DATA has paid for
	violationCount int

	// Life.
	heardAt        time.Time // the peer sent something
	keepalive      sentPing
	pings          []sentPing
	goAwaySent     bool
	goAwayLast     uint32 // of our GOAWAY; above it streams are ignored
	goAwayReceived bool
	peerLast       uint32 // of the peer's GOAWAY
	failed         bool

	events    []Event
	nextEvent int
	more      bool // the latest Recv stopped at MaxEvents
}

// New returns a Conn whose first output is queued: the preface (Client) and SETTINGS, and a WINDOW_UPDATE for the
// connection where ConnWindowSize is above 65,535.
func New(now time.Time, cfg Config) *Conn {
	cfg = cfg.withDefaults()
	c := &Conn{
		cfg:              cfg,
		now:              now,
		streams:          make(map[uint32]*Stream),
		nextID:           1,
		prefaceDone:      cfg.Side == Client,
		recvMax:          cfg.MaxFrameSize,
		recvWindow:       int64(cfg.ConnWindowSize),
		recvInitial:      max(cfg.InitialWindowSize, wire.DefaultWindow),
		peer:             defaultPeerSettings,
		settingsDeadline: now.Add(cfg.SettingsTimeout),
		sendWindow:       wire.DefaultWindow,
		resets:           bucket.New(now, cfg.ResetBurst, cfg.ResetRate),
		control:          bucket.New(now, cfg.ControlBurst, cfg.ControlRate),
		heardAt:          now,
		goAwayLast:       wire.MaxStreamID,
		peerLast:         wire.MaxStreamID,
	}
	c.peer.ConnectProtocol = cfg.ConnectRule == Implied
	c.dec = hpack.NewDecoder(wire.DefaultTableSize, c.recvField)
	c.dec.SetAllowedMaxDynamicTableSize(max(cfg.HeaderTableSize, wire.DefaultTableSize))
	c.enc = hpack.NewEncoder(&c.encoded)
	c.sendPreface()
	return c
}

// OpenStreams counts the streams that are not closed, both sides'; on a server also those not yet Released.
func (c *Conn) OpenStreams() int {
	if c.cfg.Side == Server {
		return c.slotsUsed
	}
	return len(c.streams) + len(c.proposals.undecided)
}

// Failed reports whether the connection is over: after EventConnFailed.
func (c *Conn) Failed() bool { return c.failed }

// Draining reports whether GOAWAY was sent or received.
func (c *Conn) Draining() bool { return c.goAwaySent || c.goAwayReceived || c.failed }

// Violations counts the rules that the peer has broken.
func (c *Conn) Violations() int { return c.violationCount }

// letGoOfInput makes the decoder forget where the last field block lay: it keeps what Write was given, and with it the
// driver's whole buffer.
func (c *Conn) letGoOfInput() {
	if c.failed {
		return
	}
	c.dec.SetEmitEnabled(false)
	_, _ = c.dec.Write(indexedField)
	_ = c.dec.Close()
}

// indexedField is a field of the static table, which changes nothing in the decoder. RFC 7541, Section 6.1.
var indexedField = []byte{0x82}

// Trim gives storage back that a quiet connection does not need. It does nothing while events or output wait.
func (c *Conn) Trim() {
	if c.HasOutput() || c.nextEvent < len(c.events) {
		return
	}
	c.events, c.nextEvent = nil, 0
	c.fields = nil
	c.out, c.outHead = nil, 0
	c.openData = openData{}
	c.spare, c.spareBytes = nil, 0
	c.encoded = nil
	if !c.block.open {
		c.block = fieldBlock{}
		c.letGoOfInput()
	}
	// A map does not shrink by itself.
	if c.mostStreams > 64 && len(c.streams) < c.mostStreams/4 {
		streams := make(map[uint32]*Stream, len(c.streams))
		maps.Copy(streams, c.streams)
		c.streams, c.mostStreams = streams, len(streams)
	}
}
