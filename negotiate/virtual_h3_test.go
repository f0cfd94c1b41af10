package negotiate

// connectQUIC is what a server does with QUIC, if the network lets it through.
func (d *virtualDial) connectQUIC(o Connect, c *virtualConn) {
	c.quic, c.alpn, c.at = true, alpnH3, d.at
	c.quiet = d.blocked || c.server.quic == "silence"
	d.quic, d.raced = c, append(d.raced, c)
	switch {
	case o.Early:
		c.early = true
		d.after(0, c, Connected{Attempt: o.Attempt, ALPN: alpnH3, Early: true})
	case c.quiet:
	case c.server.quic == "refuses":
		d.after(1, c, ConnectFailed{Attempt: o.Attempt, Step: StepQUIC, Heard: true})
	default:
		d.after(1, c, Connected{Attempt: o.Attempt, ALPN: alpnH3})
	}
}

// beginHTTP3 brings the server's SETTINGS.
func (d *virtualDial) beginHTTP3(id int, c *virtualConn) {
	if c.live == nil {
		l := &LiveConn{ID: uint64(len(d.live) + 1), ALPN: alpnH3, SettingsReceived: true, ConnectProtocol: c.server.flag3, Slots: 10, Alt: c.alt}
		c.live = l
		d.live = append(d.live, l)
	}
	d.after(c.server.late, c, SettingsReceived{
		Attempt: id, Present: c.server.flag3, ConnectProtocol: c.server.flag3, Slots: 10, RoundTrips: c.server.late,
	})
}

// sendConnect3: the first on an early connection is 0-RTT data.
func (d *virtualDial) sendConnect3(id int, c *virtualConn) {
	switch {
	case !c.early || c.begun:
		d.answer3(id, c)
		return
	case c.quiet:
	case c.server.quic == "refuses":
		d.after(1, c, ConnectFailed{Attempt: id, Step: StepQUIC, Heard: true})
	case c.server.early == "reject" || !c.server.flag3:
		d.after(1, c, EarlyRejected{Attempt: id})
	case c.server.early == "425":
		d.after(1, c, Response{Attempt: id, Status: 425})
	default:
		d.answer3(id, c)
	}
	c.begun = true
}

func (d *virtualDial) answer3(id int, c *virtualConn) {
	if !c.server.broken || d.r.IntN(2) == 0 {
		d.after(1, c, Response{Attempt: id, Status: map[bool]int{false: 200, true: 501}[c.server.broken]})
		return
	}
	d.after(1, c, StreamReset{Attempt: id, Code: codeVersionFallback})
}
