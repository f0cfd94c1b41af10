package h3

import (
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// claim implements endpoint.
func (cc *ClientConn) claim(typ uint64) bool {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	first := !cc.claimed[typ]
	cc.claimed[typ] = true
	return first
}

// pushed implements endpoint.
//
// "A client MUST treat receipt of a push stream as a connection error of type H3_ID_ERROR when no MAX_PUSH_ID frame has been sent."
// RFC 9114, Section 4.6.
func (cc *ClientConn) pushed() *violation {
	return violates(http3.ErrCodeIDError, "peer pushed, and we allowed no push")
}

// wants implements endpoint.
func (cc *ClientConn) wants(typ uint64) bool { return typ == frameGoAway || typ == frameCancelPush }

// recvControlFrame implements endpoint.
func (cc *ClientConn) recvControlFrame(typ uint64, p []byte) error {
	switch typ {
	case frameSettings:
		return cc.recvSettings(p)
	case frameGoAway:
		return cc.recvGoAway(p)
	}
	// "If a CANCEL_PUSH frame is received that references a push ID greater than currently allowed on the connection, this MUST be
	// treated as a connection error of type H3_ID_ERROR." RFC 9114, Section 7.2.3.
	return violates(http3.ErrCodeIDError, "peer sent CANCEL_PUSH, and we allowed no push")
}

// skipped implements endpoint.
func (cc *ClientConn) skipped(uint64) error { return nil }

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
	n, err := parseID(p, "GOAWAY")
	if err != nil {
		return err
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
