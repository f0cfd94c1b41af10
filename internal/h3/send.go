package h3

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// Send implements [transport.Stream]. It waits for room in the queue, not for the network.
func (s *stream) Send(head, body []byte) (int, error) {
	total := len(head) + len(body)
	s.out.Lock()
	if err := s.awaitRoom(true); err != nil {
		s.out.Unlock()
		return 0, err
	}
	if total > maxQueue {
		return s.sendPieces(head, body)
	}
	s.append(head)
	s.append(body)
	s.out.Flush()
	return total, nil
}

// TrySend implements [transport.Stream].
func (s *stream) TrySend(p []byte) bool {
	s.out.Lock()
	if s.closed || s.failed != nil || s.sending || s.pending()+len(p) > maxQueue+trySlack {
		s.out.Unlock()
		return false
	}
	s.append(p)
	s.out.Flush()
	return true
}

// sendPieces queues a unit that is larger than the queue. Called with the mutex held; unlocks it.
func (s *stream) sendPieces(head, body []byte) (n int, err error) {
	s.sending = true
	for err == nil {
		for _, part := range []*[]byte{&head, &body} {
			k := min(len(*part), maxQueue-s.pending())
			s.append((*part)[:k])
			*part = (*part)[k:]
			n += k
		}
		if len(head)+len(body) == 0 {
			break
		}
		err = s.awaitRoom(false)
	}
	s.sending = false
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
	s.out.Flush()
	return n, err
}

func (s *stream) pending() int { return len(s.queue) - s.off }

// append copies p to the queue, whose buffer comes from the pool. Called with the mutex held.
func (s *stream) append(p []byte) {
	if need := len(s.queue) + len(p); need > cap(s.queue) {
		size := s.pending() + len(p)
		larger := append(transport.GetBuffer(max(size, min(2*size, maxQueue))), s.queue[s.off:]...)
		transport.PutBuffer(s.queue)
		s.queue, s.off = larger, 0
	}
	s.queue = append(s.queue, p...)
}

// awaitRoom waits until there is room in the queue; a new unit waits until no other is in the middle, too. Called with the mutex
// held.
func (s *stream) awaitRoom(unit bool) error {
	for {
		switch {
		case s.closed:
			return net.ErrClosed
		case s.failed != nil:
			return s.failed
		case !s.writeDeadline.IsZero() && !time.Now().Before(s.writeDeadline):
			return os.ErrDeadlineExceeded
		case s.pending() < maxQueue && !(unit && s.sending):
			return nil
		}
		// A full queue is written even during a batch.
		s.out.FlushNow()
		s.out.Lock()
		if s.pending() < maxQueue && !(unit && s.sending) {
			continue
		}
		s.waiting++
		s.arm()
		s.changed.Wait()
		s.waiting--
	}
}

// SetWriteDeadline implements [transport.Stream].
func (s *stream) SetWriteDeadline(t time.Time) {
	s.out.Lock()
	s.writeDeadline = t
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
	s.out.Unlock()
}

// arm wakes the Sends that wait when the write deadline passes. Called with the mutex held.
func (s *stream) arm() {
	if s.writeDeadline.IsZero() || s.armed.Equal(s.writeDeadline) {
		return
	}
	s.armed = s.writeDeadline
	if d := time.Until(s.armed); s.writeTimer == nil {
		s.writeTimer = time.AfterFunc(d, s.expired)
	} else {
		s.writeTimer.Reset(d)
	}
}

func (s *stream) expired() {
	s.out.Lock()
	s.armed = time.Time{}
	s.changed.Broadcast()
	s.out.Unlock()
}

// take is the Flusher's source: what is queued, as one DATA frame.
func (s *stream) take(dst []byte) []byte {
	n := min(s.pending(), cap(dst)-len(dst)-maxFrameHead)
	if n <= 0 {
		transport.PutBuffer(s.queue)
		s.queue, s.off = nil, 0
		s.ahead, s.blocked = 0, false
		return dst
	}
	dst = append(appendData(dst, n), s.queue[s.off:s.off+n]...)
	s.taken(n)
	return dst
}

// taken takes n bytes off the queue. Called with the mutex held.
func (s *stream) taken(n int) {
	if s.off += n; s.off == len(s.queue) {
		s.queue, s.off = s.queue[:0], 0
	}
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
}

// handoff leaves what is queued to the connection's writer, if it is little. Called with the mutex held.
func (s *stream) handoff() bool {
	if s.blocked || s.ahead+s.pending() > maxAhead {
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
	n := s.pending()
	if n == 0 || s.out.Busy() || s.gone {
		s.out.Unlock()
		return
	}
	if s.ahead+n <= maxAhead {
		// No lock is held across I/O: TryWriteAll only copies.
		err := s.q.TryWriteAll(append(appendData(scratch[:0], n), s.queue[s.off:]...))
		if err == nil {
			s.ahead += n
			s.taken(n)
			transport.PutBuffer(s.queue)
			s.queue = nil
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
			StreamID: int64(s.info.StreamID), Code: uint64(http3.ErrCodeRequestCanceled), Local: true,
			Detail: "peer accepted nothing for " + s.out.Timeout.String() + " (stream " + strconv.FormatUint(s.info.StreamID, 10) + ")",
		}
	}
	s.out.Lock()
	if s.failed == nil {
		s.failed = err
	}
	s.changed.Broadcast()
	s.out.Unlock()
	if stalled {
		s.hangUp()
	}
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

const (
	// maxQueue is how many bytes may be queued before Send waits; as many again may be in the Write under way.
	maxQueue = 64 << 10
	// trySlack is how much more TrySend may queue, so that control frames pass when messages wait.
	trySlack = 4 << 10
	// maxAhead is how many bytes QUIC gets without waiting for it to send them.
	maxAhead = 16 << 10
)
