package h2net

import (
	"io"
	"net"
	"net/http"
	"os"
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
	c          *conn
	s          *h2.Stream // not to be touched when released
	id         uint32
	prev, next *stream // of conn.streams

	recv func(p []byte, err error) // set by Handle

	// buf[off:] was received and not yet taken by the application: no credit was given for it.
	buf []byte
	off int
	// expected is how many bytes the last Receive returned: how large a buffer the next one's begins with.
	expected int32
	lent     []byte        // what the last Receive returned
	wait     chan struct{} // has room for one; made by the first Receive that waits
	// writable is closed when Sends that wait should look again; nil while none waits.
	writable chan struct{}

	deadlines *deadlines  // nil while none was set
	linger    *time.Timer // of Close

	exchange *exchange // the server's request, while its handler runs
	request  *Call     // the client's request, until its answer has come
	trailers http.Header

	err error // why the stream ended before its time: *StreamError, *ConnError

	eof      bool // the peer ended its side
	closed   bool // Close or Abort was called
	busy     bool // a goroutine is in recv
	told     bool // recv had its last call
	sending  bool // a Send is in the middle of its unit
	waiting  bool // a Receive waits
	released bool
	done     chan struct{} // made on demand, closed when released

	awaitsEnd  bool // in conn.awaitingEnd
	resetAtEnd bool // RST_STREAM(NO_ERROR) follows what is queued
}

// Receive implements transport.Stream.
func (st *stream) Receive() ([]byte, error) {
	f := &st.c.f
	f.Lock()
	transport.PutBuffer(st.lent)
	st.lent = nil
	for {
		if len(st.buf) > st.off && !st.closed {
			p := st.buf[st.off:]
			st.lent, st.buf, st.off = st.buf, nil, 0
			st.expected = int32(len(p))
			st.consume(len(p))
			st.settle()
			st.flushCredit()
			return p, nil
		}
		if err := st.recvErr(); err != nil {
			f.Unlock()
			return nil, err
		}
		st.dropBuffer()
		st.waitInput()
	}
}

// read is Receive for an io.Reader.
func (st *stream) read(p []byte) (int, error) {
	f := &st.c.f
	f.Lock()
	for {
		if len(st.buf) > st.off && !st.closed {
			n := copy(p, st.buf[st.off:])
			st.off += n
			st.consume(n)
			if st.off == len(st.buf) {
				st.dropBuffer()
				st.settle()
			}
			st.flushCredit()
			return n, nil
		}
		if err := st.recvErr(); err != nil {
			f.Unlock()
			return 0, err
		}
		st.waitInput()
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
	case st.deadlines != nil && st.deadlines.read.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// waitInput waits for a change, without the lock.
func (st *stream) waitInput() {
	if st.wait == nil {
		st.wait = make(chan struct{}, 1)
	}
	st.waiting = true
	st.c.f.Unlock()
	<-st.wait
	st.c.f.Lock()
	st.waiting = false
}

// wakeReceive makes a Receive that waits look again.
func (st *stream) wakeReceive() {
	if st.waiting {
		st.waiting = false
		signal(st.wait)
	}
}

func (st *stream) consume(n int) {
	if n > 0 && st.c.err == nil {
		st.c.eng.Consume(st.s, n)
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

// dropBuffer gives the empty receive buffer back.
func (st *stream) dropBuffer() {
	if st.buf != nil {
		transport.PutBuffer(st.buf)
		st.buf, st.off = nil, 0
	}
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
		st.c.eng.Consume(st.s, ev.Size)
		st.settle()
	case st.recv != nil && !st.busy:
		p = st.join(p)
		st.c.eng.Consume(st.s, len(p))
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
		next := st.c.eng.NextData(st.s, maxJoinedFrame)
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
		st.c.reading.wakes = append(st.c.reading.wakes, st.wait)
	}
}

// queue keeps a copy of p in the receive buffer. The window bounds what can come together there.
func (st *stream) queue(p []byte) {
	if len(p) == 0 {
		return
	}
	if need := len(st.buf) + len(p); need > cap(st.buf) {
		grown := append(transport.GetBuffer(max(need, 2*cap(st.buf), min(int(st.expected), maxExpected))), st.buf[st.off:]...)
		transport.PutBuffer(st.buf)
		st.buf, st.off = grown, 0
	}
	st.buf = append(st.buf, p...)
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
	return st.recv != nil && !st.told && (len(st.buf) > st.off || st.closed || st.eof || st.err != nil)
}

// owed returns what the callback is to be called with next, or nothing. Bytes go back to the pool by putBuffer.
func (st *stream) owed() ([]byte, error) {
	switch {
	case !st.owes():
		return nil, nil
	case st.closed:
		st.told = true
		return nil, net.ErrClosed
	case len(st.buf) > st.off:
		p := st.buf[st.off:]
		st.buf, st.off = nil, 0
		st.consume(len(p))
		return p, nil
	}
	st.told = true
	if st.eof {
		return nil, io.EOF
	}
	return nil, st.err
}

func (st *stream) putBuffer(p []byte) {
	if p != nil {
		transport.PutBuffer(p)
	}
}

// Info implements transport.Stream.
func (st *stream) Info() transport.Info {
	return transport.Info{
		Proto: "HTTP/2.0", Secure: st.c.tls != nil, ConnID: st.c.id, StreamID: uint64(st.id),
		LocalAddr: st.c.local, RemoteAddr: st.c.remote,
	}
}

// Done implements transport.Stream.
func (st *stream) Done() <-chan struct{} {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	if st.done == nil {
		st.done = make(chan struct{})
		if st.released {
			close(st.done)
		}
	}
	return st.done
}

// settle frees everything when nobody needs the stream any more: both sides ended, the input was taken, and no handler
// of the server's is at it.
func (st *stream) settle() {
	if st.released || st.exchange != nil || st.request != nil || len(st.buf) > st.off || st.busy {
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
	if st.done != nil {
		close(st.done)
	}
	if st.linger != nil {
		st.linger.Stop()
	}
	st.deadlines.stop()
	st.dropBuffer()
	if st.c.err == nil {
		st.c.eng.Release(st.s)
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
