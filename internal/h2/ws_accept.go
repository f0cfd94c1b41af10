package h2

import (
	"errors"
	"slices"
	"time"

	"github.com/weftws/weft/internal/h2/wire"
)

// Why OpenFrame refuses, beside the reasons of Open. Nothing was sent.
var (
	ErrFrameTooLarge    = errors.New("fields do not fit a WS_OPEN frame")
	ErrFrameUnsupported = errors.New("peer does not know WS_OPEN")
)

// proposals are the streams that a client proposes by WS_OPEN: see package wire, WebSocket streams 1.
//
//	            ┌─ WS_ACCEPT ──────────▶ open; cancelled: RST_STREAM
//	OpenFrame ──┼─ the PING's ack ─────▶ gone: the server does not know WS_OPEN, the identifier is a skipped one
//	            └─ GOAWAY below it ────▶ gone, refused
//
// An undecided one is in no table of streams: whatever comes for its identifier comes for an idle stream.
type proposals struct {
	undecided   []proposal // in the order of their identifiers
	duePongs    int        // acks that will come for decided ones
	made        bool       // there was one
	unsupported bool       // the server has answered one by the PING's ack alone
}

type proposal struct {
	stream    *Stream
	nonce     [8]byte
	cancelled bool // the driver has Reset the stream, with code
	code      wire.ErrCode
}

// OpenFrame proposes a stream of type WebSocket (client): a WS_OPEN with the fields of an Extended CONNECT, and a PING that
// carries nonce, which no other PING of the connection has had. EventFrameAccepted or EventFrameUnsupported follows, or EventReset where a GOAWAY came. Until the stream
// is accepted nothing is sent on it: a Reset waits, SendData does nothing. Errors: those of Open, ErrFrameTooLarge,
// ErrFrameUnsupported.
func (c *Conn) OpenFrame(now time.Time, p Pseudo, fields []Field, nonce [8]byte) (*Stream, error) {
	c.now = now
	if c.proposals.unsupported {
		return nil, ErrFrameUnsupported
	}
	if err := c.openable(); err != nil {
		return nil, err
	}
	plain := appendPlainFields(c.encoded[:0], p, fields)
	if cap(plain) <= largeBlockCap {
		c.encoded = plain[:0]
	}
	if len(plain) > wire.MaxWSFields {
		return nil, ErrFrameTooLarge
	}
	s := c.makeStream(c.nextID)
	c.nextID += 2
	s.connect = true
	c.out = wire.AppendWSOpen(c.out, s.ID, nonce, plain)
	c.out = wire.AppendPing(c.out, false, nonce)
	c.proposals.undecided = append(c.proposals.undecided, proposal{stream: s, nonce: nonce})
	c.proposals.made = true
	return s, nil
}

func appendPlainFields(dst []byte, p Pseudo, fields []Field) []byte {
	for _, f := range [...]Field{
		{":method", p.Method}, {":protocol", p.Protocol}, {":scheme", p.Scheme}, {":authority", p.Authority}, {":path", p.Path},
	} {
		if f.Value != "" {
			dst = wire.AppendWSField(dst, f.Name, f.Value)
		}
	}
	for _, f := range fields {
		if sendable(f) {
			dst = wire.AppendWSField(dst, f.Name, f.Value)
		}
	}
	return dst
}

// recvWSAccept: the server has understood a WS_OPEN, and the stream is open.
func (c *Conn) recvWSAccept(h wire.FrameHeader, p []byte) *breach {
	if h.StreamID != 0 {
		return connBreach(streamNotZero, "sent WS_ACCEPT on stream %d", h.StreamID)
	}
	head, err := wire.ParseWSAccept(p)
	if err != nil {
		return connBreach(frameSize, "sent a WS_ACCEPT frame of %d bytes", h.Length)
	}
	i := slices.IndexFunc(c.proposals.undecided, func(pr proposal) bool {
		return pr.stream.ID == head.StreamID && pr.nonce == head.Nonce
	})
	if i < 0 || head.Version != wire.WSVersion {
		return connBreach(wsAcceptUnexpected, "accepted stream %d by WS_ACCEPT of version %d, which nothing proposes",
			head.StreamID, head.Version)
	}
	pr := c.decide(i)
	c.proposals.duePongs++
	s := pr.stream
	if pr.cancelled {
		c.closedIDs.add(s.ID, closedByUs)
		c.out = wire.AppendRSTStream(c.out, s.ID, pr.code)
		return nil
	}
	s.sendWindow, s.recvWindow = int32(c.peer.InitialWindowSize), int32(c.recvInitial)
	s.sendHeaders = true
	c.enter(s)
	c.addEvent(EventFrameAccepted, s)
	return nil
}

// recvProposalPong takes the ack of the PING behind an undecided WS_OPEN; it reports whether it is one.
func (c *Conn) recvProposalPong(nonce [8]byte) bool {
	i := slices.IndexFunc(c.proposals.undecided, func(pr proposal) bool { return pr.nonce == nonce })
	if i < 0 {
		return false
	}
	pr := c.decide(i)
	c.proposals.unsupported = true
	if pr.cancelled {
		c.closedIDs.add(pr.stream.ID, neverOpened)
		return true
	}
	c.closeStream(pr.stream, neverOpened)
	c.addEvent(EventFrameUnsupported, pr.stream)
	return true
}

// decide takes a proposal out of the undecided ones.
func (c *Conn) decide(i int) proposal {
	pr := c.proposals.undecided[i]
	c.proposals.undecided = slices.Delete(c.proposals.undecided, i, i+1)
	return pr
}

// cancelProposal is Reset for a stream that is undecided; it reports whether it is. To the driver it is closed from here.
func (c *Conn) cancelProposal(s *Stream, code wire.ErrCode) bool {
	for i := range c.proposals.undecided {
		if pr := &c.proposals.undecided[i]; pr.stream == s {
			pr.cancelled, pr.code = true, code
			s.closed = true
			return true
		}
	}
	return false
}

// unprocessedProposals takes out those that the peer's GOAWAY does not count, and returns the streams of which the driver
// has to know.
func (c *Conn) unprocessedProposals() (lost []*Stream) {
	list := c.proposals.undecided
	n := len(list)
	for n > 0 && list[n-1].stream.ID > c.peerLast {
		n--
	}
	for _, pr := range list[n:] {
		if pr.cancelled {
			c.closedIDs.add(pr.stream.ID, closedByUs)
		} else {
			lost = append(lost, pr.stream)
		}
	}
	c.proposals.duePongs += len(list) - n
	c.proposals.undecided = slices.Delete(list, n, len(list))
	return lost
}

// isUnopened reports whether the client has used the identifier for a proposal that did not become a stream, or not yet.
func (c *Conn) isUnopened(id uint32) bool {
	if !c.proposals.made {
		return false
	}
	return c.closedIDs.other.find(id) == neverOpened ||
		slices.ContainsFunc(c.proposals.undecided, func(pr proposal) bool { return pr.stream.ID == id })
}
