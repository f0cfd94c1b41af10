package h3

import (
	"errors"
	"os"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// acceptUniStreams takes the client's unidirectional streams until the connection ends.
func (sc *serverConn) acceptUniStreams() {
	for {
		s, err := sc.q.AcceptUniStream(sc.q.Context())
		if err != nil {
			return
		}
		s.ReleaseStreamCredit()
		if v := sc.chargeControl("unidirectional streams", 1); v != nil {
			sc.violated(nil, v)
			return
		}
		sc.requests.Go(func() { sc.recvUniStream(s) })
	}
}

// recvUniStream takes one of them. Who opens one has to say its type within ReadHeaderTimeout.
//
// Choice: the first three have as long as they want. They are the control stream's and QPACK's, and clients that have nothing to say on one of
// QPACK's open it with the others, and leave its type to later.
func (sc *serverConn) recvUniStream(s *quic.ReceiveStream) {
	timeout := sc.srv.headerTimeout()
	if s.StreamID() > criticalStreams {
		s.SetReadDeadline(time.Now().Add(timeout))
	}
	if err := recvStream(sc, s); errors.Is(err, os.ErrDeadlineExceeded) {
		s.CancelRead(quic.StreamErrorCode(streamTimeout.code))
		b := breaks(streamTimeout, "opened a stream and did not say its type within %v", timeout)
		sc.tell(b.rule, b.detail)
	}
}

// claim implements endpoint.
func (sc *serverConn) claim(typ uint64) bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	first := !sc.claimed[typ]
	sc.claimed[typ] = true
	return first
}

// pushed implements endpoint.
//
// "Only servers can push; if a server receives a client-initiated push stream, this MUST be treated as a connection error of type
// H3_STREAM_CREATION_ERROR." RFC 9114, Section 6.2.2.
func (sc *serverConn) pushed() *violation {
	return violates(http3.ErrCodeStreamCreationError, "client opened a push stream")
}

// wants implements endpoint.
func (sc *serverConn) wants(typ uint64) bool {
	switch typ {
	case frameGoAway, frameMaxPushID, frameCancelPush, framePriorityRequest, framePriorityPush:
		return true
	}
	return false
}

// recvControlFrame implements endpoint.
func (sc *serverConn) recvControlFrame(typ uint64, p []byte) error {
	if typ == frameSettings {
		_, err := parseSettings(p)
		return err
	}
	if err := sc.skipped(typ); err != nil {
		return err
	}
	switch typ {
	case frameGoAway:
		return sc.recvGoAway(p)
	case frameMaxPushID:
		return sc.recvMaxPushID(p)
	case framePriorityRequest:
		return sc.recvPriorityUpdate(p)
	case framePriorityPush:
		// "If a server receives a PRIORITY_UPDATE (type=0xF0701) with a push ID that is greater than the maximum push ID or that has not yet
		// been promised, this MUST be treated as a connection error of type H3_ID_ERROR." RFC 9218, Section 7.2.
		return violates(http3.ErrCodeIDError, "client sent PRIORITY_UPDATE for a push, and we promised none")
	}
	// "If a server receives a CANCEL_PUSH frame for a push ID that has not yet been mentioned by a PUSH_PROMISE frame, this MUST be treated
	// as a connection error of type H3_ID_ERROR." RFC 9114, Section 7.2.3.
	return violates(http3.ErrCodeIDError, "client sent CANCEL_PUSH, and we promised no push")
}

// skipped implements endpoint. Of those that mean something it counts all but SETTINGS, too: they cost the client nothing.
func (sc *serverConn) skipped(uint64) error {
	if v := sc.chargeControl("control frames", 1); v != nil {
		return v
	}
	return nil
}

// recvGoAway takes a GOAWAY, which names pushes, of which there are none.
func (sc *serverConn) recvGoAway(p []byte) error {
	id, err := parseID(p, "GOAWAY")
	if err != nil {
		return err
	}
	sc.mu.Lock()
	was, again := sc.goAwayPush, sc.pushesGone
	sc.goAwayPush, sc.pushesGone = id, true
	sc.mu.Unlock()
	// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type H3_ID_ERROR."
	// RFC 9114, Section 5.2.
	if again && id > was {
		return violates(http3.ErrCodeIDError, "client sent a GOAWAY for push %d after one for %d", id, was)
	}
	return nil
}

// recvMaxPushID: "A MAX_PUSH_ID frame cannot reduce the maximum push ID; receipt of a MAX_PUSH_ID frame that contains a smaller value than
// previously received MUST be treated as a connection error of type H3_ID_ERROR." RFC 9114, Section 7.2.7.
func (sc *serverConn) recvMaxPushID(p []byte) error {
	id, err := parseID(p, "MAX_PUSH_ID")
	if err != nil {
		return err
	}
	sc.mu.Lock()
	was := sc.maxPush
	sc.maxPush = max(was, id)
	sc.mu.Unlock()
	if id < was {
		return violates(http3.ErrCodeIDError, "client sent MAX_PUSH_ID %d after %d", id, was)
	}
	return nil
}

// recvPriorityUpdate: RFC 9218, Section 7.2.
func (sc *serverConn) recvPriorityUpdate(p []byte) error {
	n, used, err := quicvarint.Parse(p)
	if err != nil {
		return violates(http3.ErrCodeFrameError, "client sent a PRIORITY_UPDATE of %d bytes", len(p))
	}
	// "If a server receives a PRIORITY_UPDATE (type=0xF0700) for a stream ID that is not a request stream, this MUST be treated as a
	// connection error of type H3_ID_ERROR."
	if n%4 != 0 {
		return violates(http3.ErrCodeIDError, "client sent a PRIORITY_UPDATE for %d, which is no request stream", n)
	}
	sc.reprioritize(quic.StreamID(n), parsePriority(string(p[used:])))
	return nil
}

// criticalStreams is the third of a client's unidirectional streams. "Endpoints SHOULD create the HTTP control stream as well as the
// unidirectional streams required by mandatory extensions (such as the QPACK encoder and decoder streams) first". RFC 9114, Section 6.2.
const criticalStreams = 2 + 2*4
