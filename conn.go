package weft

import (
	"cmp"
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// A Conn is one WebSocket, over whatever version of HTTP. All methods are safe for concurrent use.
//
//	         Close sent             both Close frames seen
//	open ───────────────▶ closing ─────────────────────────▶ closed
//	  │    Close received    │     deadline, connection lost    ▲
//	  └──────────────────────┴──────────────────────────────────┘
//
// It lives until a Close handshake, a violation by the peer, [Conn.CloseNow] or the loss of the connection; it outlives the
// handler that accepted it and the context that dialed it. Whoever has a Conn must close it.
type Conn struct {
	stream transport.Stream
	opt    *connOptions

	reading gate
	writing gate

	in     *inflow        // guarded by reading; nil while nothing is received
	reader *messageReader // guarded by reading: the message that Reader handed out and that is not over
	dialed *dialed        // nil on a server
	send   proto.Sender   // guarded by writing

	readLimit atomic.Int64
	controls  controlBudget // guarded by reading
	heard     atomic.Bool   // bytes came since the last keepalive tick
	hasPong   atomic.Bool   // pongDue is set
	sendEnded atomic.Bool   // a Close frame was queued: no data frames any more
	handled   atomic.Bool   // callbacks are in use
	whole     bool          // guarded by reading: of the inflow
	own       bool          // guarded by reading: of the inflow
	over      bool          // guarded by reading: the Handler has had its last call

	closeSent     bool
	closeReceived bool
	finished      bool
	answering     bool // a goroutine sends the Close frame that answers the peer's, and then ends the Conn

	mu sync.Mutex // guards what follows and the four above; never held across I/O
	// Invariant: err is set once, and then does not change; it is what every later Read returns.
	err   error
	hooks atomic.Pointer[cancelHooks] // set once, with mu held; nil: no context has had a Done
	rare  *rarities                   // nil while there are none

	ip         *ipCount // of the client; nil: not counted
	prev, next *Conn    // in the list of a server's open connections
}

// rarities are what few Conns have, or few at a time. Guarded by Conn.mu.
type rarities struct {
	pings     map[string]chan struct{}
	pongDue   []byte // the latest Ping that found no room for its Pong; nil: none
	pongWaits bool   // a goroutine waits for room for pongDue
	keepalive *time.Timer
	closing   bool // keepalive has become the end of the wait for the peer's Close frame
	pinged    bool // a Ping was sent at the last keepalive tick
	doubted   bool // ... and not answered by this one
	observed  *observation
	inflater  *deflate.Decompressor // of the peer's messages, while there is no inflow; nil: none was compressed
	held      int64                 // what account has told the server's memory budget
}

// rarely returns c.rare, made if need be. Called with mu held.
func (c *Conn) rarely() *rarities {
	if c.rare == nil {
		c.rare = new(rarities)
	}
	return c.rare
}

// observed returns what is told about c; nil: nobody wants to know. Called with mu held.
func (c *Conn) observed() *observation {
	if c.rare == nil {
		return nil
	}
	return c.rare.observed
}

func (r *rarities) stopKeepalive() {
	if r.keepalive != nil {
		r.keepalive.Stop()
	}
}

// dialed is what only a client's Conn has: what its Trace cannot find out later.
type dialed struct {
	url        string
	rung       Rung
	attempts   []Attempt
	roundTrips int32
	reused     bool
	confirm    func() // guarded by reading: told once that a valid frame has come; nil: nobody, or told
}

func (d *dialed) trace() Trace {
	return Trace{URL: d.url, Rung: d.rung, Reused: d.reused, RoundTrips: int(d.roundTrips), Attempts: d.attempts}
}

const (
	// defaultReadLimit is how large a message may be after inflating, unless SetReadLimit says otherwise.
	defaultReadLimit = 1 << 20
	// closeTimeout bounds the writing of our Close frame, and then the wait for the peer's.
	closeTimeout = 5 * time.Second
	// closeLinger bounds the wait for the peer to end the connection once both Close frames were seen.
	closeLinger = 2 * time.Second
	// defaultKeepalive is the silence after which a peer is asked whether it is there.
	defaultKeepalive = 30 * time.Second
)

func newConn(s transport.Stream, opt *connOptions) *Conn {
	c := new(Conn)
	c.init(s, opt)
	return c
}

func (c *Conn) init(s transport.Stream, opt *connOptions) {
	c.stream, c.opt, c.send = s, opt, *proto.NewSender(opt.proto())
	if opt.observer != nil {
		c.rarely().observed = &observation{start: time.Now()}
	}
	c.SetReadLimit(cmp.Or(opt.readLimit, defaultReadLimit))
	c.startKeepalive()
}

// Subprotocol returns the subprotocol that was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.opt.subprotocol }

// Version returns the version of HTTP under the WebSocket: "HTTP/1.1", "HTTP/2.0" or "HTTP/3.0".
func (c *Conn) Version() string { return c.stream.Info().Proto }

// SetReadLimit sets how many bytes a message may have, counted after inflating. The default is 1 MiB; 0 or less means no
// limit. A larger message is a [ProtocolError] for which errors.Is(err, ErrMessageTooBig) holds, and closes the
// WebSocket with StatusMessageTooBig.
func (c *Conn) SetReadLimit(n int64) { c.readLimit.Store(max(n, 0)) }

// ctxErr maps a deadline that fired on behalf of ctx to ctx's error; nil means that it was not ctx's.
func ctxErr(ctx context.Context, err error) error {
	if os.IsTimeout(err) {
		return ctx.Err()
	}
	return nil
}

// terminate sets the error that everything returns from now on, and gives the stream up: gracefully after both Close
// frames (linger > 0), else at once. Only the first call counts; it reports whether it was that.
func (c *Conn) terminate(err error, linger time.Duration) bool {
	c.mu.Lock()
	if c.finished {
		c.mu.Unlock()
		return false
	}
	c.finished = true
	if c.err == nil {
		c.err = err
	}
	c.sendEnded.Store(true)
	if r := c.rare; r != nil {
		r.stopKeepalive()
		for _, ch := range r.pings {
			close(ch)
		}
		r.pings = nil
	}
	c.dropHook(readDeadline)
	c.dropHook(writeDeadline)
	c.mu.Unlock()
	if linger > 0 {
		c.stream.Close(linger)
	} else {
		c.stream.Abort()
	}
	if c.opt.registry != nil {
		c.opt.registry.remove(c)
		c.forget()
	}
	if c.opt.observer != nil && !c.handled.Load() {
		c.observeClosed()
	}
	return true
}

// terminal returns the error with which the Conn ended, or nil.
func (c *Conn) terminal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// closedFor returns the error for an operation on a Conn that is closing or closed.
func (c *Conn) closedFor(op string) error {
	if err := c.terminal(); err != nil && !isClosed(err) {
		return err
	}
	return closedError(op)
}

func isClosed(err error) bool {
	_, ok := err.(closedError)
	return ok || err == net.ErrClosed
}
