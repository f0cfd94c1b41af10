package weft

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// Ping sends a Ping and waits for its Pong: a round trip from end to end. Somebody has to read at the same time (Read, Reader,
// CloseRead or a Handler), or the Pong is not seen. RFC 6455, Section 5.5.2.
func (c *Conn) Ping(ctx context.Context) error {
	payload := rand.Text()[:8]
	ch := make(chan struct{})
	c.mu.Lock()
	if c.finished {
		c.mu.Unlock()
		return c.closedFor("ping")
	}
	r := c.rarely()
	if r.pings == nil {
		r.pings = make(map[string]chan struct{})
	}
	r.pings[payload] = ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(r.pings, payload)
		c.mu.Unlock()
	}()
	if err := c.sendPing(ctx, []byte(payload)); err != nil {
		return err
	}
	select {
	case <-ch:
	case <-ctx.Done():
		return fmt.Errorf("weft: no Pong from the %s: %w", c.peerName(), ctx.Err())
	}
	if c.terminal() != nil {
		return c.closedFor("ping")
	}
	return nil
}

func (c *Conn) sendPing(ctx context.Context, payload []byte) error {
	if err := c.writing.lock(ctx); err != nil {
		return err
	}
	defer c.writing.unlock()
	if c.sendEnded.Load() {
		return c.closedFor("ping")
	}
	c.tie(writeDeadline, ctx)
	_, err := c.stream.Send(c.controlFrame(frame.Ping, payload), nil)
	if err != nil {
		return c.sendFailed(ctx, err, true)
	}
	return nil
}

// recvPing answers a Ping.
//
// "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s), the
// endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame." RFC 6455, Section 5.5.3.
func (c *Conn) recvPing(payload []byte) {
	if f := c.opt.onPing; f != nil && !f(context.Background(), payload) {
		return
	}
	// "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a Close
	// frame." RFC 6455, Section 5.5.2.
	//
	// Deviation: nor is there one behind our own Close frame. Chromium fails a WebSocket on any frame that follows a Close
	// frame, and answers no Ping there either.
	if c.sendEnded.Load() {
		return
	}
	if c.stream.TrySend(c.controlFrame(frame.Pong, payload)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rarely()
	r.pongDue = append([]byte{}, payload...)
	c.hasPong.Store(true)
	if !r.pongWaits {
		r.pongWaits = true
		go c.awaitPong()
	}
}

// awaitPong sends the Pong that found no room when there is some: there may be no message that it could follow.
func (c *Conn) awaitPong() {
	if c.writing.lock(untilDone{context.Background(), c.stream}) != nil {
		return
	}
	defer c.writing.unlock()
	c.mu.Lock()
	due := c.rare.pongDue
	c.rare.pongDue, c.rare.pongWaits = nil, false
	c.hasPong.Store(false)
	c.mu.Unlock()
	if due == nil || c.sendEnded.Load() {
		return
	}
	for {
		c.tie(writeDeadline, context.Background())
		// A deadline that passed was an earlier context's.
		if _, err := c.stream.Send(c.controlFrame(frame.Pong, due), nil); err != os.ErrDeadlineExceeded {
			return
		}
	}
}

// untilDone is a context that ends with a stream.
type untilDone struct {
	context.Context
	stream transport.Stream
}

func (u untilDone) Done() <-chan struct{} { return u.stream.Done() }

func (u untilDone) Err() error {
	select {
	case <-u.stream.Done():
		return context.Canceled
	default:
		return nil
	}
}

// retryPong sends the Pong that found no room. Called with writing held.
func (c *Conn) retryPong() {
	c.mu.Lock()
	r := c.rarely()
	due := r.pongDue
	r.pongDue = nil
	c.hasPong.Store(false)
	c.mu.Unlock()
	if !c.stream.TrySend(c.controlFrame(frame.Pong, due)) {
		c.mu.Lock()
		if r.pongDue == nil {
			r.pongDue = due
			c.hasPong.Store(true)
		}
		c.mu.Unlock()
	}
}

func (c *Conn) recvPong(payload []byte) {
	if f := c.opt.onPong; f != nil {
		f(context.Background(), payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil {
		return
	}
	if ch := c.rare.pings[string(payload)]; ch != nil {
		delete(c.rare.pings, string(payload))
		close(ch)
	}
}

// startKeepalive asks a silent peer whether it is there. Connections of HTTP/2 and HTTP/3 do that themselves, once for all streams.
func (c *Conn) startKeepalive() {
	// On servers that are not ours the connection is out of reach, and has no number.
	if info := c.stream.Info(); c.opt.keepalive <= 0 || info.Proto != "HTTP/1.1" && info.ConnID != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rarely().keepalive = time.AfterFunc(c.opt.keepalive, c.keepaliveTick)
}

func (c *Conn) keepaliveTick() {
	c.mu.Lock()
	r := c.rare
	if c.finished || r.closing {
		c.mu.Unlock()
		return
	}
	heard := c.heard.Swap(false)
	// Without a reader no Pong could be seen: silence says nothing then.
	silent := !heard && c.reading.taken()
	dead := silent && r.doubted
	// Nor does it of a reader that has come only now: what it finds waiting counts.
	r.doubted = silent && r.pinged && !r.doubted
	r.pinged = !heard
	if r.doubted {
		r.keepalive.Reset(keepaliveGrace)
		c.mu.Unlock()
		return
	}
	r.keepalive.Reset(c.opt.keepalive)
	c.mu.Unlock()
	switch {
	case dead:
		c.terminate(&lostError{fmt.Errorf("%s was silent for %v and did not answer a Ping", c.peerName(), 2*c.opt.keepalive)}, 0)
	case !heard && !c.sendEnded.Load():
		c.stream.TrySend(c.controlFrame(frame.Ping, nil))
	}
}

// keepaliveGrace is how long a reader has for what has arrived before, when the peer seems dead.
const keepaliveGrace = time.Second
