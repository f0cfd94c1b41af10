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
		c.rare.stopKeepalive()
	}
	c.mu.Unlock()
	var confirm func()
	if c.dialed != nil {
		confirm = c.dialed.confirm
	}
	d := transport.Detached{
		Stream: c.stream, Side: c.opt.side, Deflate: c.opt.deflate, Subprotocol: c.opt.subprotocol,
		Confirm: confirm, MaskKey: maskKey,
	}
	if reg := c.opt.registry; reg != nil {
		d.OverBudget = func() { reg.overBudget(c.stream.Info().RemoteAddr) }
		d.Join = func(goAway, abort func()) (leave func()) {
			o := &otherConn{goAway: goAway, abort: abort, ip: c.ip}
			c.ip = nil // o's now
			reg.join(o)
			reg.remove(c)
			return func() { reg.leave(o) }
		}
	}
	return d, nil
}
