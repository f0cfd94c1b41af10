package negotiate

// firstHangs says how c hangs, "" if it does not: as a first connection to the origin that somebody can stand in for.
func (d *virtualDial) firstHangs(o Connect, c *virtualConn) string {
	a := d.m.attempts[o.Attempt-1]
	spare := d.m.spare != nil || d.policy.Spare == Staggered && d.m.wantsSpare(d.clock(), a)
	late := c.server.first == "tcp" && d.m.spare == nil && d.quic != nil // while QUIC is under way, nobody begins one
	if !o.Probe || o.Alt != nil || !spare || late || c.server.chatty || c.server.hangs {
		return ""
	}
	return c.server.first
}

// overtakenTells checks that a first connection that hung has said nothing about what the origin can do over HTTP/2.
func (w *world) overtakenTells(before Entry) {
	for _, r := range []Rung{Settings, Assume, H21, Frame} {
		if is, was := w.known.Findings[r], before.Findings[r]; is != was {
			w.t.Errorf("%s was %+v, and is %+v after a connection that hung", r, was, is)
		}
	}
}
