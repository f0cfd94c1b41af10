package h2net

import (
	"errors"
	"io"
	"math/bits"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/transport"
)

// A stream is one HTTP/2 stream, from its request to the end of both its sides, and the transport.Stream of a WebSocket.
// An ordinary request of the server and the answer to a client's Call use it for their bodies.
//
//	open ──┬─ peer's END_STREAM ─▶ eof ──────┐
//	       ├─ reset, connection lost ▶ err ──┼─▶ closed in the engine, input taken, nobody at work ▶ released
//	       └─ Close, Abort ──────▶ closed ───┘
//
// All of it is guarded by the connection's lock.
type stream struct {
	c          *conn     // nil until the stream is added
	s          h2.Stream // the engine's; not to be touched when released
	prev, next *stream   // of conn.streams

	recv func(p []byte, err error) // set by Handle

	queued *recvQueue // no credit was given for it
	lent   *recvQueue // what the last Receive returned, or what recv has
	// wait is of a Receive that waits; a channel would cost seven times as much. Whoever takes waiting back calls Done.
	wait     sync.WaitGroup
	exchange *exchange // the server's request, while its handler runs
	request  *Call     // the client's request, until its answer has come
	rare     *rarities // nil while there are none

	err error // why the stream ended before its time: *StreamError, *ConnError

	// The last Receive returned 1<<expected bytes or less: as large a buffer the next one's begins with.
	expected uint8
	eof      bool // the peer ended its side
	closed   bool // Close or Abort was called
	busy     bool // a goroutine is in recv
	told     bool // recv had its last call
	sending  bool // a Send is in the middle of its unit
	parked   bool // a Receive is in wait
	waiting  bool // ... and was not woken
	released bool

	awaitsEnd  bool // in conn.awaitingEnd
	resetAtEnd bool // RST_STREAM(NO_ERROR) follows what is queued
}

// newStream is the engine's Config.NewStream.
func newStream() *h2.Stream {
	st := new(stream)
	st.s.User = st
	return &st.s
}

// streamOf returns what s, which may be nil, is a part of; nil: it was not added, or stands for no stream.
func streamOf(s *h2.Stream) *stream {
	if s == nil {
		return nil
	}
	if st, ok := s.User.(*stream); ok && st.c != nil {
		return st
	}
	return nil
}

// rarities are what few open streams have.
type rarities struct {
	deadlines deadlines
	linger    *time.Timer // of Close
	trailers  http.Header
	done      chan struct{} // closed when the stream is released; nil while nobody wants to know
	writable  chan struct{} // closed when Sends that wait should look again; nil while none waits
}

// end is called when the stream is released.
func (r *rarities) end() {
	if r.done != nil {
		close(r.done)
	}
	if r.linger != nil {
		r.linger.Stop()
	}
	r.deadlines.stop()
}

// trailers are those of the peer, if they have come.
func (st *stream) trailers() http.Header {
	if st.rare == nil {
		return nil
	}
	return st.rare.trailers
}

func (st *stream) rarely() *rarities {
	if st.rare == nil {
		st.rare = new(rarities)
	}
	return st.rare
}

// Receive implements transport.Stream.
func (st *stream) Receive() ([]byte, error) {
	f := &st.c.f
	f.Lock()
	st.lent.free()
	st.lent = nil
	for {
		if p, err := st.take(); p != nil || err != nil {
			return p, err
		}
		if !st.waitInput() {
			return nil, errReceivers
		}
	}
}

// take is Receive without waiting. Called with the lock held, and keeps it if it returns nothing.
//
//go:noinline
func (st *stream) take() ([]byte, error) {
	if st.queued != nil && !st.closed {
		p := st.lend()
		st.expected = uint8(bits.Len(uint(len(p) - 1)))
		st.settle()
		st.flushCredit()
		return p, nil
	}
	err := st.recvErr()
	if err != nil {
		st.c.f.Unlock()
	}
	return nil, err
}

// lend takes what is queued and gives credit for it.
func (st *stream) lend() []byte {
	p := st.queued.rest()
	st.lent, st.queued = st.queued, nil
	st.consume(len(p))
	return p
}

// read is Receive for an io.Reader.
func (st *stream) read(p []byte) (int, error) {
	f := &st.c.f
	f.Lock()
	for {
		if st.queued != nil && !st.closed {
			n := copy(p, st.queued.rest())
			st.queued.off += n
			st.consume(n)
			if len(st.queued.rest()) == 0 {
				st.dropQueue()
				st.settle()
			}
			st.flushCredit()
			return n, nil
		}
		if err := st.recvErr(); err != nil {
			f.Unlock()
			return 0, err
		}
		if !st.waitInput() {
			return 0, errReceivers
		}
	}
}

