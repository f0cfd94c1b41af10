package transport

import (
	"os"
	"sync"
	"time"
)

// A Queue holds what a stream with a Flusher of its own has yet to write. Its methods implement those of [Stream] with the same
// names.
type Queue struct {
	Flusher
	tally

	// Refuse is asked with the mutex held why nothing is taken any more; nil: something is.
	Refuse func() error

	// Changed wakes those who wait: there is room, or Refuse has another answer. It is for other conditions under the mutex too.
	Changed sync.Cond

	buf []byte // buf[off:] waits; from the pool
	off int

	sending bool // a Send in pieces is under way; no other may come between
	waiting int  // Sends that wait for Changed

	writeDeadline time.Time
	writeTimer    *time.Timer
	armed         time.Time // what writeTimer is set to
}

// Send waits for room in the queue, not for the network.
func (q *Queue) Send(head, body []byte) (int, error) {
	q.Lock()
	if q.overBudget() {
		q.Unlock()
		return 0, ErrOverBudget
	}
	if err := q.awaitRoom(true); err != nil {
		q.Unlock()
		return 0, err
	}
	total := len(head) + len(body)
	if total > largeUnit && q.Pending() == 0 && q.direct() {
		return q.sendLarge(head, body)
	}
	if total > maxUnit {
		return q.sendPieces(head, body)
	}
	q.append(head, body)
	q.Flush()
	return total, nil
}

// sendLarge writes what the network takes at once without copying it, but for the beginning, and queues the rest. Called with the
// mutex held and nothing queued; unlocks it.
func (q *Queue) sendLarge(head, body []byte) (int, error) {
	total := len(head) + len(body)
	q.turn++
	q.flushing, q.sending = true, true
	first := GetBuffer(largeUnit)
	for _, part := range []*[]byte{&head, &body} {
		k := min(len(*part), largeUnit-len(first))
		first = append(first, (*part)[:k]...)
		*part = (*part)[k:]
	}
	if len(head) > 0 { // a frame in one piece
		head, body = nil, head
	}
	q.Unlock()
	rest, clear, err := q.try(first)
	if clear && err == nil {
		body, clear, err = q.try(body)
	}
	q.Lock()
	q.sending = false
	if q.waiting > 0 {
		q.Changed.Broadcast()
	}
	if clear || err != nil {
		q.finished(first, err)
		return total, nil
	}
	q.rest = first[:copy(first, rest)]
	q.spawn()
	if len(body) == 0 {
		return total, nil
	}
	q.Lock()
	n, err := q.sendPieces(nil, body)
	return total - len(body) + n, err
}

// TrySend is Send without waiting.
func (q *Queue) TrySend(p []byte) bool {
	q.Lock()
	if !q.tryAppend(p) {
		q.Unlock()
		return false
	}
	q.Flush()
	return true
}

// tryAppend is called with the mutex held.
func (q *Queue) tryAppend(p []byte) bool {
	if q.sending || q.Pending()+len(p) > MaxQueue+TrySlack || q.Refuse() != nil {
		return false
	}
	q.append(p, nil)
	return true
}

// sendPieces queues a unit that is larger than the queue. Called with the mutex held; unlocks it.
func (q *Queue) sendPieces(head, body []byte) (n int, err error) {
	q.sending = true
	for err == nil {
		for _, part := range []*[]byte{&head, &body} {
			k := min(len(*part), max(MaxQueue-q.Pending(), 0))
			q.append((*part)[:k], nil)
			*part = (*part)[k:]
			n += k
		}
		if len(head)+len(body) == 0 {
			break
		}
		err = q.awaitRoom(false)
	}
	q.sending = false
	if q.waiting > 0 {
		q.Changed.Broadcast()
	}
	q.Flush()
	return n, err
}

// append copies a and b to the queue. Called with the mutex held.
func (q *Queue) append(a, b []byte) {
	if more := len(a) + len(b); len(q.buf)+more > cap(q.buf) {
		size := q.Pending() + more
		larger := append(GetBuffer(max(size, min(2*size, MaxQueue))), q.buf[q.off:]...)
		PutBuffer(q.buf)
		q.buf, q.off = larger, 0
		q.tell()
	}
	q.buf = append(append(q.buf, a...), b...)
}

