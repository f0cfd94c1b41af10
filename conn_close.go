package weft

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
)

// Close closes the WebSocket with a handshake (RFC 6455, Section 7.1.2): it sends a Close frame behind what was written,
// within 5 s, and waits for the peer's, another 5 s at most; messages that arrive meanwhile are discarded. It unblocks
// everything that waits on the Conn. code is one that may be sent (1000 to 1003, 1007 to 1014, 3000 to 4999, or
// StatusNoStatusRcvd for none) and reason at most 123 bytes of UTF-8. On a Conn with a Handler it does not wait for the
// peer's frame: OnClose tells when the WebSocket is over.
//
// Closing again, or after the peer did, is net.ErrClosed; after the peer did, Close still waits, 2 s at most, until our answer
// was written and the connection has ended, so that a program may exit after it.
func (c *Conn) Close(code StatusCode, reason string) error {
	if err := checkClose(code, reason); err != nil {
		return err
	}
	if !c.claimClose(code, reason) {
		c.awaitDone()
		return closedError("close")
	}
	return c.finishClose(code, reason)
}

// finishClose is Close with the Close frame that was claimed.
func (c *Conn) finishClose(code StatusCode, reason string) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := c.queueClose(ctx, code, reason); err != nil {
		c.awaitDone()
		return err
	}
	return c.afterClose()
}

// CloseNow ends the connection under the WebSocket without a handshake; the peer sees 1006. It does not block. It returns
// net.ErrClosed if the Conn was closed already, by the peer too: the answer to its Close frame still goes out.
func (c *Conn) CloseNow() error {
	c.mu.Lock()
	answering := c.answering
	c.mu.Unlock()
	if answering {
		return closedError("close")
	}
	return c.abort()
}

// abort is CloseNow, whatever is under way.
func (c *Conn) abort() error {
	if !c.terminate(closedError("closed by CloseNow"), 0) {
		return closedError("close")
	}
	return nil
}

// CloseRead is for a Conn that only writes: from now on Pings are answered and the Close handshake is taken part in without
// a reader, and a message from the peer closes the WebSocket with StatusPolicyViolation. The context is done when the
// Conn is over or ctx is.
func (c *Conn) CloseRead(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	c.Handle(HandlerFuncs{
		Message: func(c *Conn, _ MessageType, _ []byte) {
			c.Close(StatusPolicyViolation, "unexpected data message")
		},
		Close: func(*Conn, error) { cancel() },
	})
	return ctx
}

func checkClose(code StatusCode, reason string) error {
	if len(reason) > maxCloseReason {
		return fmt.Errorf("weft: close reason has %d bytes, a Close frame takes %d (RFC 6455, Section 5.5)", len(reason), maxCloseReason)
	}
	if code != StatusNoStatusRcvd && (code < 0 || code > 0xffff || !frame.CloseCode(code).Valid()) {
		return fmt.Errorf("weft: close code %v must not be sent (RFC 6455, Section 7.4)", code)
	}
	return nil
}

const maxCloseReason = 123

// awaitDone waits until the connection under a Conn that is over has ended, unless a callback of this Conn may be what is calling.
func (c *Conn) awaitDone() {
	if c.handled.Load() {
		return
	}
	timer := time.NewTimer(closeLinger)
	defer timer.Stop()
	select {
	case <-c.stream.Done():
	case <-timer.C:
	}
}

// claimClose reports whether the Close frame is the caller's to send.
func (c *Conn) claimClose(code StatusCode, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished || c.closeSent {
		return false
	}
	c.closeSent = true
	c.observed().sendClose(code, reason)
	return true
}

// closeBegun reports whether our Close frame was sent, or is about to be.
func (c *Conn) closeBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeSent
}

// queueClose queues the Close frame that was claimed, behind the message that is being written.
func (c *Conn) queueClose(ctx context.Context, code StatusCode, reason string) error {
	if err := c.writing.lock(ctx); err != nil {
		// A message that is being written does not end: only ending the connection is left.
		c.terminate(&lostError{fmt.Errorf("no Close frame could be sent within %v: a message is being written", closeTimeout)}, 0)
		return c.terminal()
	}
	defer c.writing.unlock()
	c.endSending()
	deadline, _ := ctx.Deadline()
	c.stream.SetWriteDeadline(deadline)
	if _, err := c.stream.Send(c.closeFrame(code, reason), nil); err != nil {
		if err == os.ErrDeadlineExceeded {
			err = noCloseError(fmt.Sprintf("%s took no Close frame within %v", c.peerName(), closeTimeout))
		}
		c.terminate(&lostError{err}, 0)
		return c.terminal()
	}
	return nil
}

// endSending is called with writing held.
func (c *Conn) endSending() {
	c.sendEnded.Store(true)
	c.mu.Lock()
	c.dropHook(writeDeadline)
	c.mu.Unlock()
}