// recvErr says why nothing more can be received, or why not now.
func (st *stream) recvErr() error {
	switch {
	case st.closed:
		return net.ErrClosed
	case st.eof:
		return io.EOF
	case st.err != nil:
		return st.err
	case st.rare != nil && st.rare.deadlines.read.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// waitInput waits for a change, without the lock. It returns false, and without the lock, if somebody else does already.
func (st *stream) waitInput() bool {
	if st.parked {
		st.c.f.Unlock()
		return false
	}
	st.parked, st.waiting = true, true
	st.wait.Add(1)
	st.c.f.Unlock()
	st.wait.Wait()
	st.c.f.Lock()
	st.parked = false
	return true
}

var errReceivers = errors.New("two goroutines receive from one stream")

// wakeReceive makes a Receive that waits look again.
func (st *stream) wakeReceive() {
	if st.waiting {
		st.waiting = false
		st.wait.Done()
	}
}

func (st *stream) consume(n int) {
	if n > 0 && st.c.err == nil {
		st.c.eng.Consume(&st.s, n)
	}
}

// flushCredit writes WINDOW_UPDATE frames if they are due, and unlocks.
func (st *stream) flushCredit() {
	if st.c.eng.HasOutput() {
		st.c.f.Flush()
	} else {
		st.c.f.Unlock()
	}
}

func (st *stream) dropQueue() {
	st.queued.free()
	st.queued = nil
}

// Handle implements transport.Stream.
func (st *stream) Handle(recv func(p []byte, err error)) {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	st.recv = recv
	st.lent = nil
	st.tellSoon()
}

// recvData takes an EventData. It returns st if its callback is to be called now, with the bytes.
func (st *stream) recvData(ev *h2.Event) (*stream, []byte) {
	p := ev.Data
	if ev.End {
		st.eof = true
	}
	switch {
	case st.closed:
		st.c.eng.Consume(&st.s, ev.Size)
		st.settle()
	case st.recv != nil && !st.busy:
		p = st.join(p)
		st.c.eng.Consume(&st.s, len(p))
		return st, p[:len(p):len(p)]
	default:
		st.queue(p)
		if st.recv == nil {
			st.wakeSoon()
		}
	}
	return nil, nil
}

// join moves what follows in small frames behind p, so that one call of the callback is enough. All of it lies in what was
// read, with nothing but frame headers between.
func (st *stream) join(p []byte) []byte {
	for !st.eof && len(p) < maxJoined {
		next := st.c.eng.NextData(&st.s, maxJoinedFrame)
		if next == nil {
			break
		}
		st.eof = next.End
		n := len(p)
		p = p[:n+len(next.Data)]
		copy(p[n:], next.Data)
	}
	return p
}

// wakeSoon is wakeReceive at the end of the batch.
func (st *stream) wakeSoon() {
	if st.waiting {
		st.waiting = false
		st.c.reading.wakes = append(st.c.reading.wakes, st)
	}
}

// queue keeps a copy of p for later. The window bounds what can come together there.
func (st *stream) queue(p []byte) {
	if len(p) == 0 {
		return
	}
	if st.queued == nil {
		st.queued = recvQueues.Get().(*recvQueue)
	}
	st.queued.append(p, min(1<<st.expected, maxExpected))
}

// recvEnd takes the peer's END_STREAM without DATA.
func (st *stream) recvEnd() *stream {
	st.eof = true
	return st.ended()
}

// recvReset takes an EventReset.
func (st *stream) recvReset(err error) *stream {
	st.fail(err)
	return st.ended()
}

// ended makes the end known. It returns st if its callback is to be called.
func (st *stream) ended() *stream {
	if st.recv != nil {
		if st.busy || st.told {
			st.settle()
			return nil
		}
		return st
	}
	st.wakeSoon()
	st.settle()
	return nil
}

// fail makes err the reason of a premature end.
func (st *stream) fail(err error) {
	if st.err == nil {
		st.err = err
	}
	if st.exchange != nil {
		st.exchange.cancel()
	}
	if st.request != nil {
		st.request.fail(err)
	}
	st.wakeSenders()
}

// end ends st because the connection has. What was received can still be taken.
func (st *stream) end(err *ConnError) {
	st.fail(err)
	st.wakeReceive()
	if st.recv != nil && !st.told && !st.busy {
		st.c.ending = append(st.c.ending, st)
	}
	st.settle()
}

// owes reports whether the callback has to be called.
func (st *stream) owes() bool {
	return st.recv != nil && !st.told && (st.queued != nil || st.closed || st.eof || st.err != nil)
}

// owed returns what the callback is to be called with next, or nothing. Bytes are lent.
func (st *stream) owed() ([]byte, error) {
	switch {
	case !st.owes():
		return nil, nil
	case st.closed:
		st.told = true
		return nil, net.ErrClosed
	case st.queued != nil:
		return st.lend(), nil
	}
	st.told = true
	if st.eof {
		return nil, io.EOF
	}
	return nil, st.err
}

// Info implements transport.Stream.
func (st *stream) Info() transport.Info {
	return transport.Info{
		Proto: "HTTP/2.0", Secure: st.c.tls != nil, ConnID: st.c.id, StreamID: uint64(st.s.ID),
		LocalAddr: st.c.local, RemoteAddr: st.c.remote,
	}
}

// Done implements transport.Stream.
func (st *stream) Done() <-chan struct{} {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	r := st.rarely()
	if r.done == nil {
		r.done = make(chan struct{})
		if st.released {
			close(r.done)
		}
	}
	return r.done
}

// settle frees everything when nobody needs the stream any more: both sides ended, the input was taken, and no handler
// of the server's is at it.
func (st *stream) settle() {
	if st.released || st.exchange != nil || st.request != nil || st.queued != nil || st.busy {
		return
	}
	if st.recv != nil && !st.told || !st.eof && !st.closed && st.err == nil {
		return // the engine may be ahead of what the stream has been told
	}
	if st.c.err == nil && !st.s.Closed() {
		if st.s.RecvClosed() && st.s.SendClosed() && st.s.Pending() > 0 {
			st.endWhenWritten()
		}
		return
	}
	st.released = true
	if r := st.rare; r != nil {
		r.end()
	}
	if st.c.err == nil {
		st.c.eng.Release(&st.s)
	}
	st.c.remove(st)
}

const (
	// maxJoinedFrame is the largest payload that is moved to come with what was before it, maxJoined when it is enough.
	maxJoinedFrame = 2 << 10
	maxJoined      = 16 << 10

	// maxExpected bounds the buffer that a stream begins with, in bytes.
	maxExpected = 256 << 10
)

// Names that read better than wire's at their places.
const (
	noError       = wire.NoError
	internalError = wire.InternalError
	cancelled     = wire.Cancel
)
