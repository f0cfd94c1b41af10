package websocket

import "time"

// onServer has c closed when its server shuts down.
func (c *Conn) onServer(join func(goAway, abort func()) (leave func())) {
	leave := join(c.goAway, c.stream.Abort)
	c.leaveServer.Store(&leave)
	if c.closed.Load() {
		leave()
	}
}

// gone is called when c is over.
func (c *Conn) gone() {
	if leave := c.leaveServer.Load(); leave != nil {
		(*leave)()
	}
}

// goAway tells the peer that the server shuts down. The program may read on, until the peer's Close frame.
func (c *Conn) goAway() {
	time.AfterFunc(goAwayWait, func() { c.Close() })
	go c.WriteControl(CloseMessage, FormatCloseMessage(CloseGoingAway, "server is shutting down"), time.Now().Add(goAwayWait))
}

// goAwayWait is how long a peer, and the program, may take to end a WebSocket of a server that shuts down.
const goAwayWait = 5 * time.Second
