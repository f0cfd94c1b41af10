package h3

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// A stream is one request stream from the moment it carries a tunnel, and the transport.Stream of a WebSocket. The client's
// Call uses it for the response before, and for its content.
//
//	open --Close--> closed: write what is queued, FIN, discard until the peer's FIN or linger passes --> gone
//	open or closed --Abort, connection lost--> gone
//
// It has no goroutine of its own but for Handle, and while something is written.
type stream struct {
	q      *quic.Stream
	conn   under
	writer *writer    // the connection's
	data   dataWriter // on q
	info   transport.Info

	closed    atomic.Bool // by Close or Abort: Send and Receive say net.ErrClosed. Set with out's mutex held
	receiving atomic.Bool // somebody reads from q

	// out's mutex guards everything down to the reader's part.
	out     transport.Queue
	listed  bool          // in the writer's list
	ahead   int           // bytes that the writer gave to QUIC since out last waited for it
	blocked bool          // QUIC did not take them: out's turn
	gone    bool          // nothing is left to do
	over    bool          // and the connection has been told
	done    chan struct{} // made on demand, closed when over
	failed  error         // why nothing can be sent any more
	handled bool          // Handle was called
	cut     bool          // the peer has reset its side before ours had ended

	unwatch func() bool // stops the watch over the end of the sending side

	batch batch

	// The reader's part: touched by Receive, or by Handle's goroutine.
	frames   unframer
	in       []byte // what the last read returned lies here
	size     int    // of the buffer for the next read
	received error  // how the peer's side ended
}

// under is what a stream needs to know of the connection that it is on.
type under interface {
	// lost says why the connection has ended; err is what QUIC says.
	lost(err error) *ConnError
	// violated ends the connection because of what the peer did on a stream.
	violated(*stream, *violation)
	// recvEmpty is told of n frames that cost the peer nothing; the error is a *violation where they are too many.
	recvEmpty(n int) error
	// released is told once that a stream is gone.
	released(*stream)
}

// newStream returns the stream on q. writeTimeout bounds how long the peer may accept nothing of what is queued.
func newStream(q *quic.Stream, conn under, w *writer, info transport.Info, writeTimeout time.Duration) *stream {
	info.Proto, info.Secure, info.StreamID = "HTTP/3.0", true, uint64(q.StreamID())
	s := &stream{q: q, conn: conn, writer: w, info: info, size: minReadSize, frames: newUnframer(true, nil)}
	s.out.Changed.L = &s.out
	s.out.Refuse = s.refuse
	s.data.Stream = q
	s.out.Conn = &s.data
	s.out.Timeout = writeTimeout
	if writeTimeout == 0 {
		s.out.Timeout = defaultWriteTimeout
	}
	s.out.Take, s.out.Pooled = s.take, true
	s.out.Handoff = s.handoff
	s.out.Failed = s.writeFailed
	s.out.Lock()
	s.unwatch = context.AfterFunc(q.Context(), s.sendingEnded)
	s.out.Unlock()
	return s
}

// Info implements [transport.Stream].
func (s *stream) Info() transport.Info { return s.info }

// Receive implements [transport.Stream].
func (s *stream) Receive() ([]byte, error) {
	if err := s.enterRead(); err != nil {
		return nil, err
	}
	p, err := s.read()
	if s.leaveRead() {
		return nil, s.closeCause()
	}
	return p, err
}

// Handle implements [transport.Stream]. It starts the one goroutine that reads from the stream.
func (s *stream) Handle(recv func(p []byte, err error)) {
	s.out.Lock()
	s.handled = true
	if !s.closed.Load() {
		s.q.SetReadDeadline(time.Time{})
	}
	s.out.Unlock()
	go s.handle(recv)
}

func (s *stream) handle(recv func(p []byte, err error)) {
	err := s.enterRead()
	if err != nil {
		recv(nil, err)
		return
	}
	for {
		var p []byte
		p, err = s.read()
		if s.closed.Load() {
			err = s.closeCause()
		}
		if err != nil {
			break
		}
		s.dispatch(recv, p)
	}
	s.releaseRead()
	s.leaveRead()
	recv(nil, err)
}

