package h2net

// account tells the server's Budget what the connection holds, in steps of accountStep. Where all hold too much together, a
// connection that takes more is ended, unless its part is small. Called with the lock held.
func (c *conn) account() {
	if c.memory == nil || c.err != nil {
		return
	}
	held := c.eng.Held()
	d := held - c.held
	if d < accountStep && (d > -accountStep || held == 0 && d == 0) {
		return
	}
	c.held = held
	if c.memory.Add(d) && d > 0 && held > smallPart && c.failure == nil {
		c.eng.Overload(c.memory.Max)
		if !c.reading.dispatching {
			c.quietEvents()
		}
	}
}

// forget gives back what the connection holds: it is lost.
func (c *conn) forget() {
	if c.memory != nil {
		c.memory.Add(-c.held)
		c.held = 0
	}
}

const (
	accountStep = 16 << 10
	smallPart   = 64 << 10
)
