package weft

import "github.com/weftws/weft/internal/transport"

func init() {
	transport.Detach = func(conn any) (transport.Detached, error) { return conn.(*Conn).detach() }
}

// detach ends c without touching its stream, which is the caller's from then on. c must be new: nobody has read or written.
func (c *Conn) detach() (transport.Detached, error) {
	c.mu.Lock()
	if c.finished || c.closeSent {
		c.mu.Unlock()
		return transport.Detached{}, closedError("detach")
	}
	c.finished = true
	c.err = closedError("use of a Conn that was detached")
	c.sendEnded.Store(true)
	if ob := c.observed(); ob != nil {
		ob.detached = true
		go c.observeDetached()
	}
	if c.rare != nil {
		c.rare.stopTimers()
	}
	c.mu.Unlock()
	if c.opt.registry != nil {
		c.opt.registry.remove(c)
	}
	var confirm func()
	if c.dialed != nil {
		confirm = c.dialed.confirm
	}
	return transport.Detached{
		Stream: c.stream, Side: c.opt.side, Deflate: c.opt.deflate, Subprotocol: c.opt.subprotocol,
		Confirm: confirm, MaskKey: maskKey,
	}, nil
}