// awaitRoom waits until there is room in the queue; a new unit waits until no other is in the middle, too. Called with the mutex
// held.
func (q *Queue) awaitRoom(unit bool) error {
	for {
		if err := q.Refuse(); err != nil {
			return err
		}
		if !q.writeDeadline.IsZero() && !time.Now().Before(q.writeDeadline) {
			return os.ErrDeadlineExceeded
		}
		if q.hasRoom(unit) {
			return nil
		}
		// A full queue is written even during a batch.
		q.FlushNow()
		q.Lock()
		if q.hasRoom(unit) {
			continue
		}
		q.waiting++
		q.arm()
		q.Changed.Wait()
		q.waiting--
	}
}

func (q *Queue) hasRoom(unit bool) bool { return q.Pending() < MaxQueue && !(unit && q.sending) }

// SetWriteDeadline bounds how long a Send waits.
func (q *Queue) SetWriteDeadline(t time.Time) {
	q.Lock()
	q.writeDeadline = t
	if q.waiting > 0 {
		q.Changed.Broadcast()
	}
	q.Unlock()
}

// arm wakes the Sends that wait when the write deadline passes. Called with the mutex held.
func (q *Queue) arm() {
	if q.writeDeadline.IsZero() || q.armed.Equal(q.writeDeadline) {
		return
	}
	q.armed = q.writeDeadline
	if d := time.Until(q.armed); q.writeTimer == nil {
		q.writeTimer = time.AfterFunc(d, q.expired)
	} else {
		q.writeTimer.Reset(d)
	}
}

func (q *Queue) expired() {
	q.Lock()
	q.armed = time.Time{}
	q.Changed.Broadcast()
	q.Unlock()
}

// Stop ends the timer of the write deadline, and forgets what waits and what a Budget counts: Refuse says why from now on. Called with
// the mutex held.
func (q *Queue) Stop() {
	if q.writeTimer != nil {
		q.writeTimer.Stop()
	}
	PutBuffer(q.buf)
	q.buf, q.off = nil, 0
	q.forget()
}

// Pending is how many bytes wait. Called with the mutex held, as what follows.
func (q *Queue) Pending() int { return len(q.buf) - q.off }

// Bytes are what waits.
func (q *Queue) Bytes() []byte { return q.buf[q.off:] }

// Taken says that the first n of Bytes are on their way.
func (q *Queue) Taken(n int) {
	if q.off += n; q.off == len(q.buf) {
		q.buf, q.off = q.buf[:0], 0
	}
	if q.waiting > 0 {
		q.Changed.Broadcast()
	}
}

// Shed gives back the buffer of an empty queue.
func (q *Queue) Shed() {
	if len(q.buf) == 0 {
		PutBuffer(q.buf)
		q.buf = nil
		q.tell()
	}
}

// Held reports whether the queue has a buffer.
func (q *Queue) Held() bool { return q.buf != nil }

// TakeAll is a Flusher's Take for a queue whose bytes are written as they are: the buffer changes hands. See Flusher.Pooled.
func (q *Queue) TakeAll(dst []byte) []byte {
	if len(q.buf) == 0 {
		q.away = 0
		q.Shed()
		return dst
	}
	out := q.buf
	q.buf = dst
	q.Away(cap(out))
	if q.waiting > 0 {
		q.Changed.Broadcast()
	}
	return out
}

const (
	// MaxQueue is how many bytes may be queued before Send waits; as many again may be in the Write under way.
	MaxQueue = 64 << 10
	// maxUnit is the largest unit that is queued at once: a message of 64 KiB with its header.
	maxUnit = MaxQueue + 16
	// largeUnit is the size from which on a unit need not be copied. A TLS record takes as much. RFC 8446, Section 5.1.
	largeUnit = 16 << 10
	// TrySlack is how much more TrySend may queue, so that control frames pass when messages wait.
	TrySlack = 4 << 10
)
