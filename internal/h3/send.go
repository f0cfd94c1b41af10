package h3

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// Send implements [transport.Stream]. It waits for room in the queue, not for the network.
func (s *stream) Send(head, body []byte) (int, error) { return s.out.Send(head, body) }

// TrySend implements [transport.Stream].
func (s *stream) TrySend(p []byte) bool { return s.out.TrySend(p) }

// Account implements [transport.AccountedStream].
func (s *stream) Account(b *transport.Budget) { s.out.Account(b) }

// SetWriteDeadline implements [transport.Stream].
func (s *stream) SetWriteDeadline(t time.Time) { s.out.SetWriteDeadline(t) }

// refuse says why nothing more is sent. Called with the mutex held.
func (s *stream) refuse() error {
	if s.closed.Load() {
		return s.closedErr()
	}
	return s.failed
}

// take is the Flusher's source: all that is queued.
func (s *stream) take(dst []byte) []byte {
	if s.out.Pending() == 0 {
		s.ahead, s.blocked = 0, false
	}
	return s.out.TakeAll(dst)
}

// A dataWriter writes DATA frames.
type dataWriter struct {
	*quic.Stream
	head [maxFrameHead]byte
}

// Write writes p as one DATA frame. One goroutine at a time.
//
// Choice: QUIC copies a header that is written by itself, and would have p copied if that were behind it.
func (w *dataWriter) Write(p []byte) (int, error) {
	if _, err := w.Stream.Write(appendData(w.head[:0], len(p))); err != nil {
		return 0, err
	}
	return w.Stream.Write(p)
}

// handoff leaves what is queued to the connection's writer, if it is little. Called with the mutex held.
func (s *stream) handoff() bool {
	if s.blocked || s.ahead+s.out.Pending() > maxAhead {
		return false
	}
	if !s.listed {
		s.listed = true
		s.writer.add(s)
	}
	return true
}

// tryWrite gives QUIC what is queued, if it takes all of that at once. Otherwise the Flusher does it, which waits. scratch is
// the caller's.
func (s *stream) tryWrite(scratch []byte) {
	s.out.Lock()
	s.listed = false
	n := s.out.Pending()
	if n == 0 || s.out.Busy() || s.gone {
		s.out.Unlock()
		return
	}
	if s.holdBack() {
		s.out.Unlock()
		return
	}
	if s.ahead+n <= maxAhead {
		// No lock is held across I/O: TryWriteAll only copies.
		err := s.q.TryWriteAll(append(appendData(scratch[:0], n), s.out.Bytes()...))
		if err == nil {
			s.ahead += n
			s.out.Taken(n)
			s.out.Shed()
			s.out.Unlock()
			return
		}
	}
	s.blocked = true
	s.out.FlushNow()
}

// A writer writes for the streams of one connection. Like the Flusher it yields first: what many streams queue meanwhile
// shares packets, which QUIC sends as soon as it knows of something to send.
type writer struct {
	mu      sync.Mutex
	streams []*stream // that have something queued
	spare   []*stream
	running bool
	start   func() // run, so that starting it does not allocate
}

func (w *writer) add(s *stream) {
	w.mu.Lock()
	w.streams = append(w.streams, s)
	start := !w.running
	w.running = true
	if w.start == nil {
		w.start = w.run
	}
	w.mu.Unlock()
	if start {
		go w.start()
	}
}

func (w *writer) run() {
	scratch := transport.GetBuffer(maxAhead + maxFrameHead)
	defer transport.PutBuffer(scratch)
	runtime.Gosched()
	runtime.Gosched()
	w.mu.Lock()
	for len(w.streams) > 0 {
		streams := w.streams
		w.streams, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		for _, s := range streams {
			s.tryWrite(scratch)
		}
		clear(streams)
		w.mu.Lock()
		w.spare = streams
	}
	w.running = false
	w.mu.Unlock()
}

// writeFailed is told the Flusher's first error. What the peer has sent before is still worth reading, for a Close frame may be
// among it, unless the peer just does not read.
func (s *stream) writeFailed(err error) {
	err = streamError(err, int64(s.info.StreamID), s.conn)
	stalled := isDeadline(err)
	if stalled {
		err = &StreamError{
			StreamID: int64(s.info.StreamID), Code: uint64(http3.ErrCodeRequestCanceled), Local: true, Stalled: true,
			Detail: "peer accepted nothing for " + s.out.Timeout.String() + " (stream " + strconv.FormatUint(s.info.StreamID, 10) + ")",
		}
	}
	s.out.Lock()
	if s.failed == nil {
		s.failed = err
	}
	s.out.Changed.Broadcast()
	s.out.Unlock()
	if stalled {
		s.hangUp()
	}
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// maxAhead is how many bytes QUIC gets without waiting for it to send them.
const maxAhead = 16 << 10
