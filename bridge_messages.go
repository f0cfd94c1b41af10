package weft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// BridgeMessages is [Bridge] for a handler whose library leaves out a part of WebSockets (golang.org/x/net/websocket takes every
// fragment for a message, and knows no compression), or that Shutdown has to reach over HTTP/1.1, too. The client speaks WebSocket with weft, as after
// [Accept] with opts: fragments, compression, Pings, limits, the Close handshake, StatusGoingAway at Shutdown, an Observer. The handler speaks
// WebSocket with weft, too, and gets whole messages, each in one frame; the Pongs for its Pings; and the client's Close frame, which was answered
// then. Over HTTP/1.1 as over the others.
//
// Of opts the handler's answer takes the place of Subprotocols. A handler that closes the net.Conn without a Close frame closes the
// WebSocket without a status (StatusNoStatusRcvd), in the middle of a message with StatusInternalError; so does what is no frame of a
// server's. A message of the handler's is held until it is whole. CloseWrite fails with errors.ErrUnsupported.
func BridgeMessages(h http.Handler, opts *AcceptOptions) http.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	if opts == nil {
		opts = &AcceptOptions{}
	}
	return &bridge{next: h, messages: opts}
}

// openMessages answers the client in the way of Accept. h is the handler's answer, and is changed.
func (x *crossing) openMessages(h http.Header) (tunnelStream, error) {
	opts := *x.messages
	opts.Subprotocols = h[fieldProtocol]
	if len(h[fieldExtensions]) > 0 {
		why := "the handler's 101 names an extension that was not offered"
		x.refuse(http.StatusInternalServerError, why)
		return nil, errors.New(why)
	}
	dropConnectionFields(h)
	for _, name := range []string{fieldAccept, fieldProtocol} {
		delete(h, name)
	}
	answer := x.w.Header()
	clear(answer)
	for name, values := range h {
		answer[name] = values
	}
	t := &messageTunnel{recv: proto.NewReceiver(proto.Config{
		Side: frame.Client, MaxFragments: -1, Alloc: transport.GetBuffer, Free: transport.PutBuffer,
	})}
	t.recv.Whole = true
	told := opts.OnPongReceived
	opts.OnPongReceived = func(ctx context.Context, payload []byte) {
		if told != nil {
			told(ctx, payload)
		}
		t.recvPong(payload)
	}
	c, err := Accept(x.w, x.r, &opts)
	if err != nil {
		x.status, x.refused = http.StatusInternalServerError, true // it was answered
		return nil, err
	}
	t.c = c
	c.Handle(t)
	return t, nil
}

// A messageTunnel is a WebSocket with a client, as the bytes of one that a handler has with weft.
type messageTunnel struct {
	c *Conn

	sending       gate
	recv          *proto.Receiver // guarded by sending: of the handler's frames
	closeSent     bool            // guarded by sending: the handler's Close frame came
	writeDeadline cutoff

	mu           sync.Mutex
	frames       []byte   // for the handler, not received yet
	lent         []byte   // what Receive returned last
	pings        [][]byte // the handler's, without a Pong yet
	err          error    // behind frames
	readDeadline time.Time
	changed      bell
}

// messagesAhead is how many bytes wait for a handler that does not read before the client has to wait.
const messagesAhead = 64 << 10

// OnMessage implements [Handler]. It waits until the handler has taken what came before.
func (t *messageTunnel) OnMessage(_ *Conn, typ MessageType, p []byte) {
	t.mu.Lock()
	for len(t.frames) >= messagesAhead && t.err == nil {
		changed := t.changed.wait()
		t.mu.Unlock()
		<-changed
		t.mu.Lock()
	}
	t.push(frame.Opcode(typ), p)
	t.mu.Unlock()
}

// recvPong tells the handler of a Pong for a Ping of its own.
func (t *messageTunnel) recvPong(payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, ping := range t.pings {
		if bytes.Equal(ping, payload) {
			t.pings = t.pings[i+1:]
			t.push(frame.Pong, payload)
			return
		}
	}
}

func (t *messageTunnel) sendPing(ctx context.Context, payload []byte) error {
	t.mu.Lock()
	t.pings = append(t.pings[max(0, len(t.pings)-maxPings+1):], bytes.Clone(payload))
	t.mu.Unlock()
	return t.c.sendPing(ctx, payload)
}

// maxPings is for how many Pings of a handler's the Pong is awaited.
const maxPings = 16

// OnClose implements [Handler].
func (t *messageTunnel) OnClose(_ *Conn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ce, ok := errors.AsType[*CloseError](err); ok {
		t.push(frame.Close, frame.AppendClose(nil, frame.CloseCode(ce.Code), ce.Reason))
		err = io.EOF
	}
	t.end(err)
}

// push appends a frame. Called with mu held.
//
// Choice: the masking key is 0. The bit is what a server's library looks for (RFC 6455, Section 5.1); who could be misled by chosen bytes
// (Section 10.3) is not between the two.
func (t *messageTunnel) push(op frame.Opcode, p []byte) {
	if t.err != nil {
		return
	}
	t.frames = frame.AppendHeader(t.frames, frame.Header{Fin: true, Opcode: op, Masked: true, Length: int64(len(p))})
	t.frames = append(t.frames, p...)
	t.changed.ring()
}

