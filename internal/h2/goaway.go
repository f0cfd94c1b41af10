package h2

import (
	"cmp"
	"slices"

	"github.com/weftws/weft/internal/h2/wire"
)

// GoAway says that no new streams are taken. A server's graceful shutdown: GoAway(NoError) first with the highest
// last-stream-id, again (the driver calls it after a round trip) with the real one. RFC 9113, Section 6.8.
//
// "A server that is attempting to gracefully shut down a connection SHOULD send an initial GOAWAY frame with the last
// stream identifier set to 2^31-1 and a NO_ERROR code."
func (c *Conn) GoAway(code wire.ErrCode, debug string) {
	if c.failed {
		return
	}
	last := c.maxPeerID
	if c.cfg.Side == Server && code == wire.NoError && !c.goAwaySent {
		last = wire.MaxStreamID
	}
	c.goAwaySent = true
	// "Endpoints MUST NOT increase the value they send in the last stream identifier". RFC 9113, Section 6.8.
	c.goAwayLast = min(c.goAwayLast, last)
	c.out = wire.AppendGoAway(c.out, c.goAwayLast, code, debug)
}

func (c *Conn) recvGoAway(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID != 0 {
		return connBreach(streamNotZero, "sent GOAWAY on stream %d", h.StreamID)
	}
	last, code, debug, err := wire.ParseGoAway(p)
	if err != nil {
		return payloadBreach(h, err)
	}
	if br := c.chargeControl("GOAWAY", 1); br != nil {
		return br
	}
	c.goAwayReceived = true
	c.peerLast = min(c.peerLast, last)
	ev := c.addEvent(EventGoAway, nil)
	ev.LastStreamID, ev.Code, ev.Debug = last, code, debug
	if c.cfg.Side == Client {
		c.endUnprocessed()
	}
	return nil
}

// endUnprocessed ends the streams that the peer's GOAWAY does not count.
//
// "The receiver of the GOAWAY frame can treat the streams as though they had never been created at all, thereby allowing
// those streams to be retried later on a new connection." RFC 9113, Section 6.8.
func (c *Conn) endUnprocessed() {
	lost := c.unprocessedProposals()
	for id, s := range c.streams {
		if id > c.peerLast {
			lost = append(lost, s)
		}
	}
	slices.SortFunc(lost, func(a, b *Stream) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range lost {
		c.closeStream(s, closedByUs)
		ev := c.addEvent(EventReset, s)
		ev.Code, ev.Initiator, ev.Unprocessed = wire.RefusedStream, Peer, true
		ev.Detail = detailText("did not process the stream: GOAWAY came", wire.RefusedStream, s.ID)
	}
}
