package weft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// Write sends p as one message. It blocks while the peer or the network takes no more, and returns when the message is
// queued for the network; p is the caller's again. If ctx ends before anything was sent, it returns ctx's error and the Conn
// goes on; if it ends in the middle of the message, the Conn is lost. Invalid UTF-8 in a text message is not sent by
// a Conn: the caller vouches for it.
func (c *Conn) Write(ctx context.Context, typ MessageType, p []byte) error {
	if err := typ.check(); err != nil {
		return err
	}
	if err := c.writing.lock(ctx); err != nil {
		return err
	}
	defer c.writing.unlock()
	return c.sendFrame(ctx, frame.Opcode(typ), p, true, len(p) >= c.opt.threshold)
}

// Writer starts a message that is sent in fragments (RFC 6455, Section 5.4) while it is written; Close ends it. It waits
// for the message before it to end; ctx is for the whole of the message. With permessage-deflate the message is compressed.
func (c *Conn) Writer(ctx context.Context, typ MessageType) (io.WriteCloser, error) {
	if err := typ.check(); err != nil {
		return nil, err
	}
	if err := c.writing.lock(ctx); err != nil {
		return nil, err
	}
	if c.sendEnded.Load() {
		c.writing.unlock()
		return nil, c.closedFor("write")
	}
	return &messageWriter{c: c, ctx: ctx, op: frame.Opcode(typ)}, nil
}

// A messageWriter is a message that is being sent. It holds Conn.writing until Close. Not safe for concurrent use.
type messageWriter struct {
	c     *Conn
	ctx   context.Context
	op    frame.Opcode // of the next frame: Continuation once the message has begun
	err   error
	ended bool
}

func (w *messageWriter) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errors.New("weft: write to a message that was closed")
	}
	if len(p) == 0 {
		return 0, w.err
	}
	if err := w.send(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the message.
func (w *messageWriter) Close() error {
	if w.ended {
		return errors.New("weft: close of a message that was closed")
	}
	w.ended = true
	defer w.c.writing.unlock()
	return w.send(nil, true)
}

func (w *messageWriter) send(p []byte, fin bool) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.c.sendFrame(w.ctx, w.op, p, fin, true)
	if w.err != nil && w.op == frame.Continuation && !w.c.sendEnded.Load() {
		// The message has begun and cannot be ended: nothing could follow it.
		w.c.terminate(&lostError{fmt.Errorf("a message was broken off: %w", w.err)}, 0)
	}
	w.op = frame.Continuation
	return w.err
}

// sendFrame sends one frame. Called with writing held.
func (c *Conn) sendFrame(ctx context.Context, op frame.Opcode, p []byte, fin, compress bool) error {
	if c.sendEnded.Load() {
		return c.closedFor("write")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	compress = compress && c.opt.deflate != nil
	var scratch []byte
	var key [4]byte
	if c.opt.side == frame.Client {
		key = maskKey()
		scratch = transport.GetBuffer(len(p))
	} else if compress {
		scratch = transport.GetBuffer(len(p)/2 + 64)
	}
	head, body, scratch := c.send.Message(scratch, op, p, fin, compress, key)
	var sent int
	var err error
	for !c.sendReady(ctx, head, body) {
		c.tie(writeDeadline, ctx)
		sent, err = c.stream.Send(head, body)
		if err == nil || sent > 0 || ctx.Err() != nil || err != os.ErrDeadlineExceeded {
			break
		}
		// The deadline of an earlier context fired late: it is not this call's.
	}
	if scratch != nil {
		transport.PutBuffer(scratch)
	}
	if err != nil {
		return c.sendFailed(ctx, err, sent == 0 && fin && op != frame.Continuation && !compress)
	}
	c.countSent(len(p), fin)
	if c.hasPong.Load() {
		c.retryPong()
	}
	return nil
}

// sendFailed deals with a Send that failed; intact says that the peer cannot have noticed.
func (c *Conn) sendFailed(ctx context.Context, err error, intact bool) error {
	ce := ctxErr(ctx, err)
	if ce != nil && intact {
		return ce
	}
	if end := c.terminal(); end != nil {
		return c.closedFor("write")
	}
	if err == transport.ErrOverBudget {
		c.sendOverBudget()
		return c.closedFor("write")
	}
	if ce == nil {
		ce = &lostError{err}
	}
	c.terminate(&lostError{err}, 0)
	return ce
}
