package h2net

import (
	"sync"

	"github.com/weftws/weft/internal/transport"
)

// A recvQueue is what was received and not yet taken by the application. A stream that has nothing has none.
type recvQueue struct {
	data []byte // Invariant: off < len(data), unless all was taken
	off  int    // data[:off] was taken
}

// rest is what was not taken; q may be nil.
func (q *recvQueue) rest() []byte {
	if q == nil {
		return nil
	}
	return q.data[q.off:]
}

// append keeps a copy of p, and room for so many bytes in all where it needs a larger buffer.
func (q *recvQueue) append(p []byte, room int) {
	if need := len(q.data) + len(p); need > cap(q.data) {
		grown := append(transport.GetBuffer(max(need, 2*cap(q.data), room)), q.rest()...)
		q.freeData()
		q.data, q.off = grown, 0
	}
	q.data = append(q.data, p...)
}

// free gives q back, which may be nil. Nobody may refer to its bytes any more.
func (q *recvQueue) free() {
	if q == nil {
		return
	}
	if cap(q.data) > keptQueue || transport.CountsBuffers {
		q.freeData()
	}
	q.data, q.off = q.data[:0], 0
	recvQueues.Put(q)
}

func (q *recvQueue) freeData() {
	transport.PutBuffer(q.data)
	q.data = nil
}

// recvQueues have a buffer of at most keptQueue, so that small messages need nothing else.
var recvQueues = sync.Pool{New: func() any { return new(recvQueue) }}

const keptQueue = 2 << 10
