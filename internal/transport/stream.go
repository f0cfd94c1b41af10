package transport

import (
	"context"
	"net"
	"net/http"
	"time"
)

// A Stream is one bidirectional byte stream that carries a WebSocket: a TCP or TLS connection after an HTTP/1.1
// Upgrade, or one stream of HTTP/2 or HTTP/3 after an Extended CONNECT. It knows nothing of WebSocket frames.
type Stream interface {
	// Receive blocks until bytes arrive and returns them, all that are there. The slice is the caller's to read and
	// to change until its next call of Receive. It returns io.EOF when the peer ended its side properly (END_STREAM,
	// close_notify or FIN) and os.ErrDeadlineExceeded when the read deadline passes, which loses nothing: Receive
	// may be called again. One caller at a time.
	Receive() ([]byte, error)

	// Handle switches the stream from Receive to callbacks: from now on recv gets the bytes in order, one call at a
	// time, on the transport's reading goroutine. p is recv's to read and to change until it returns. The last call
	// is recv(nil, err). Bytes that arrived before Handle come first. A recv that blocks holds up this stream alone.
	Handle(recv func(p []byte, err error))

	// Send queues head and then body as one unit that no other Send comes between, and sees to it that they are
	// written soon. Both slices are the caller's again when Send returns. It blocks while the peer or the network
	// accepts no more (flow control, a bounded queue); when the write deadline passes before anything was taken, it
	// returns 0, os.ErrDeadlineExceeded and the stream is as before. n > 0 with an error means that the unit was cut:
	// the caller must give the stream up. Safe for concurrent use.
	Send(head, body []byte) (n int, err error)

	// TrySend queues p as Send does, without waiting: it reports false, and has queued nothing, when there is no room
	// (Send's limit and 4 KiB more) or when a Send is in the middle of its unit. For control frames.
	TrySend(p []byte) bool

	// SetReadDeadline and SetWriteDeadline work as on a net.Conn: also for a Receive or Send that is blocked now; the
	// zero time means none.
	SetReadDeadline(t time.Time)
	SetWriteDeadline(t time.Time)

	// Close ends our side when all that is queued has been written (END_STREAM; close_notify and FIN), discards what
	// still arrives, and frees everything when the peer has ended its side too or linger has passed (then
	// RST_STREAM(CANCEL), or the connection is closed). It does not block. A Receive that is blocked returns
	// net.ErrClosed; a recv set by Handle gets (nil, net.ErrClosed). The client of an HTTP/1.1 connection waits for
	// the server to end its side first, as long as linger allows.
	//
	// Choice: RFC 6455, Section 7.1.1 wants that so that TIME_WAIT stays with the server. A stream of HTTP/2 has none, and
	// ends on either side as soon as it can.
	Close(linger time.Duration)

	// Abort ends the stream at once: RST_STREAM(CANCEL), or the connection is closed. What is queued is lost.
	Abort()

	// Done is closed when the stream is gone: after Close what was queued has been written and the peer has ended its side
	// too, or linger has passed; after Abort, or when the connection is lost, at once.
	Done() <-chan struct{}

	// Info says where the stream rides.
	Info() Info
}

// A ReadyStream can send at once or not at all, so that who has a context need not tie it to the stream first.
type ReadyStream interface {
	// SendReady is Send where that need not wait. It reports false, and has queued nothing, where Send would wait or fail.
	SendReady(head, body []byte) bool
}

// A DrainStream wants to know when its reader is at the last of what it got by Receive or recv: what is sent from then on need not wait
// for more.
type DrainStream interface{ Drained() }

// Info describes the connection under a Stream.
type Info struct {
	Proto      string // "HTTP/1.1", "HTTP/2.0" or "HTTP/3.0", as in http.Request.Proto
	Secure     bool   // over TLS
	ConnID     uint64 // of the connection, unique in this process; see NextConnID
	StreamID   uint64 // the identifier of the HTTP/2 or QUIC stream, which may be 0 on HTTP/3; 0 on HTTP/1.1
	LocalAddr  net.Addr
	RemoteAddr net.Addr
}

// An Acceptor is an Extended CONNECT (shown to handlers as GET with Upgrade) that waits for its answer. A server of
// ours puts it into the request's context.
type Acceptor interface {
	// Accept answers 200 with h and hands the stream over; it outlives the handler. It fails if an answer was
	// given already or the stream is gone.
	Accept(h http.Header) (Stream, error)
}

// WithAcceptor returns ctx with a in it.
func WithAcceptor(ctx context.Context, a Acceptor) context.Context { return &AcceptorContext{ctx, a} }

// An AcceptorContext is what WithAcceptor returns, for those who have a place for it.
type AcceptorContext struct {
	context.Context
	Acceptor Acceptor
}

// Value implements context.Context.
func (c *AcceptorContext) Value(key any) any {
	if key == (acceptorKey{}) {
		return c.Acceptor
	}
	return c.Context.Value(key)
}

// AcceptorFrom returns the Acceptor in ctx, or nil.
func AcceptorFrom(ctx context.Context) Acceptor {
	a, _ := ctx.Value(acceptorKey{}).(Acceptor)
	if f, ok := a.(Fronted); ok {
		if front := f.Front(); front != nil {
			return front
		}
	}
	return a
}

// A Fronted Acceptor lets another one stand in its place, in a context that exists already. Not safe for concurrent use.
type Fronted interface {
	Acceptor
	Front() Acceptor
	SetFront(Acceptor)
}

// InEarlyData reports whether the request of ctx came in early data, so that it may be a replay (RFC 8470), and the
// handshake was not complete when its handler began.
func InEarlyData(ctx context.Context) bool {
	a, ok := AcceptorFrom(ctx).(interface{ InEarlyData() bool })
	return ok && a.InEarlyData()
}

// AwaitHandshake returns when the request of ctx cannot be a replay any more: the client has completed the handshake. Who recorded a
// request cannot do that. The error is ctx's cause. RFC 8470, Section 3.
func AwaitHandshake(ctx context.Context) error {
	if a, ok := AcceptorFrom(ctx).(interface{ AwaitHandshake(context.Context) error }); ok {
		return a.AwaitHandshake(ctx)
	}
	return nil
}

type acceptorKey struct{}