// enterRead says that somebody is about to read. Close sets closed first and looks at receiving then; here it is the other way
// round, so that one of both notices.
func (s *stream) enterRead() error {
	s.receiving.Store(true)
	if s.closed.Load() {
		s.leaveRead()
		return s.closeCause()
	}
	return nil
}

// closeCause is why a stream that is closed was.
func (s *stream) closeCause() error {
	s.out.Lock()
	defer s.out.Unlock()
	return s.closedErr()
}

// closedErr is closeCause with the mutex held.
func (s *stream) closedErr() error {
	if errors.Is(s.failed, transport.ErrStalled) {
		return s.failed
	}
	return net.ErrClosed
}

// leaveRead reports whether the stream was closed meanwhile.
func (s *stream) leaveRead() bool {
	s.receiving.Store(false)
	if !s.closed.Load() {
		return false
	}
	s.out.Lock()
	s.out.Changed.Broadcast()
	s.out.Unlock()
	return true
}

// read waits for bytes and returns all that are there, as far as the buffer goes. The buffer grows while reads fill it and
// shrinks when they leave most of it empty. Nothing is lost by a deadline, and the stream's end is final.
func (s *stream) read() ([]byte, error) {
	for s.received == nil {
		if cap(s.in) < s.size || cap(s.in) > 2*s.size {
			transport.PutBuffer(s.in)
			s.in = transport.GetBuffer(s.size)
		}
		n, err := s.q.Read(s.in[:cap(s.in)])
		switch {
		case n == cap(s.in):
			s.size = min(s.size*4, maxReadSize)
		case n > 0 && n <= cap(s.in)/8:
			s.size = max(s.size/4, minReadSize)
		}
		p, broken := s.frames.strip(s.in[:n])
		if n := s.frames.takeEmpty(); n > 0 && broken == nil {
			broken = s.conn.recvEmpty(n)
		}
		if err == io.EOF && broken == nil {
			broken = s.frames.broken()
		}
		switch {
		case broken != nil:
			v := broken.(*violation)
			s.conn.violated(s, v)
			s.received = &ConnError{Application: true, Code: uint64(v.code), Local: true, Heard: true, Detail: v.detail}
		case err == io.EOF:
			s.received = io.EOF
		case err != nil:
			if err = s.causeOf(streamError(err, int64(s.info.StreamID), s.conn)); isDeadline(err) {
				return nil, err
			}
			s.received = err
			if e, reset := err.(*StreamError); reset {
				s.peerReset(e)
			}
		}
		if len(p) > 0 {
			return p, nil
		}
	}
	s.releaseRead()
	return nil, s.received
}

// causeOf returns why we have stopped reading if err says that we did: what ended the stream may reach the reader after what we did then.
func (s *stream) causeOf(err error) error {
	if e, ok := err.(*StreamError); ok && e.Local {
		s.out.Lock()
		defer s.out.Unlock()
		if s.failed != nil {
			return s.failed
		}
	}
	return err
}

// peerReset gives the stream up because the peer has.
//
// "If the stream is reset or reading is aborted by the client, a proxy SHOULD perform the same operation on the other direction in
// order to ensure that both directions of the stream are cancelled." RFC 9114, Section 4.4.
func (s *stream) peerReset(err *StreamError) {
	s.out.Lock()
	if s.failed == nil {
		s.failed = err
	}
	gone := s.gone
	s.cut = !err.Local && context.Cause(s.q.Context()) != quic.ErrStreamClosed
	s.out.Unlock()
	if !gone {
		s.q.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		s.release()
	}
}

// releaseRead gives the buffer of the last read back.
func (s *stream) releaseRead() {
	transport.PutBuffer(s.in)
	s.in = nil
}

// SetReadDeadline implements [transport.Stream]. It has no effect after Handle.
func (s *stream) SetReadDeadline(t time.Time) {
	s.out.Lock()
	if !s.closed.Load() && !s.handled {
		s.q.SetReadDeadline(t)
	}
	s.out.Unlock()
}