// goAway is Close with StatusGoingAway that does not wait. If wait is not nil, somebody should call it: it reads until the peer's
// Close frame. Otherwise the Conn ends after closeTimeout.
func (c *Conn) goAway() (wait func()) {
	if !c.claimClose(StatusGoingAway, goingAway) {
		return nil
	}
	queued := false
	if c.writing.tryLock() {
		if queued = c.stream.TrySend(c.closeFrame(StatusGoingAway, goingAway)); queued {
			c.endSending()
		}
		c.writing.unlock()
	}
	if !queued {
		go c.finishClose(StatusGoingAway, goingAway)
		return nil
	}
	c.endSoon()
	if c.handled.Load() {
		return nil
	}
	return func() { c.awaitClose() }
}

// goingAway is what peers are told with StatusGoingAway.
const goingAway = "server is shutting down"

// afterClose waits for the peer's Close frame, unless a callback of this Conn may be what is calling: the transport reads then.
func (c *Conn) afterClose() error {
	if c.handled.Load() {
		c.endSoon()
		return nil
	}
	return c.awaitClose()
}

// endSoon ends the Conn in closeTimeout, if the peer does not. The timer goes with the Conn, and does not keep it.
func (c *Conn) endSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return
	}
	r := c.rarely()
	r.stopKeepalive()
	r.closing = true
	r.keepalive = time.AfterFunc(closeTimeout, func() { c.terminate(c.noClose(), 0) })
}

// awaitClose reads until the peer's Close frame.
func (c *Conn) awaitClose() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.terminate(c.noClose(), 0) })
	defer stop()
	err := c.reading.lock(ctx)
	if err == nil {
		defer c.reading.unlock()
		c.reader = nil
		c.setMode(false, false)
		for err == nil {
			_, err = c.nextPiece(ctx)
		}
	}
	c.mu.Lock()
	received := c.closeReceived
	c.mu.Unlock()
	if received {
		return nil
	}
	c.terminate(c.noClose(), 0)
	if err := c.terminal(); !isClosed(err) {
		return err
	}
	return nil
}

// noClose says why the wait for the peer's Close frame is over.
func (c *Conn) noClose() error {
	if !c.reading.taken() {
		// There may be one among what nobody has read.
		return &lostError{fmt.Errorf("nobody read the %s's Close frame within %v", c.peerName(), closeTimeout)}
	}
	return &lostError{noCloseError(fmt.Sprintf("%s sent no Close frame within %v", c.peerName(), closeTimeout))}
}

// A noCloseError says that the peer did not take part in the Close handshake that we began.
type noCloseError string

func (e noCloseError) Error() string { return string(e) }

// recvClose takes part in the Close handshake that the peer began, or ends the one that we began.
func (c *Conn) recvClose(ev proto.Event) error {
	err := &CloseError{Code: StatusCode(ev.Code), Reason: ev.Reason}
	c.mu.Lock()
	c.closeReceived = true
	if c.err == nil {
		c.err = err
	}
	c.observed().recvClose(ev, c.closeSent)
	c.mu.Unlock()
	// "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close
	// frame in response. (When sending a Close frame in response, the endpoint typically echos the status code it
	// received.)" RFC 6455, Section 5.5.1.
	c.endWith(err, err.Code, "")
	return err
}

// endWith sends a Close frame, unless one was sent, and ends the Conn with err. It does not wait: where a message is being
// written, or there is no room, a goroutine does.
//
// Called with reading held.
func (c *Conn) endWith(err error, code StatusCode, reason string) {
	c.reading.settle()
	c.endNow(err, code, reason)
}

// endNow is endWith without reading.
func (c *Conn) endNow(err error, code StatusCode, reason string) {
	c.setErr(err)
	c.mu.Lock()
	sent := c.closeSent
	c.closeSent = true
	if !sent {
		c.observed().sendClose(code, reason)
	}
	c.mu.Unlock()
	if sent {
		c.terminate(err, closeLinger)
		return
	}
	c.sendEnded.Store(true)
	p := c.closeFrame(code, reason)
	// "The application MUST NOT send any more data frames after sending a Close frame." RFC 6455, Section 5.5.1. So no
	// Write may be under way.
	if c.writing.tryLock() {
		ok := c.stream.TrySend(p)
		c.writing.unlock()
		if ok {
			c.terminate(err, closeLinger)
			return
		}
	}
	c.mu.Lock()
	c.answering = true
	c.mu.Unlock()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if c.writing.lock(ctx) == nil {
			if !c.stream.TrySend(p) {
				deadline, _ := ctx.Deadline()
				c.stream.SetWriteDeadline(deadline)
				c.stream.Send(p, nil)
			}
			c.writing.unlock()
		}
		c.terminate(err, closeLinger)
	}()
}

// setErr sets the error of the Conn ahead of its end.
func (c *Conn) setErr(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
}
