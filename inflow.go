package weft

import (
	"sync"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// An inflow is what a Conn needs to receive. It has one while bytes of the peer's are looked at and while something is half
// received; in between, idle ones have nothing.
type inflow struct {
	proto.Receiver
	rest []byte // received and not parsed
	told int64  // by account
}

// inflow returns c's, from the pool if it has none. Called with reading held.
func (c *Conn) inflow() *inflow {
	if c.in == nil {
		c.in = inflows.Get().(*inflow)
		c.in.Reset(c.opt.proto())
		if c.opt.deflate != nil {
			c.in.SetInflater(c.keptInflater(nil))
		}
		c.in.Whole, c.in.Own = c.whole, c.own
	}
	return c.in
}

// setMode sets proto.Receiver's Whole and Own. Called with reading held.
func (c *Conn) setMode(whole, own bool) {
	c.whole, c.own = whole, own
	if c.in != nil {
		c.in.Whole, c.in.Own = whole, own
	}
}

// restInflow gives c's inflow back where nothing of the peer's is in it. Called with reading held.
func (c *Conn) restInflow() {
	if in := c.in; in != nil && len(in.rest) == 0 && in.Spare() {
		if d := in.Inflater(); d != nil {
			c.keptInflater(d)
			in.SetInflater(nil)
		}
		in.rest = nil
		c.in = nil
		inflows.Put(in)
	}
}

// keptInflater returns the inflater that c has kept since the last inflow, and keeps d instead.
func (c *Conn) keptInflater(d *deflate.Decompressor) *deflate.Decompressor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d == nil && c.rare == nil {
		return nil
	}
	r := c.rarely()
	kept := r.inflater
	r.inflater = d
	return kept
}

// endInflow frees what is half received. Called with reading held; nothing is received any more.
func (c *Conn) endInflow() {
	if c.in != nil {
		c.in.Close()
		c.in = nil
	} else if c.opt.deflate != nil {
		c.keptInflater(nil)
	}
}

var inflows = sync.Pool{New: func() any { return new(inflow) }}

// proto is o as package proto wants it.
func (o *connOptions) proto() proto.Config {
	return proto.Config{
		Side: o.side, Deflate: o.deflate, Alloc: transport.GetBuffer, Free: transport.PutBuffer,
	}
}