// Close implements [transport.Stream]. A goroutine does the work and ends when linger has passed, at the latest.
func (s *stream) Close(linger time.Duration) {
	s.out.Lock()
	if s.closed.Swap(true) {
		s.out.Unlock()
		return
	}
	s.q.SetReadDeadline(longAgo)
	s.out.Changed.Broadcast()
	s.out.Unlock()
	go s.shut(linger)
}

// shut ends our side when all that is queued is written.
//
// "Orderly TCP-level closures are represented as a FIN bit on the stream." RFC 9220, Section 3.
func (s *stream) shut(linger time.Duration) {
	late := time.AfterFunc(max(linger, 0), s.hangUp)
	defer late.Stop()
	s.out.Finish()
	s.out.Lock()
	ok := s.failed == nil && !s.gone
	s.out.Unlock()
	if ok {
		s.q.Close()
	}
	s.out.Lock()
	for s.receiving.Load() && !s.gone {
		s.out.Changed.Wait()
	}
	ok = !s.gone
	s.out.Unlock()
	if ok {
		s.q.SetReadDeadline(time.Time{})
		s.in = nil // the caller of the last Receive may still be at it
		s.discard()
		s.release()
	}
}

// discard reads and forgets until the peer has ended its side. Nobody else reads.
func (s *stream) discard() {
	for s.received == nil {
		s.read()
	}
	s.releaseRead()
}

// Abort implements [transport.Stream].
func (s *stream) Abort() { s.hangUp() }

// hangUp ends the stream at once.
//
// "RST exceptions are represented with a stream error ... of type H3_REQUEST_CANCELLED." RFC 9220, Section 3.
func (s *stream) hangUp() { s.reset(http3.ErrCodeRequestCanceled) }

func (s *stream) reset(code http3.ErrCode) {
	s.out.Lock()
	s.closed.Store(true)
	gone := s.gone
	s.out.Unlock()
	if !gone {
		s.q.CancelWrite(quic.StreamErrorCode(code))
		s.q.CancelRead(quic.StreamErrorCode(code))
		s.release()
	}
}

// release makes the end known, once.
func (s *stream) release() {
	s.out.Lock()
	if s.gone {
		s.out.Unlock()
		return
	}
	s.gone = true
	s.out.Changed.Broadcast()
	s.out.Stop()
	if s.batch.watchdog != nil {
		s.batch.watchdog.Stop()
	}
	unwatch := s.unwatch
	s.out.Unlock()
	unwatch()
	s.conn.released(s)
	s.out.Lock()
	s.over = true
	if s.done != nil {
		close(s.done)
	}
	s.out.Unlock()
}

// wasReset reports whether the peer has ended the stream, which is gone, before its time.
func (s *stream) wasReset() bool {
	stopped, ok := errors.AsType[*quic.StreamError](context.Cause(s.q.Context()))
	s.out.Lock()
	defer s.out.Unlock()
	return s.cut || ok && stopped.Remote
}

// sendingEnded is called when our side of q has ended: by our FIN or reset, by the peer's STOP_SENDING, or with the connection.
func (s *stream) sendingEnded() {
	cause := context.Cause(s.q.Context())
	if cause == quic.ErrStreamClosed || cause == quic.Err0RTTRejected {
		return // our FIN; the connection goes on, and fails the call itself
	}
	err := streamError(cause, int64(s.info.StreamID), s.conn)
	_, onlySending := err.(*StreamError)
	s.out.Lock()
	if s.failed == nil {
		s.failed = err
	}
	s.out.Changed.Broadcast()
	s.out.Unlock()
	if !onlySending {
		s.release()
	}
}

// Done implements [transport.Stream].
func (s *stream) Done() <-chan struct{} {
	s.out.Lock()
	defer s.out.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.over {
			close(s.done)
		}
	}
	return s.done
}

const (
	defaultWriteTimeout = 30 * time.Second
	minReadSize         = 512
	maxReadSize         = 64 << 10
)

var (
	longAgo    = time.Unix(1, 0) // as a deadline interrupts what is blocked
	noDeadline time.Time
)
