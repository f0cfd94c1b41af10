package websocket

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// The types of messages: two that carry data, and the control frames. RFC 6455, Section 5.2.
const (
	TextMessage   = 1 // its payload is UTF-8; a writer vouches for that
	BinaryMessage = 2 // bytes
	CloseMessage  = 8 // its payload is nothing, or made by FormatCloseMessage
	PingMessage   = 9
	PongMessage   = 10
)

// A Conn is a WebSocket, over HTTP/1.1 or HTTP/2. One goroutine at a time may read (NextReader, ReadMessage, ReadJSON, SetReadDeadline,
// SetReadLimit, the handlers' setters), and one may write (NextWriter, WriteMessage, WriteJSON, WritePreparedMessage,
// SetWriteDeadline, EnableWriteCompression, SetCompressionLevel). Close and WriteControl may be called at any time by anybody.
//
// Ping, Pong and Close frames of the peer's are dealt with while somebody reads, and not otherwise.
type Conn struct {
	stream      transport.Stream
	side        frame.Side
	deflate     *deflate.Params // nil: no compression was agreed
	subprotocol string
	maskKey     func() [4]byte

	// The reader's.
	recv         *proto.Receiver
	rest         []byte         // received and not parsed
	confirm      func()         // told once that a valid frame has come; nil: nobody, or told
	reader       *messageReader // what NextReader returned last, while it has something to read
	inside       bool           // a message's first chunk was taken, and not its last
	readErr      error          // once set it stays
	readFailures int
	handlePing   func(string) error
	handlePong   func(string) error
	handleClose  func(int, string) error

	// The writer's.
	writer        *messageWriter // that NextWriter returned and that is not closed
	writeSize     int            // of a fragment, in bytes
	writeDeadline time.Time
	plain         bool // EnableWriteCompression(false)
	level         int
	busy          atomic.Bool // a write is under way

	// sending is held, by an entry in it, while a frame is sent: a lock that a deadline can end the wait for.
	sending  chan struct{}
	send     *proto.Sender // guarded by sending
	deadline time.Time     // guarded by sending: the stream's

	closed        atomic.Bool
	closeReceived atomic.Bool
	leaveServer   atomic.Pointer[func()] // nil: on no server of ours
	overBudget    func()                 // tells the server's observer; nil: there is no server

	mu       sync.Mutex
	writeErr error // guarded by mu; once set it stays
}

const (
	defaultWriteSize = 4096
	// controlWait bounds the answers of the default handlers.
	controlWait = time.Second
	// closeLinger is how long what is queued may take to be written after Close, and the peer to end its side.
	closeLinger = 5 * time.Second
)

func newConn(d transport.Detached, writeSize int) *Conn {
	cfg := proto.Config{Side: d.Side, Deflate: d.Deflate, Alloc: transport.GetBuffer, Free: transport.PutBuffer}
	c := &Conn{
		stream: d.Stream, side: d.Side, deflate: d.Deflate, subprotocol: d.Subprotocol,
		confirm: d.Confirm, maskKey: d.MaskKey, overBudget: d.OverBudget,
		recv: proto.NewReceiver(cfg), send: proto.NewSender(cfg),
		writeSize: writeSize, level: defaultLevel, sending: make(chan struct{}, 1),
	}
	if writeSize <= 0 {
		c.writeSize = defaultWriteSize
	}
	c.SetPingHandler(nil)
	c.SetPongHandler(nil)
	c.SetCloseHandler(nil)
	return c
}

// Subprotocol returns the subprotocol that was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Close ends the connection without a Close frame; what was written before still goes out. It unblocks everything that waits on c.
// A client waits for what was written to leave, a second at most, so that a program may exit after it.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	linger := closeLinger
	http1 := c.stream.Info().Proto == "HTTP/1.1"
	if http1 && c.side == frame.Client && !(c.closeReceived.Load() && c.writeError() == ErrCloseSent) {
		// With a linger the client of HTTP/1.1 would leave it to the server to end the connection, and the server knows nothing.
		linger = 0
	}
	c.stream.Close(linger)
	c.gone()
	if f, ok := c.stream.(transport.FlushStream); ok && c.side == frame.Client {
		flushed := make(chan struct{})
		go func() {
			f.Flush()
			close(flushed)
		}()
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-flushed:
		case <-timer.C:
		}
	}
	return nil
}

// LocalAddr returns the local address of the connection under c.
func (c *Conn) LocalAddr() net.Addr { return c.stream.Info().LocalAddr }

// RemoteAddr returns the peer's address of the connection under c.
func (c *Conn) RemoteAddr() net.Addr { return c.stream.Info().RemoteAddr }

// SetReadDeadline sets when reading fails, now or later; the zero time means never. After a read has timed out, all that follow
// return its error.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.stream.SetReadDeadline(t)
	return nil
}

// SetWriteDeadline sets when writes that begin after it fail; the zero time means never. After a write has timed out, all that
// follow return its error.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline = t
	return nil
}
