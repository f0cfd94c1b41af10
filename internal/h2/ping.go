package h2

import (
	"encoding/binary"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// maxPings is how many PINGs of the driver may be unanswered; the oldest is forgotten beyond that.
const maxPings = 64

// A sentPing waits for its ack. The zero value waits for nothing.
type sentPing struct {
	data [8]byte
	at   time.Time
}

// Ping sends a PING; EventPong reports its ack.
func (c *Conn) Ping(now time.Time, data [8]byte) {
	c.now = now
	if c.failed {
		return
	}
	if len(c.pings) == maxPings {
		c.pings = append(c.pings[:0], c.pings[1:]...)
	}
	c.pings = append(c.pings, sentPing{data, now})
	c.out = wire.AppendPing(c.out, false, data)
}

func (c *Conn) recvPing(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID != 0 {
		return connBreach(streamNotZero, "sent PING on stream %d", h.StreamID)
	}
	data, err := wire.ParsePing(p)
	if err != nil {
		return payloadBreach(h, err)
	}
	if h.Flags.Has(wire.FlagAck) {
		return c.recvPong(data)
	}
	if br := c.chargeControl("PING", 1); br != nil {
		return br
	}
	// "Receivers of a PING frame that does not include an ACK flag MUST send a PING frame with the ACK flag set in
	// response, with an identical frame payload." RFC 9113, Section 6.7.
	c.out = wire.AppendPing(c.out, true, data)
	return c.countReply()
}

func (c *Conn) recvPong(data [8]byte) *breach {
	if c.proposals.made && c.recvProposalPong(data) {
		return nil
	}
	for i, p := range c.pings {
		if p.data == data {
			c.pings = append(c.pings[:i], c.pings[i+1:]...)
			ev := c.addEvent(EventPong, nil)
			ev.Ping, ev.RTT = data, c.now.Sub(p.at)
			return nil
		}
	}
	if !c.keepalive.at.IsZero() && c.keepalive.data == data {
		c.keepalive.at = time.Time{}
		return nil
	}
	if c.proposals.duePongs > 0 {
		c.proposals.duePongs--
		return nil
	}
	return c.chargeControl("PING ack", 1)
}

// sendKeepalive asks a silent peer whether it is there. Its payload counts up from one that no driver would choose.
func (c *Conn) sendKeepalive() {
	n := binary.BigEndian.Uint64(c.keepalive.data[:])
	if n == 0 {
		n = keepaliveSeed
	}
	binary.BigEndian.PutUint64(c.keepalive.data[:], n+1)
	c.keepalive.at = c.now
	c.out = wire.AppendPing(c.out, false, c.keepalive.data)
}

const keepaliveSeed = 0x776566746b610000 // "weftka", 0
