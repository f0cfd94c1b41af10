package weft

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
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
	recv   *proto.Receiver // guarded by reading
	send   *proto.Sender   // guarded by writing
	opt    *connOptions    // shared between connections

	reading gate
	writing gate

	rest     []byte         // guarded by reading: received and not parsed
	confirm  func()         // guarded by reading: told once that a valid frame has come; nil: nobody, or told
	reader   *messageReader // guarded by reading: the message that Reader handed out and that is not over
	controls controlBudget  // guarded by reading
	head     [14]byte       // guarded by writing: the frame header that is being sent

	subprotocol string
	trace       *Trace // a client's; nil on a server

	readLimit atomic.Int64
	heard     atomic.Bool // bytes came since the last keepalive tick
	waiting   atomic.Bool // somebody waits for bytes
	hasPong   atomic.Bool // pongDue is set
	sendEnded atomic.Bool // a Close frame was queued: no data frames any more
	handled   atomic.Bool // callbacks are in use

	mu sync.Mutex // guards what follows; never held across I/O
	// Invariant: err is set once, and then does not change; it is what every later Read returns.
	err           error
	closeSent     bool
	closeReceived bool
	finished      bool
	readCancel    cancelHook
	writeCancel   cancelHook
	pings         map[string]chan struct{}
	pongDue       []byte // the latest Ping that found no room for its Pong; nil: none
	pongWaits     bool   // a goroutine waits for room for pongDue
	answering     bool   // one sends the Close frame that answers the peer's, and then ends the Conn
	keepalive     *time.Timer
	closing       bool // keepalive has become the end of the wait for the peer's Close frame
	pinged        bool // a Ping was sent at the last keepalive tick
	doubted       bool // ... and not answered by this one
	observed      *observation

	// The list of a server's open connections.
	registry   *registry
	prev, next *Conn
}

// connOptions are what connections of one dialer or one AcceptOptions have in common.
type connOptions struct {
	side       frame.Side
	deflate    *deflate.Params
	threshold  int // compress from this size on
	onPing     func(context.Context, []byte) bool
	onPong     func(context.Context, []byte)
	keepalive  time.Duration
	maxMessage int64
	observer   *Observer // nil: nobody wants to know
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

func newConn(s transport.Stream, opt *connOptions, subprotocol string) *Conn {
	if opt.maxMessage == 0 {
		opt.maxMessage = defaultReadLimit
	}
	cfg := proto.Config{
		Side: opt.side, Deflate: opt.deflate, MaxMessageBytes: opt.maxMessage,
		Alloc: transport.GetBuffer, Free: transport.PutBuffer,
	}
	c := &Conn{
		stream: s, recv: proto.NewReceiver(cfg), send: proto.NewSender(cfg),
		opt: opt, subprotocol: subprotocol,
	}
	if opt.observer != nil {
		c.observed = &observation{start: time.Now()}
	}
	c.writeCancel.write = true
	c.readLimit.Store(opt.maxMessage)
	c.startKeepalive()
	return c
}

// Subprotocol returns the subprotocol that was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

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
	if c.keepalive != nil {
		c.keepalive.Stop()
	}
	for _, ch := range c.pings {
		close(ch)
	}
	c.pings = nil
	c.readCancel.drop()
	c.writeCancel.drop()
	c.mu.Unlock()
	if linger > 0 {
		c.stream.Close(linger)
	} else {
		c.stream.Abort()
	}
	if c.registry != nil {
		c.registry.remove(c)
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
