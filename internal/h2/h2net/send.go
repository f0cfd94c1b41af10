package h2net

import (
	"net"
	"os"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// Send implements transport.Stream.
func (st *stream) Send(head, body []byte) (int, error) {
	c := st.c
	c.f.Lock()
	n := len(head) + len(body)
	if !st.hasRoom(n) {
		return st.sendSlowly(head, body)
	}
	c.eng.SendData(&st.s, head, body, false)
	c.f.Flush()
	return n, nil
}

// SendReady implements transport.ReadyStream.
func (st *stream) SendReady(head, body []byte) bool {
	c := st.c
	c.f.Lock()
	if !st.hasRoom(len(head) + len(body)) {
		c.f.Unlock()
		return false
	}
	c.eng.SendData(&st.s, head, body, false)
	c.f.Flush()
	return true
}

// hasRoom reports whether a unit of n bytes can be queued at once. Called with the lock held.
func (st *stream) hasRoom(n int) bool {
	return n > 0 && n <= st.c.sendQueue && !st.sending && st.sendErr() == nil && st.s.Pending() <= st.c.sendQueue
}

// sendSlowly is Send where it may have to wait, or cannot send. Called with the lock held; unlocks it.
//
//go:noinline
func (st *stream) sendSlowly(head, body []byte) (int, error) {
	n, err := st.send(head, body)
	if n > 0 {
		st.c.f.Flush()
	} else {
		st.c.f.Unlock()
	}
	return n, err
}

// send queues head and body. Called with the lock held, which it gives up while it waits; returns with it.
func (st *stream) send(head, body []byte) (n int, err error) {
	if err := st.waitToSend(false); err != nil {
		return 0, err
	}
	if len(head)+len(body) <= st.c.sendQueue {
		st.c.eng.SendData(&st.s, head, body, false)
		return len(head) + len(body), nil
	}
	// A unit larger than the queue goes in pieces, and nobody comes between them.
	st.sending = true
	for {
		h := head[:min(len(head), st.c.sendQueue)]
		b := body[:min(len(body), st.c.sendQueue-len(h))]
		st.c.eng.SendData(&st.s, h, b, false)
		n += len(h) + len(b)
		head, body = head[len(h):], body[len(b):]
		if len(head)+len(body) == 0 {
			break
		}
		if err = st.waitToSend(true); err != nil {
			break
		}
	}
	st.sending = false
	st.wakeSenders()
	return n, err
}

// waitToSend waits until the queue has room, and for its turn unless mine says that it has it.
func (st *stream) waitToSend(mine bool) error {
	for {
		if err := st.sendErr(); err != nil {
			return err
		}
		full := st.s.Pending() > st.c.sendQueue
		if !full && (mine || !st.sending) {
			return nil
		}
		r := st.rarely()
		if r.writable == nil {
			r.writable = make(chan struct{})
		}
		writable := r.writable
		st.c.releaseReading(st)
		st.c.f.FlushNow() // what waits for the end of a batch may be what we wait for
		<-writable
		st.c.f.Lock()
	}
}

// sendErr says why nothing can be sent, or why not now.
func (st *stream) sendErr() error {
	switch {
	case st.closed:
		return net.ErrClosed
	case st.err != nil:
		return st.err
	case st.c.err != nil:
		return st.c.err
	case st.released || st.s.SendClosed():
		return net.ErrClosed
	case st.rare != nil && st.rare.deadlines.write.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wakeSenders makes Sends that wait look again. Called with the lock held.
func (st *stream) wakeSenders() {
	if r := st.rare; r != nil && r.writable != nil {
		close(r.writable)
		r.writable = nil
	}
}

// TrySend implements transport.Stream.
func (st *stream) TrySend(p []byte) bool {
	f := &st.c.f
	f.Lock()
	err := st.sendErr()
	if err == os.ErrDeadlineExceeded {
		err = nil
	}
	if err != nil || st.sending || st.s.Pending()+len(p) > st.c.sendQueue+trySendExtra {
		f.Unlock()
		return false
	}
	st.c.eng.SendData(&st.s, p, nil, false)
	f.Flush()
	return true
}

// Close implements transport.Stream.
func (st *stream) Close(linger time.Duration) {
	c := st.c
	c.f.Lock()
	st.discard()
	if st.released || c.err != nil {
		c.f.Unlock()
		return
	}
	if !st.s.SendClosed() {
		c.eng.SendData(&st.s, nil, nil, true)
	}
	if !st.s.Closed() && st.rarely().linger == nil {
		st.rare.linger = time.AfterFunc(max(linger, 0), st.Abort)
	}
	st.settle()
	c.f.Flush()
	c.role.hooksSoon()
}

// CloseWrite ends our side with END_STREAM behind what is queued, and goes on receiving. It does not block.
func (st *stream) CloseWrite() error {
	c := st.c
	c.f.Lock()
	if err := st.sendErr(); err != nil && err != os.ErrDeadlineExceeded {
		c.f.Unlock()
		return err
	}
	c.eng.SendData(&st.s, nil, nil, true)
	st.wakeSenders()
	st.settle()
	c.f.Flush()
	c.role.hooksSoon()
	return nil
}

// Abort implements transport.Stream.
func (st *stream) Abort() {
	st.c.f.Lock()
	st.abort(cancelled)
	st.c.f.Flush()
	st.c.role.hooksSoon()
}

// abort ends the stream with code. Called with the lock held.
func (st *stream) abort(code wire.ErrCode) {
	st.discard()
	st.reset(code)
}

// discard gives up everything that was or will be received, and tells those who wait.
func (st *stream) discard() {
	if st.closed {
		return
	}
	st.closed = true
	st.consume(len(st.queued.rest()))
	st.dropQueue()
	st.wakeReceive()
	st.wakeSenders()
	st.tellSoon()
}

// reset sends RST_STREAM if the stream is not over. Called with the lock held.
func (st *stream) reset(code wire.ErrCode) {
	if st.released || st.c.err != nil {
		return
	}
	if !st.s.Closed() {
		st.c.eng.Reset(time.Now(), &st.s, code)
	}
	st.settle()
}

// trySendExtra is room in the queue that TrySend has and Send has not.
const trySendExtra = 4 << 10