// end sets what comes behind the frames. Called with mu held.
func (t *messageTunnel) end(err error) {
	if t.err == nil {
		t.err = err
		t.changed.ring()
	}
}

// Receive implements tunnelStream.
func (t *messageTunnel) Receive() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.err == net.ErrClosed:
			return nil, t.err
		case len(t.frames) > 0:
			t.lent, t.frames = t.frames, t.lent[:0]
			if cap(t.frames) > messagesAhead {
				t.frames = nil
			}
			t.changed.ring()
			return t.lent, nil
		case t.err != nil:
			return nil, t.err
		}
		var passed <-chan time.Time
		if d := t.readDeadline; !d.IsZero() {
			left := time.Until(d)
			if left <= 0 {
				return nil, os.ErrDeadlineExceeded
			}
			passed = time.After(left)
		}
		changed := t.changed.wait()
		t.lent = nil
		t.mu.Unlock()
		select {
		case <-changed:
		case <-passed:
		}
		t.mu.Lock()
	}
}

// Send implements tunnelStream: bytes of the handler's frames.
func (t *messageTunnel) Send(head, body []byte) (n int, err error) {
	ctx := t.writeDeadline.context()
	if t.sending.lock(ctx) != nil {
		return 0, os.ErrDeadlineExceeded
	}
	defer t.sending.unlock()
	for _, p := range [][]byte{head, body} {
		for len(p) > 0 {
			ev, taken := t.recv.Recv(p)
			n, p = n+taken, p[taken:]
			if err := t.retell(ctx, ev); err != nil {
				if ctx.Err() != nil {
					err = os.ErrDeadlineExceeded
				}
				return n, err
			}
		}
	}
	return n, nil
}

// retell tells the client what the handler said.
func (t *messageTunnel) retell(ctx context.Context, ev proto.Event) error {
	switch ev.Kind {
	case proto.Message:
		return t.c.Write(ctx, MessageType(ev.Opcode), ev.Payload)
	case proto.Ping:
		return t.sendPing(ctx, ev.Payload)
	case proto.Pong:
		// A Pong that nobody asked for: the client's Pings are answered already.
		t.c.stream.TrySend(t.c.controlFrame(frame.Pong, ev.Payload))
	case proto.Close:
		t.closeSent = true
		// After the client's Close frame this is the answer that weft has given.
		t.c.Close(StatusCode(ev.Code), ev.Reason)
	case proto.Failed:
		t.c.Close(StatusInternalError, "")
		return fmt.Errorf("weft: BridgeMessages: handler broke the rules of a %s", ev.Detail)
	}
	return nil
}

// Close implements tunnelStream.
func (t *messageTunnel) Close(time.Duration) {
	t.mu.Lock()
	t.end(net.ErrClosed)
	t.mu.Unlock()
	go func() {
		if t.sending.lock(context.Background()) != nil {
			return
		}
		code := StatusNoStatusRcvd
		if !t.recv.Idle() {
			code = StatusInternalError
		}
		sent := t.closeSent
		t.recv.Close()
		t.sending.unlock()
		if !sent {
			t.c.Close(code, "")
		}
	}()
}

// Abort implements tunnelStream.
func (t *messageTunnel) Abort() { t.c.CloseNow() }

// Done implements tunnelStream.
func (t *messageTunnel) Done() <-chan struct{} { return t.c.stream.Done() }

// Info implements tunnelStream.
func (t *messageTunnel) Info() transport.Info { return t.c.stream.Info() }

// SetReadDeadline implements tunnelStream.
func (t *messageTunnel) SetReadDeadline(d time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readDeadline = d
	t.changed.ring()
}

// SetWriteDeadline implements tunnelStream.
func (t *messageTunnel) SetWriteDeadline(d time.Time) { t.writeDeadline.set(d) }

// A bell wakes whoever waits. Its owner's lock guards it.
type bell struct{ ch chan struct{} } // nil while nobody waits

// wait returns a channel that is closed when the bell rings next.
func (b *bell) wait() <-chan struct{} {
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// A cutoff is a write deadline as a context. Safe for concurrent use.
type cutoff struct {
	mu     sync.Mutex
	ctx    context.Context // nil: there was no deadline yet
	cancel context.CancelFunc
	timer  *time.Timer // nil: none is set
}

func (d *cutoff) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.ctx == nil || d.ctx.Err() != nil {
		d.ctx, d.cancel = context.WithCancel(context.Background())
	}
	if at.IsZero() {
		return
	}
	if left := time.Until(at); left > 0 {
		d.timer = time.AfterFunc(left, d.cancel)
	} else {
		d.cancel()
	}
}

// context returns a context that ends when the deadline passes, wherever it has been moved until then.
func (d *cutoff) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		return context.Background()
	}
	return d.ctx
}
