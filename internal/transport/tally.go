package transport

import "errors"

// ErrOverBudget is Send's error where the stream holds much and all streams together hold too much. Nothing was queued.
var ErrOverBudget = errors.New("all connections together hold more than they may, and much of it waits for this peer to read")

// ErrStalled is the error of a stream that was given up because the peer took nothing of what was sent for the write timeout.
var ErrStalled = errors.New("peer took nothing of what was sent for the write timeout")

// An AccountedStream tells a Budget what it holds for a peer that does not read. A Stream may be one.
type AccountedStream interface {
	Stream
	// Account is called once, before anything is sent.
	Account(b *Budget)
}

// A tally is what a Queue has told a Budget: the buffers that it has and that the Flusher is writing. Nothing is told of small ones: a peer
// that reads costs no more than a comparison. Guarded by the Queue's mutex.
type tally struct {
	budget *Budget // nil: nobody counts
	told   int32   // bytes
	away   int32   // the size of the buffer that is being written
}

// Account has what q holds from now on counted by b.
func (q *Queue) Account(b *Budget) {
	q.Lock()
	q.budget = b
	q.Unlock()
}

// Away says how large the buffer is that is being written. Called with the mutex held.
func (q *Queue) Away(size int) {
	q.away = int32(size)
	q.tell()
}

// tell brings the Budget up to date. Called with the mutex held.
func (q *Queue) tell() {
	held := int32(cap(q.buf)) + q.away
	if held < smallQueue {
		held = 0
	}
	if held != q.told && q.budget != nil {
		q.budget.Add(int64(held - q.told))
		q.told = held
	}
}

// forget gives back what was told, for good. Called with the mutex held.
func (q *Queue) forget() {
	if q.told != 0 {
		q.budget.Add(-int64(q.told))
	}
	q.tally = tally{}
}

// overBudget reports whether nothing more may be queued. Called with the mutex held.
func (q *Queue) overBudget() bool {
	return q.told > largeQueue && q.budget.Held() > q.budget.Max
}

const (
	smallQueue = 8 << 10  // below it is not counted
	largeQueue = 64 << 10 // up to it a peer is left alone
)
