package h2

import (
	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/h2/wire"
)

// recvWSOpen takes the proposal of a stream of type WebSocket (server): see package wire, WebSocket streams 1. The stream
// is open from here on; the events and the rest of its life are those of an Extended CONNECT.
func (c *Conn) recvWSOpen(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID != 0 {
		return connBreach(streamNotZero, "sent WS_OPEN on stream %d", h.StreamID)
	}
	if h.Length > wire.MaxWSOpenSize {
		return connBreach(frameSize, "sent a WS_OPEN frame of %d bytes, %d are allowed", h.Length, wire.MaxWSOpenSize)
	}
	head, fields, err := wire.ParseWSOpen(p)
	if err != nil {
		return connBreach(frameSize, "sent a malformed WS_OPEN frame of %d bytes", h.Length)
	}
	if head.Version != wire.WSVersion {
		return c.chargeControl("unknown", 1)
	}
	id := head.StreamID
	switch {
	case id%2 == 0 || id > wire.MaxStreamID:
		return connBreach(streamIDInvalid, "sent WS_OPEN for stream %d", id)
	case c.isIgnored(id):
		return c.chargeControl(wire.WSOpen.String(), 1)
	case !c.isIdle(id):
		return connBreach(streamIDInvalid, "sent WS_OPEN for stream %d after stream %d", id, c.maxPeerID)
	}
	c.maxPeerID = id
	c.out = wire.AppendWSAccept(c.out, id, head.Nonce)
	if br := c.countReply(); br != nil {
		return br
	}
	return c.recvPlainFields(id, fields)
}

// recvPlainFields does with a WS_OPEN's fields what is done with those of a whole field block.
func (c *Conn) recvPlainFields(id uint32, fields wire.WSFields) *breach {
	b := &c.block
	*b = fieldBlock{
		streamID: id,
		kind:     blockRequest,
		plain:    true,
		section:  fieldSection{crumbs: b.section.crumbs[:0]},
	}
	b.section.begin(c, b.kind)
	for name, value, rest, ok := fields.Next(); ok; name, value, rest, ok = rest.Next() {
		c.recvField(hpack.HeaderField{Name: string(name), Value: string(value)})
	}
	return c.endBlock(b)
}
