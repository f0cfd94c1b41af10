package h2

import "github.com/weftws/weft/internal/h2/wire"

// maxReplies is how many frames that the peer has caused (acks, RST_STREAM) may wait for being written. A peer that
// makes us answer and does not read the answers is ended.
const maxReplies = 10000

// updatesPerFrame and bytesPerUpdate: each DATA frame of ours allows the peer so many WINDOW_UPDATE frames, and one more
// for so many bytes, before they are charged. A peer that reads much may update often; one whose windows cut
// frames into crumbs may not (Data Dribble, CVE-2019-9511).
const (
	updatesPerFrame = 2
	bytesPerUpdate  = 1024
	maxFreeUpdates  = 1 << 20
)

// chargeControl counts n frames that cost the peer nothing and us work.
//
// "An endpoint MAY treat activity that is suspicious as a connection error (Section 5.4.1) of type ENHANCE_YOUR_CALM."
// RFC 9113, Section 10.5.
func (c *Conn) chargeControl(kind string, n int) *breach {
	if c.control.Take(c.now, n) {
		return nil
	}
	return connBreach(tooMuchControl, "sent more than %d control frames, %d a second (the last: %s)",
		c.cfg.ControlBurst, c.cfg.ControlRate, kind)
}

// chargeReset counts a stream that the peer made end early, whoever sent RST_STREAM. A client is not charged: the streams
// are its own.
func (c *Conn) chargeReset() *breach {
	if c.cfg.Side == Client || c.failed || c.resets.Take(c.now, 1) {
		return nil
	}
	return connBreach(tooManyResets, "caused more than %d stream resets, %d a second", c.cfg.ResetBurst, c.cfg.ResetRate)
}

// countReply counts a frame that answers the peer.
func (c *Conn) countReply() *breach {
	c.replies++
	if c.replies <= maxReplies {
		return nil
	}
	return connBreach(repliesNotRead, "caused %d replies and reads none", c.replies)
}

// allowUpdates lets the peer answer a DATA frame of n bytes with WINDOW_UPDATE.
func (c *Conn) allowUpdates(n int) {
	c.freeUpdates = min(c.freeUpdates+updatesPerFrame+n/bytesPerUpdate, maxFreeUpdates)
}

// chargeUpdate counts a WINDOW_UPDATE frame.
func (c *Conn) chargeUpdate() *breach {
	if c.freeUpdates > 0 {
		c.freeUpdates--
		return nil
	}
	return c.chargeControl(wire.WindowUpdate.String(), 1)
}
