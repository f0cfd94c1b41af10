package weft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
)

// Read returns the next message, whole; p is the caller's. It blocks until there is one. If ctx ends before, it returns
// ctx's error, nothing that arrived is lost, and the Conn goes on. Errors: *CloseError when the peer closed, *ProtocolError
// when it broke a rule or sent more than the read limit, net.ErrClosed after Close or CloseNow, else the connection's.
//
// Pings are answered and Close frames seen only while somebody reads (or with [Conn.Handle], or [Conn.CloseRead]).
func (c *Conn) Read(ctx context.Context) (MessageType, []byte, error) {
	if err := c.startRead(ctx, "read"); err != nil {
		return 0, nil, err
	}
	defer c.reading.unlock()
	if err := c.skipMessage(ctx); err != nil {
		return 0, nil, err
	}
	c.setMode(true, true)
	p, err := c.nextPiece(ctx)
	if err != nil {
		return 0, nil, err
	}
	if p.owned {
		return MessageType(p.op), p.payload, nil
	}
	lent := p.payload
	b := make([]byte, len(lent)) // with the next line it is not zeroed
	copy(b, lent)
	return MessageType(p.op), b, nil
}

// Reader returns the next message as it arrives; ctx is for the whole of it. The io.Reader returns io.EOF at the message's
// end. Another Read or Reader before that discards the rest. A compressed message arrives in one piece.
func (c *Conn) Reader(ctx context.Context) (MessageType, io.Reader, error) {
	if err := c.startRead(ctx, "read"); err != nil {
		return 0, nil, err
	}
	defer c.reading.unlock()
	if err := c.skipMessage(ctx); err != nil {
		return 0, nil, err
	}
	c.setMode(false, false)
	p, err := c.nextPiece(ctx)
	if err != nil {
		return 0, nil, err
	}
	r := &messageReader{c: c, ctx: ctx, chunk: p.payload, last: p.last}
	c.reader = r
	return MessageType(p.op), r, nil
}

func (c *Conn) startRead(ctx context.Context, op string) error {
	if c.handled.Load() {
		return errors.New("weft: " + op + " on a Conn that has a Handler")
	}
	return c.reading.lock(ctx)
}

// A messageReader is a message that is being read.
type messageReader struct {
	c     *Conn
	ctx   context.Context
	chunk []byte // guarded by c.reading, valid while c.reader is this
	last  bool
}

func (r *messageReader) Read(p []byte) (int, error) { return r.readWith(r.ctx, p) }

