package h2

import "time"

// Advance tells the time: timeouts, keepalive. Call it when NextTimeout is due.
func (c *Conn) Advance(now time.Time) {
	c.now = now
	c.resetEvents()
	if c.failed {
		return
	}
	switch {
	case c.settingsDue(now):
		missing := "acknowledge SETTINGS"
		if !c.peer.Received {
			missing = "send SETTINGS"
		}
		c.punish(connBreach(settingsTimeout, "did not %s within %v", missing, c.cfg.SettingsTimeout))
	case c.block.open && !now.Before(c.block.deadline):
		c.punish(connBreach(headersTimeout, "did not end the field block of stream %d within %v", c.block.streamID,
			c.cfg.HeadersTimeout))
	default:
		c.advanceStalls(now)
		c.advanceKeepalive(now)
	}
}

func (c *Conn) settingsDue(now time.Time) bool {
	return !(c.peer.Received && c.settingsAcked) && !now.Before(c.settingsDeadline)
}

func (c *Conn) advanceKeepalive(now time.Time) {
	at := c.keepaliveTimeout()
	if at.IsZero() || now.Before(at) || c.failed {
		return
	}
	if c.keepalive.at.IsZero() {
		c.sendKeepalive()
		return
	}
	c.punish(connBreach(pingTimeout, "did not answer a PING within %v", c.cfg.PingTimeout))
}

// keepaliveTimeout is when silence calls for a PING, or for the end because of one. Anything that the peer sends shows
// that it is there.
func (c *Conn) keepaliveTimeout() time.Time {
	switch {
	case c.cfg.PingInterval <= 0:
		return time.Time{}
	case c.keepalive.at.IsZero():
		return c.heardAt.Add(c.cfg.PingInterval)
	case c.heardAt.After(c.keepalive.at):
		return c.heardAt.Add(c.cfg.PingTimeout)
	default:
		return c.keepalive.at.Add(c.cfg.PingTimeout)
	}
}

// NextTimeout is when Advance is due; the zero time means never.
func (c *Conn) NextTimeout() time.Time {
	var next time.Time
	if c.failed {
		return next
	}
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if !(c.peer.Received && c.settingsAcked) {
		soonest(c.settingsDeadline)
	}
	if c.block.open {
		soonest(c.block.deadline)
	}
	soonest(c.stallCheck)
	soonest(c.keepaliveTimeout())
	return next
}
