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
	if c.observed != nil {
		c.observed.detached = true
		go c.observeDetached()
	}
	if c.keepalive != nil {
		c.keepalive.Stop()
	}
	c.mu.Unlock()
	d := transport.Detached{
		Stream: c.stream, Side: c.opt.side, Deflate: c.opt.deflate, Subprotocol: c.subprotocol,
		Confirm: c.confirm, MaskKey: maskKey,
	}
	if reg := c.registry; reg != nil {
		d.Join = func(goAway, abort func()) (leave func()) {
			o := &otherConn{goAway: goAway, abort: abort}
			reg.join(o)
			reg.remove(c)
			return func() { reg.leave(o) }
		}
	}
	return d, nil
}
