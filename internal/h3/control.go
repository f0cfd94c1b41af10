package h3

import (
	"bufio"
	"errors"
	"io"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// recvStream takes one of the server's unidirectional streams.
func (cc *ClientConn) recvStream(s *quic.ReceiveStream) {
	r := bufio.NewReaderSize(s, controlBuffer)
	typ, err := quicvarint.Read(r)
	if err != nil {
		// "A receiver MUST tolerate unidirectional streams being closed or reset prior to the reception of the unidirectional
		// stream header." RFC 9114, Section 6.2.
		return
	}
	switch typ {
	case streamControl, streamEncoder, streamDecoder:
		if !cc.claim(typ) {
			cc.violated(nil, violates(http3.ErrCodeStreamCreationError, "peer opened a second stream of type %#x", typ))
			return
		}
		if typ == streamControl {
			cc.recvControl(r)
		}
		// There is no dynamic table: nothing of sense comes on QPACK's streams.
	case streamPush:
		// "A client MUST treat receipt of a push stream as a connection error of type H3_ID_ERROR when no MAX_PUSH_ID frame has
		// been sent." RFC 9114, Section 4.6.
		cc.violated(nil, violates(http3.ErrCodeIDError, "peer pushed, and we allowed no push"))
	default:
		// "Implementations MUST discard data or abort reading on unidirectional streams that have unknown or unsupported types."
		// RFC 9114, Section 9.
		s.CancelRead(quic.StreamErrorCode(http3.ErrCodeStreamCreationError))
	}
}

// claim reports whether the stream is the first of its type.
//
// "Only one control stream per peer is permitted; receipt of a second stream claiming to be a control stream MUST be treated as a
// connection error of type H3_STREAM_CREATION_ERROR." RFC 9114, Section 6.2.1. QPACK's: RFC 9204, Section 4.2.
func (cc *ClientConn) claim(typ uint64) bool {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	first := !cc.claimed[typ]
	cc.claimed[typ] = true
	return first
}

// recvControl reads the server's control stream.
func (cc *ClientConn) recvControl(r *bufio.Reader) {
	err := cc.recvFrames(r)
	if v, ok := err.(*violation); ok {
		cc.violated(nil, v)
		return
	}
	if _, reset := errors.AsType[*quic.StreamError](err); reset || err == io.EOF || err == io.ErrUnexpectedEOF {
		// "If either control stream is closed at any point, this MUST be treated as a connection error of type
		// H3_CLOSED_CRITICAL_STREAM." RFC 9114, Section 6.2.1.
		cc.violated(nil, violates(http3.ErrCodeClosedCriticalStream, "peer closed its control stream"))
	}
}

func (cc *ClientConn) recvFrames(r *bufio.Reader) error {
	for first := true; ; first = false {
		typ, err := quicvarint.Read(r)
		if err != nil {
			return err
		}
		length, err := quicvarint.Read(r)
		if err != nil {
			return err
		}
		// "If the first frame of the control stream is any other frame type, this MUST be treated as a connection error of type
		// H3_MISSING_SETTINGS." RFC 9114, Section 6.2.1.
		if first && typ != frameSettings {
			return violates(http3.ErrCodeMissingSettings, "peer's first frame is of type %#x, not SETTINGS", typ)
		}
		if err := cc.recvFrame(r, typ, length, first); err != nil {
			return err
		}
	}
}

func (cc *ClientConn) recvFrame(r *bufio.Reader, typ, length uint64, first bool) error {
	switch {
	case typ == frameSettings && first || typ == frameGoAway:
		if length > maxSettingsFrame {
			return violates(http3.ErrCodeExcessiveLoad, "peer sent a frame of type %#x and %d bytes", typ, length)
		}
		p := make([]byte, length)
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		if typ == frameGoAway {
			return cc.recvGoAway(p)
		}
		return cc.recvSettings(p)
	case typ == frameCancelPush:
		// "If a CANCEL_PUSH frame is received that references a push ID greater than currently allowed on the connection, this MUST
		// be treated as a connection error of type H3_ID_ERROR." RFC 9114, Section 7.2.3.
		return violates(http3.ErrCodeIDError, "peer sent CANCEL_PUSH, and we allowed no push")
	case known(typ):
		return violates(http3.ErrCodeFrameUnexpected, "peer sent a frame of type %#x on its control stream", typ)
	}
	_, err := io.CopyN(io.Discard, r, int64(length))
	return err
}

func (cc *ClientConn) recvSettings(p []byte) error {
	s, err := parseSettings(p)
	if err != nil {
		return err
	}
	cc.mu.Lock()
	if cc.early && !cc.rejected {
		err = s.reduced(cc.remembered)
	}
	if err == nil {
		cc.peer, cc.received = s, true
		cc.settingsDone()
	}
	cc.mu.Unlock()
	if err == nil && cc.sessions != nil {
		cc.sessions.received(s)
	}
	return err
}

// recvGoAway takes a GOAWAY: no further requests, and those it does not cover have not been processed.
func (cc *ClientConn) recvGoAway(p []byte) error {
	n, used, err := quicvarint.Parse(p)
	if err != nil || used != len(p) {
		return violates(http3.ErrCodeFrameError, "peer sent a GOAWAY of %d bytes", len(p))
	}
	id := quic.StreamID(n)
	// "A client MUST treat receipt of a GOAWAY frame containing a stream ID of any other type as a connection error of type
	// H3_ID_ERROR." RFC 9114, Section 7.2.6.
	if id%4 != 0 {
		return violates(http3.ErrCodeIDError, "peer sent a GOAWAY for %d, which is no request stream", id)
	}
	cc.mu.Lock()
	if cc.goneAway && id > cc.goAwayID {
		was := cc.goAwayID
		cc.mu.Unlock()
		// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type
		// H3_ID_ERROR." RFC 9114, Section 5.2.
		return violates(http3.ErrCodeIDError, "peer sent a GOAWAY for stream %d after one for %d", id, was)
	}
	cc.goneAway, cc.goAwayID = true, id
	var refused []*Call
	for call := range cc.live {
		if call.id() >= int64(id) {
			refused = append(refused, call)
		}
	}
	idle := len(cc.live) == 0
	cc.mu.Unlock()
	for _, call := range refused {
		call.refuse(id)
	}
	if idle {
		go cc.Close()
	}
	return nil
}

const controlBuffer = 64
