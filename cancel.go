package weft

import (
	"context"
	"sync/atomic"
	"time"
)

// A cancelHook ties a stream's deadline to a context. It stays tied between calls with the same context, so that a loop of
// Reads with one context registers once. Guarded by Conn.mu.
type cancelHook struct {
	write bool        // it is the write deadline; set once
	tied  atomic.Bool // ctx is set or fired is true
	ctx   context.Context
	stop  func() bool
	fired bool
	gen   uint32
}

// tie makes ctx end what waits on h's deadline.
func (c *Conn) tie(h *cancelHook, ctx context.Context) {
	if ctx.Done() == nil && !h.tied.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.ctx == ctx && !h.fired {
		return
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	if h.fired {
		h.fired = false
		c.setDeadline(h, time.Time{})
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
			c.setDeadline(h, longAgo)
		}
	})
}

func (c *Conn) setDeadline(h *cancelHook, t time.Time) {
	if h.write {
		c.stream.SetWriteDeadline(t)
	} else {
		c.stream.SetReadDeadline(t)
	}
}

// drop unties the hook. Called with Conn.mu held.
func (h *cancelHook) drop() {
	if h.stop != nil {
		h.stop()
	}
	h.gen++
	h.ctx, h.stop = nil, nil
}

var longAgo = time.Unix(1, 0)
