package h2

import "github.com/weftws/weft/internal/h2/wire"

// An Advert is what a server says of where origins are served.
type Advert struct {
	Origin string // EventAltSvc: in ASCII, "" where the event has a Stream
	Value  string // EventAltSvc: as in an Alt-Svc field

	Origins []string // EventOrigin: in ASCII
}

// recvExtension takes the frames that are not RFC 9113's.
func (c *Conn) recvExtension(h wire.FrameHeader, p []byte) *breach {
	switch {
	case h.Type == wire.WSOpen && c.cfg.Side == Server && c.cfg.WSFrame:
		return c.recvWSOpen(h, p)
	case h.Type == wire.WSAccept && c.proposals.made:
		return c.recvWSAccept(h, p)
	case h.Type == wire.AltSvc && c.cfg.Side == Client:
		c.recvAltSvc(h, p)
	case h.Type == wire.Origin && c.cfg.Side == Client:
		c.recvOrigin(h, p)
	default:
		// "Implementations MUST ignore and discard frames of unknown types." RFC 9113, Section 4.1.
		return c.chargeControl("unknown", 1)
	}
	return c.chargeControl(h.Type.String(), 1)
}

// recvAltSvc: RFC 7838, Section 4. Choice: what cannot be read is ignored like the rest, since it is only a hint.
func (c *Conn) recvAltSvc(h wire.FrameHeader, p []byte) {
	origin, value, err := wire.ParseAltSvc(p)
	if err != nil {
		return
	}
	// "An ALTSVC frame on stream 0 with empty (length 0) "Origin" information is invalid and MUST be ignored. An ALTSVC
	// frame on a stream other than stream 0 containing non-empty "Origin" information is invalid and MUST be ignored."
	if (h.StreamID == 0) != (len(origin) > 0) {
		return
	}
	var s *Stream
	if h.StreamID != 0 {
		// "An ALTSVC frame from a server to a client on a stream other than stream 0 indicates that the conveyed alternative
		// service is associated with the origin of that stream." Nobody knows it any more when the stream is closed.
		if s = c.lookup(h.StreamID); s == nil {
			return
		}
	}
	c.addEvent(EventAltSvc, s).Advert = &Advert{Origin: string(origin), Value: string(value)}
}

// originFlags are "reserved for backwards-incompatible changes; therefore, when any of them are set, the ORIGIN frame
// containing them MUST be ignored". RFC 8336, Section 2.2.
const originFlags wire.Flags = 0xf

func (c *Conn) recvOrigin(h wire.FrameHeader, p []byte) {
	// "The ORIGIN frame MUST be sent on stream 0; an ORIGIN frame on any other stream is invalid and MUST be ignored."
	if h.StreamID != 0 || h.Flags&originFlags != 0 {
		return
	}
	list, err := wire.ParseOrigin(p)
	if err != nil {
		return
	}
	a := &Advert{Origins: make([]string, 0, len(list))}
	for _, origin := range list {
		a.Origins = append(a.Origins, string(origin))
	}
	c.addEvent(EventOrigin, nil).Advert = a
}

// SendAltSvc sends an ALTSVC frame (server): value is an Alt-Svc field value for origin, which is in ASCII, or for the
// origin of s if that is not nil. What does not fit a frame of 16,384 bytes, or is for a closed stream, is not sent.
func (c *Conn) SendAltSvc(s *Stream, origin, value string) {
	if c.cfg.Side == Client || c.failed || 2+len(origin)+len(value) > maxPayload {
		return
	}
	switch {
	case s == nil && origin != "":
		c.out = wire.AppendAltSvc(c.out, 0, origin, value)
	case s != nil && !s.closed:
		c.out = wire.AppendAltSvc(c.out, s.ID, "", value)
	}
}
