package h3

import (
	"sync/atomic"
	"time"
)

// A batch is what one read has brought, while a callback looks at it. What the application sends meanwhile leaves in one DATA frame,
// when the callback has returned, or after maxBatch if it takes that long; what is too much for the writer leaves at once.
//
//	handle: under = true; recv; under = false; held? ── the writer gets the stream again
//	writer: under? held = true; still under? ── leaves the stream to the end of the batch
//
// Nearly always the writer comes later, and a batch costs no lock.
type batch struct {
	under atomic.Bool // a callback is being called
	held  atomic.Bool // the writer has left what is queued

	// Guarded by the stream's mutex.
	late     bool // what is held does not wait any longer
	watchdog *time.Timer
}

// dispatch calls recv.
func (s *stream) dispatch(recv func(p []byte, err error), p []byte) {
	s.batch.under.Store(true)
	recv(p, nil)
	s.batch.under.Store(false)
	if s.batch.held.Load() {
		s.letGo(false)
	}
}

// holdBack reports whether what is queued is left to the end of a batch. Called with the mutex held.
func (s *stream) holdBack() bool {
	b := &s.batch
	if b.late || !b.under.Load() {
		b.late = false
		return false
	}
	b.held.Store(true)
	if !b.under.Load() { // it has ended, perhaps without seeing that
		b.held.Store(false)
		return false
	}
	if b.watchdog == nil {
		b.watchdog = time.AfterFunc(maxBatch, func() { s.letGo(true) })
	} else {
		b.watchdog.Reset(maxBatch)
	}
	return true
}

// letGo has the writer take what is held; late: though the batch has not ended.
func (s *stream) letGo(late bool) {
	s.out.Lock()
	if !s.batch.held.Swap(false) {
		s.out.Unlock()
		return
	}
	s.batch.late = late
	s.batch.watchdog.Stop()
	s.out.FlushNow()
}

// maxBatch is how long a callback may hold back what is sent on its WebSocket.
const maxBatch = time.Millisecond
