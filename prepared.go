package weft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// A Prepared is a message for many connections: encoded once, and compressed once for all that have the same compression window,
// with or without context takeover, however many it is sent to. Safe for concurrent use.
type Prepared struct {
	typ     MessageType
	payload []byte
	plain   *proto.Prepared

	mu     sync.Mutex                         // held while one of packed is made
	packed [16]atomic.Pointer[proto.Prepared] // compressed, by window bits
}

// Prepare prepares a message; p is the caller's again. Invalid UTF-8 in a text message is not looked for: the caller vouches for it.
func Prepare(typ MessageType, p []byte) (*Prepared, error) {
	if err := typ.check(); err != nil {
		return nil, err
	}
	p = bytes.Clone(p)
	return &Prepared{typ: typ, payload: p, plain: proto.Prepare(frame.Opcode(typ), p, 0)}, nil
}

// encoding is m as c sends it.
func (m *Prepared) encoding(c *Conn) *proto.Prepared {
	bits := c.send.WindowBits()
	if bits == 0 || len(m.payload) < c.opt.threshold {
		return m.plain
	}
	if e := m.packed[bits].Load(); e != nil {
		return e
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.packed[bits].Load()
	if e == nil {
		e = proto.Prepare(frame.Opcode(m.typ), m.payload, bits)
		m.packed[bits].Store(e)
	}
	return e
}

// WritePrepared sends m as [Conn.Write] does. See [Broadcaster] for one that does not wait for slow peers.
func (c *Conn) WritePrepared(ctx context.Context, m *Prepared) error {
	if err := c.writing.lock(ctx); err != nil {
		return err
	}
	defer c.writing.unlock()
	if c.sendEnded.Load() {
		return c.closedFor("write")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e := m.encoding(c)
	f, scratch := c.prepared(e)
	c.tie(writeDeadline, ctx)
	var sent int
	var err error
	for {
		sent, err = c.stream.Send(f, nil)
		if err == nil || sent > 0 || ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		// The deadline of an earlier context fired late: it is not this call's.
		c.tie(writeDeadline, ctx)
	}
	transport.PutBuffer(scratch)
	if err != nil {
		return c.sendFailed(ctx, err, sent == 0)
	}
	c.sentPrepared(m, e)
	return nil
}

// tryWritePrepared is WritePrepared without waiting; false: there is no room, another is writing, or the Conn is closing. crew
// writes where it can.
func (c *Conn) tryWritePrepared(m *Prepared, crew *transport.Crew) bool {
	if c.sendEnded.Load() || !c.writing.tryLock() {
		return false
	}
	defer c.writing.unlock()
	if c.sendEnded.Load() {
		return false
	}
	e := m.encoding(c)
	f, scratch := c.prepared(e)
	var ok bool
	if s, by := c.stream.(transport.CrewStream); by {
		ok = s.TrySendBy(crew, f)
	} else {
		ok = c.stream.TrySend(f)
	}
	transport.PutBuffer(scratch)
	if ok {
		c.sentPrepared(m, e)
	}
	return ok
}

// prepared returns the frame to send, and the buffer to give back afterwards, nil on a server. Called with writing held.
func (c *Conn) prepared(e *proto.Prepared) (f, scratch []byte) {
	var key [4]byte
	if c.opt.side == frame.Client {
		key = maskKey()
		scratch = transport.GetBuffer(e.Len())
	}
	return c.send.Prepared(scratch, e, key)
}

// sentPrepared is called with writing held.
func (c *Conn) sentPrepared(m *Prepared, e *proto.Prepared) {
	c.send.SentPrepared(e)
	c.countSent(len(m.payload), true)
	if c.hasPong.Load() {
		c.retryPong()
	}
}