func (r *messageReader) readWith(ctx context.Context, p []byte) (int, error) {
	c := r.c
	if err := c.reading.lock(ctx); err != nil {
		return 0, err
	}
	defer c.reading.unlock()
	for {
		if c.reader != r {
			if r.last && len(r.chunk) == 0 {
				return 0, io.EOF
			}
			return 0, errors.New("weft: read from a message that a later Read or Reader has discarded")
		}
		if len(r.chunk) > 0 {
			n := copy(p, r.chunk)
			r.chunk = r.chunk[n:]
			return n, nil
		}
		if r.last {
			c.reader = nil
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		next, err := c.nextPiece(ctx)
		if err != nil {
			return 0, err
		}
		r.chunk, r.last = next.payload, next.last
	}
}

// skipMessage discards what is left of the message that Reader handed out.
func (c *Conn) skipMessage(ctx context.Context) error {
	for c.reader != nil {
		if c.reader.last {
			c.reader.chunk = []byte{0} // its Read must not report a clean end
			c.reader = nil
			return nil
		}
		p, err := c.nextPiece(ctx)
		if err != nil {
			return err
		}
		c.reader.last = p.last
	}
	return nil
}

// A piece is a message, or a part of one.
type piece struct {
	op      frame.Opcode
	last    bool
	owned   bool // payload is the caller's for good
	payload []byte
}

// nextPiece returns what comes next of a message and deals with everything else. Called with reading held. The payload is valid
// until the next call.
//
// Most goroutines with a WebSocket of their own wait in here, on a stack of 2 KiB as long as everything from Read down to the
// runtime fits: what has large frames is called, not inlined, and returns before the wait.
func (c *Conn) nextPiece(ctx context.Context) (piece, error) {
	for {
		if p, found, err := c.parse(); found || err != nil {
			return p, err
		}
		c.tie(readDeadline, ctx)
		p, err := c.stream.Receive()
		if err != nil {
			if err = c.receiveFailed(ctx, err); err != nil {
				return piece{}, err
			}
			continue
		}
		c.hear()
		if c.in == nil {
			if m, found := c.single(p); found {
				return m, nil
			}
		}
		c.inflow().rest = p
	}
}

// hear notes that the peer is there.
func (c *Conn) hear() {
	if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// single is parse for the message at the beginning of p that needs no inflow; what follows it gets one. Called without an inflow.
//
//go:noinline
func (c *Conn) single(p []byte) (m piece, found bool) {
	if c.sendEnded.Load() {
		return piece{}, false
	}
	op, payload, n := proto.Single(c.opt.side, c.readLimit.Load(), p, c.own)
	if n == 0 {
		return piece{}, false
	}
	c.noteSingle(len(payload))
	if n == len(p) {
		c.drained()
	} else {
		c.inflow().rest = p[n:]
	}
	return piece{op: op, last: true, owned: c.own, payload: payload}, true
}

// noteSingle is noteFrame for a message of n bytes.
func (c *Conn) noteSingle(n int) {
	if d := c.dialed; d != nil && d.confirm != nil {
		d.confirm()
		d.confirm = nil
	}
	c.reading.fresh.add(n, true)
}

// parse looks at what was received. An error: the Conn takes no more.
//
//go:noinline
func (c *Conn) parse() (p piece, found bool, err error) {
	if in := c.in; in != nil {
		in.MaxMessageBytes = c.readLimit.Load()
		for len(in.rest) > 0 {
			ev, n := in.Recv(in.rest)
			in.rest = in.rest[n:]
			c.noteFrame(&ev)
			if ev.Kind == proto.Message || ev.Kind == proto.Chunk {
				if c.discards() {
					continue
				}
				if len(in.rest) == 0 {
					c.drained()
				}
				return piece{ev.Opcode, ev.Kind == proto.Message || ev.Last, ev.Owned, ev.Payload}, true, nil
			}
			if err := c.recvControl(ev); err != nil {
				c.endInflow()
				return piece{}, false, err
			}
		}
		if err := c.account(); err != nil {
			return piece{}, false, err
		}
		c.restInflow()
	}
	if !c.sendEnded.Load() { // it is set with err, or before
		return piece{}, false, nil
	}
	return piece{}, false, c.terminal()
}

// receiveFailed says what an error of Receive means; nil: nothing.
//
//go:noinline
func (c *Conn) receiveFailed(ctx context.Context, err error) error {
	if ce := ctxErr(ctx, err); ce != nil {
		return ce
	}
	if ctx.Err() == nil && err == os.ErrDeadlineExceeded {
		return nil // the deadline of a context that is not this call's
	}
	return c.recvEnd(err)
}

// noteFrame counts what came, and tells whoever wants to know that the peer's first frame was valid: it does speak WebSocket.
func (c *Conn) noteFrame(ev *proto.Event) {
	c.countReceived(ev)
	if d := c.dialed; d != nil && d.confirm != nil && ev.Kind != proto.NeedMore {
		if ev.Kind != proto.Failed {
			d.confirm()
		}
		d.confirm = nil
	}
}

// discards reports that Close was called: messages that still arrive go nowhere, whoever reads.
func (c *Conn) discards() bool {
	if !c.sendEnded.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeSent
}

// recvControl deals with an event that is no data. The error says that the Conn takes no more.
func (c *Conn) recvControl(ev proto.Event) error {
	switch ev.Kind {
	case proto.NeedMore:
	case proto.Ping, proto.Pong:
		if !c.controls.spend(time.Now()) {
			return c.recvFlood()
		}
		if ev.Kind == proto.Ping {
			c.recvPing(ev.Payload)
		} else {
			c.recvPong(ev.Payload)
		}
	case proto.Close:
		return c.recvClose(ev)
	case proto.Failed:
		return c.recvViolation(ev)
	}
	return nil
}

// recvEnd deals with the end of the stream.
func (c *Conn) recvEnd(err error) error {
	c.endInflow()
	c.reading.settle()
	if err == io.EOF || err == io.ErrUnexpectedEOF { // the latter: a FIN inside a TLS record
		err = &lostError{fmt.Errorf("%s ended the connection: %w", c.peerName(), err)}
	} else if !isClosed(err) {
		err = &lostError{err}
	}
	c.terminate(err, 0)
	return c.terminal()
}

// recvViolation fails the WebSocket connection. RFC 6455, Section 7.1.7.
func (c *Conn) recvViolation(ev proto.Event) error {
	err := &ProtocolError{
		Side: c.peerName(), Name: ev.Violation.Name, Code: StatusCode(ev.Violation.Code),
		Section: ev.Violation.Section, Detail: ev.Detail,
	}
	c.endWith(err, err.Code, err.Name)
	return c.terminal()
}

func (c *Conn) peerName() string {
	if c.opt.side == frame.Client {
		return "server"
	}
	return "client"
}
