package h2

import (
	"cmp"
	"slices"
	"time"
)

// minDrain is how many bytes a peer has to let through in Config.StallTimeout on a stream that has more to send, or on the
// connection where its window is what holds streams up.
const minDrain = 1024

// watchStalls: something waits, so there will be a look for stalls.
func (c *Conn) watchStalls() {
	if c.cfg.StallTimeout > 0 && c.cfg.Side == Server && c.stallCheck.IsZero() {
		c.stallCheck = c.now.Add(c.cfg.StallTimeout)
	}
}

// Waiting reports whether DATA waits, or has waited a short while ago, so that NextTimeout may be sooner than it was.
func (c *Conn) Waiting() bool { return !c.stallCheck.IsZero() }

func (c *Conn) countDrained(s *Stream, n int) {
	if s.drained < minDrain {
		s.drained += int32(n)
	}
	c.drained += int64(n)
}

// advanceStalls ends the streams that the peer's windows have held up since the latest look: a peer that asks for much and
// takes nothing binds what waits for it (CVE-2019-9517). The network's own slowness is not the windows'.
func (c *Conn) advanceStalls(now time.Time) {
	if c.stallCheck.IsZero() || now.Before(c.stallCheck) {
		return
	}
	c.stallCheck = time.Time{}
	shut := c.sendWindow <= 0 && c.drained < minDrain
	c.drained = 0
	var stalled []*Stream
	for _, s := range c.streams {
		if s.pending == nil {
			continue
		}
		if s.waits && (shut || s.sendWindow <= 0 && s.drained < minDrain) {
			stalled = append(stalled, s)
		}
		s.waits, s.drained = true, 0
		c.stallCheck = now.Add(c.cfg.StallTimeout)
	}
	// In order of identifiers, so that the output does not hang on the order of a map.
	slices.SortFunc(stalled, func(a, b *Stream) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range stalled {
		if c.failed {
			return
		}
		c.punish(c.streamBreach(s.ID, streamStalled, "took less than %d bytes of %d within %v", minDrain, s.Pending(), c.cfg.StallTimeout))
	}
}

// Held is how many bytes are kept for the peer: received and not consumed, and not yet written.
func (c *Conn) Held() int64 { return c.buffered + c.queued + int64(len(c.out)-c.outHead) }

// Overload ends the connection because all of them together hold more than limit, and this one has a part in it.
func (c *Conn) Overload(limit int64) {
	if !c.failed {
		c.punish(connBreach(memoryExceeded, "has us hold %d bytes, while all connections hold more than %d", c.Held(), limit))
	}
}
