package weft

import (
	"context"
	"sync"
	"time"
	"weak"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// connOptions are what a Conn is set to. Conns of one Dialer or one server mostly have the same, and then share them: they do
// not change.
type connOptions struct {
	side        frame.Side
	deflate     *deflate.Params
	subprotocol string
	threshold   int // compress from this size on
	onPing      func(context.Context, []byte) bool
	onPong      func(context.Context, []byte)
	keepalive   time.Duration
	readLimit   int64     // bytes of a message; 0: defaultReadLimit; below 0: no limit
	observer    *Observer // nil: nobody wants to know
	registry    *registry // of the server; nil: it is not one of ours, or we are the client
}

// shared returns options that are the same as o, and other Conns' where they were used lately.
func (o connOptions) shared() *connOptions {
	if o.onPing != nil || o.onPong != nil {
		return o.kept() // functions cannot be compared
	}
	recentOptions.Lock()
	defer recentOptions.Unlock()
	for _, w := range recentOptions.list {
		if have := w.Value(); have != nil && have.same(o) {
			return have
		}
	}
	kept := o.kept()
	recentOptions.list[recentOptions.next] = weak.Make(kept)
	recentOptions.next = (recentOptions.next + 1) % len(recentOptions.list)
	return kept
}

// kept returns a copy that the garbage collector keeps. Inlined, it would make one of every o.
//
//go:noinline
func (o connOptions) kept() *connOptions { return &o }

// same compares two options without functions.
func (o *connOptions) same(p connOptions) bool {
	if (o.deflate == nil) != (p.deflate == nil) || o.deflate != nil && *o.deflate != *p.deflate {
		return false
	}
	return o.side == p.side && o.subprotocol == p.subprotocol && o.threshold == p.threshold && o.keepalive == p.keepalive && o.readLimit == p.readLimit &&
		o.observer == p.observer && o.registry == p.registry
}

var recentOptions struct {
	sync.Mutex
	list [8]weak.Pointer[connOptions]
	next int
}
