package h1

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Send implements [transport.Stream]. It waits for room in the queue, not for the network.
func (s *Stream) Send(head, body []byte) (int, error) {
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
func (s *Stream) TrySend(p []byte) bool {
	s.out.Lock()
	if s.closed || s.ended || s.failed != nil || s.sending || len(s.queue)+len(p) > maxQueue+trySlack {
		s.out.Unlock()
		return false
	}
	s.append(p)
	s.out.Flush()
	return true
}

// sendPieces queues a unit that is larger than the queue. Called with the mutex held; unlocks it.
func (s *Stream) sendPieces(head, body []byte) (n int, err error) {
	s.sending = true
	for err == nil {
		for _, part := range []*[]byte{&head, &body} {
			k := min(len(*part), maxQueue-len(s.queue))
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

// append copies p to the queue, whose buffer comes from the pool. Called with the mutex held.
func (s *Stream) append(p []byte) {
	if need := len(s.queue) + len(p); need > cap(s.queue) {
		larger := append(transport.GetBuffer(max(need, 2*cap(s.queue))), s.queue...)
		transport.PutBuffer(s.queue)
		s.queue = larger
	}
	s.queue = append(s.queue, p...)
}

// awaitRoom waits until there is room in the queue; a new unit waits until no other is in the middle, too. Called with
// the mutex held.
func (s *Stream) awaitRoom(unit bool) error {
	for {
		switch {
		case s.failed != nil:
			return s.failed
		case s.closed || s.ended:
			return net.ErrClosed
		case !s.writeDeadline.IsZero() && !time.Now().Before(s.writeDeadline):
			return os.ErrDeadlineExceeded
		case len(s.queue) < maxQueue && !(unit && s.sending):
			return nil
		}
		// A full queue is written even during a batch.
		s.out.FlushNow()
		s.out.Lock()
		if len(s.queue) < maxQueue && !(unit && s.sending) {
			continue
		}
		s.waiting++
		s.arm()
		s.changed.Wait()
		s.waiting--
	}
}

// SetWriteDeadline implements [transport.Stream].
func (s *Stream) SetWriteDeadline(t time.Time) {
	s.out.Lock()
	s.writeDeadline = t
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
	s.out.Unlock()
}

// arm wakes the Sends that wait when the write deadline passes. Called with the mutex held.
func (s *Stream) arm() {
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

func (s *Stream) expired() {
	s.out.Lock()
	s.armed = time.Time{}
	s.changed.Broadcast()
	s.out.Unlock()
}

// take is the Flusher's source: it hands over the queue's buffer and takes the Flusher's empty one for it.
func (s *Stream) take(dst []byte) []byte {
	if len(s.queue) == 0 {
		transport.PutBuffer(s.queue)
		s.queue = nil
		return dst
	}
	out := s.queue
	s.queue = dst
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
	return out
}

// writeFailed is told the Flusher's first error. What the peer has sent before is still worth reading, for a Close frame
// may be among it, unless the peer just does not read.
func (s *Stream) writeFailed(err error) {
	stalled := errors.Is(err, os.ErrDeadlineExceeded)
	s.out.Lock()
	s.failed = err
	s.changed.Broadcast()
	gone := s.gone
	s.out.Unlock()
	switch {
	case stalled:
		s.hangUp()
	case !gone:
		time.AfterFunc(lastWords, s.hangUp)
	}
}

const (
	// maxQueue is how many bytes may be queued before Send waits; as many again may be in the Write under way.
	maxQueue = 64 << 10
	// trySlack is how much more TrySend may queue, so that control frames pass when messages wait.
	trySlack = 4 << 10
	// lastWords is how long a peer that accepts no more may be read from.
	lastWords = time.Second
)
