package weft

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// A cancelHook ties one of a stream's deadlines to a context. It stays tied between calls with the same context, so that a
// loop of Reads with one context registers once. Guarded by Conn.mu.
type cancelHook struct {
	tied  atomic.Bool // ctx is set or fired is true
	ctx   context.Context
	stop  func() bool
	fired bool
	gen   uint32
}

// cancelHooks are a Conn's, by deadline.
type cancelHooks [2]cancelHook

// A deadlineKind names one of a stream's deadlines.
type deadlineKind int

const (
	readDeadline deadlineKind = iota
	writeDeadline
)

// tie makes ctx end what waits on the deadline.
func (c *Conn) tie(kind deadlineKind, ctx context.Context) {
	if hooks := c.hooks.Load(); ctx.Done() == nil && (hooks == nil || !hooks[kind].tied.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hooks.Load() == nil {
		c.hooks.Store(new(cancelHooks))
	}
	h := &c.hooks.Load()[kind]
	if h.ctx == ctx && !h.fired {
		return
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	if h.fired {
		h.fired = false
		c.setDeadline(kind, time.Time{})
	}
	h.gen++
	h.ctx = nil
	h.tied.Store(false)
	if ctx.Done() == nil || c.finished {
		return
	}
	h.ctx = ctx
	h.tied.Store(true)
	gen := h.gen
	h.stop = context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if h.gen == gen {
			h.fired = true
			c.setDeadline(kind, longAgo)
		}
	})
}

// sendReady sends what can be sent without waiting where ctx may end: a hook for every context would stay behind, and be a goroutine
// for every Conn when the context that many were opened with ends.
func (c *Conn) sendReady(ctx context.Context, head, body []byte) bool {
	if ctx.Done() == nil {
		return false
	}
	s, ok := c.stream.(transport.ReadyStream)
	return ok && s.SendReady(head, body)
}

func (c *Conn) setDeadline(kind deadlineKind, t time.Time) {
	if kind == writeDeadline {
		c.stream.SetWriteDeadline(t)
	} else {
		c.stream.SetReadDeadline(t)
	}
}

// dropHook unties the deadline. Called with mu held.
func (c *Conn) dropHook(kind deadlineKind) {
	hooks := c.hooks.Load()
	if hooks == nil {
		return
	}
	h := &hooks[kind]
	if h.stop != nil {
		h.stop()
	}
	h.gen++
	h.ctx, h.stop = nil, nil
}

var longAgo = time.Unix(1, 0)
