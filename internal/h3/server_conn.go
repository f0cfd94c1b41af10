package h3

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft/internal/bucket"
	"github.com/weftws/weft/internal/transport"
)

// A serverConn is the server's end of one connection.
type serverConn struct {
	srv    *Server
	q      *quic.Conn
	id     uint64
	remote string          // address
	base   context.Context // BaseContext's; nil: none

	writer   writer
	requests sync.WaitGroup // goroutines of streams; more are added by those that accept streams alone

	mu       sync.Mutex
	active   int // requests whose handlers run, and streams
	draining bool
	over     bool
	timer    *time.Timer // closes the connection when nothing is active; nil: it may be idle for ever
	state    *tls.ConnectionState
	control  *quic.SendStream // our control stream

	next     quic.StreamID // the next request's
	rejects  bool          // a GOAWAY was sent, for next
	live     map[quic.StreamID]liveStream
	ahead    map[quic.StreamID]priority // of streams to come; nil until there is one
	claimed  [4]bool                    // by the client's streams of the types that there is one of
	failed   bool                       // we are ending the connection for what the client did
	resets   bucket.Bucket              // what is left to the client
	controls bucket.Bucket

	speaksPriority bool   // the client
	maxPush        uint64 // the last MAX_PUSH_ID
	pushesGone     bool   // a GOAWAY was received
	goAwayPush     uint64 // the last one's
}

// newConn makes a serverConn of a connection that begins. nil: the server has stopped.
func (s *Server) newConn(q *quic.Conn) *serverConn {
	now := time.Now()
	sc := &serverConn{
		srv: s, q: q, id: transport.NextConnID(), remote: q.RemoteAddr().String(), live: make(map[quic.StreamID]liveStream),
		resets: bucket.New(now, resetBurst, resetRate), controls: bucket.New(now, controlBurst, controlRate),
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		return nil
	}
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	s.mu.Unlock()
	if s.BaseContext != nil {
		sc.base = s.BaseContext(q.LocalAddr())
	}
	return sc
}

// serve serves the connection until it has ended and all handlers have returned.
func (sc *serverConn) serve() {
	s := sc.srv
	defer s.gone(sc)
	if s.Connected != nil {
		s.Connected(sc.q.RemoteAddr())
	}
	context.AfterFunc(sc.q.Context(), sc.ended)
	if s.Admit != nil || s.Begin != nil {
		sc.requests.Go(sc.admit)
	}
	if s.IdleTimeout > 0 {
		sc.mu.Lock()
		sc.timer = time.AfterFunc(s.IdleTimeout, sc.closeIdle)
		sc.mu.Unlock()
	}
	sc.openControl()
	if s.isStopping() { // and there was no control stream yet
		sc.drain()
	}
	sc.requests.Go(sc.acceptUniStreams)
	sc.acceptStreams()
	sc.requests.Wait()
}

// openControl opens our control stream. It does not wait for the network.
func (sc *serverConn) openControl() {
	control, err := sc.q.OpenUniStream()
	if err == nil {
		_, err = control.Write(appendControlStream(nil, sc.srv.settings()))
	}
	if err == nil {
		sc.mu.Lock()
		sc.control = control
		sc.mu.Unlock()
		return
	}
	if sc.q.Context().Err() == nil {
		// "the transport parameters sent by both clients and servers MUST allow the peer to create at least three unidirectional streams."
		// RFC 9114, Section 6.2.
		sc.violated(nil, violates(http3.ErrCodeGeneralProtocolError, "client allows no control stream"))
	}
}

// settings are those that we announce.
func (s *Server) settings() settings {
	return settings{maxSection: uint64(s.maxHeaderBytes()), connect: s.ConnectProtocol}
}

// acceptStreams takes requests until the connection ends.
func (sc *serverConn) acceptStreams() {
	for {
		q, err := sc.q.AcceptStream(context.Background())
		if err != nil {
			return
		}
		if sc.take(q) {
			sc.add(1)
			sc.requests.Go(func() { sc.serveRequest(q) })
			continue
		}
		// "Upon sending a GOAWAY frame, the endpoint SHOULD explicitly cancel any requests or pushes that have identifiers greater than or
		// equal to the one indicated, in order to clean up transport state for the affected streams. The endpoint SHOULD continue to do so as
		// more requests or pushes arrive." RFC 9114, Section 5.2.
		q.ReleaseStreamCredit()
		q.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
		q.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
		if v := sc.chargeControl("requests after GOAWAY", 1); v != nil {
			sc.violated(nil, v)
		}
	}
}

// take reports whether the request on q is served.
func (sc *serverConn) take(q *quic.Stream) bool {
	id := q.StreamID()
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.rejects {
		return false
	}
	sc.next = id + 4
	l := liveStream{q: q}
	if p, ok := sc.ahead[id]; ok {
		delete(sc.ahead, id)
		l.priority, l.updated = p, true
	}
	sc.live[id] = l
	return true
}

// forget is told of the end of a stream.
func (sc *serverConn) forget(id quic.StreamID) {
	sc.mu.Lock()
	delete(sc.live, id)
	sc.mu.Unlock()
}

// tlsState is what requests show of TLS.
func (sc *serverConn) tlsState() *tls.ConnectionState {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.state != nil {
		return sc.state
	}
	state := sc.q.ConnectionState().TLS
	if state.HandshakeComplete {
		sc.state = &state
	}
	return &state
}

// ended is called when the QUIC connection has.
func (sc *serverConn) ended() {
	sc.mu.Lock()
	sc.over = true
	if sc.timer != nil {
		sc.timer.Stop()
	}
	sc.mu.Unlock()
	if s := sc.srv; s.Closed != nil {
		s.Closed(sc.q.RemoteAddr(), sc.lost(context.Cause(sc.q.Context())))
	}
}

// drain sends GOAWAY, and has the connection closed when nothing is active on it. A client that has nothing to wait for should close
// then, and what was on the way still arrives.
//
// Choice: GOAWAY names the next request at once, not the largest possible one first. What is on the way is rejected, and its client may try it again
// elsewhere; a WebSocket that is opened now would only have to be closed.
func (sc *serverConn) drain() {
	sc.mu.Lock()
	switch {
	case sc.draining || sc.over || sc.control == nil:
		sc.mu.Unlock()
		return
	case sc.timer == nil:
		sc.timer = time.AfterFunc(drainTimeout, sc.closeIdle)
	default:
		sc.timer.Reset(drainTimeout)
	}
	sc.draining, sc.rejects = true, true
	if sc.active > 0 {
		sc.timer.Stop()
	}
	id := quicvarint.Append(nil, uint64(sc.next))
	frame := quicvarint.Append(nil, frameGoAway)
	frame = quicvarint.Append(frame, uint64(len(id)))
	frame = append(frame, id...)
	sc.mu.Unlock()
	// A client that gives the control stream no room is not told.
	sc.control.SetWriteDeadline(time.Now().Add(sc.srv.writeTimeout()))
	go sc.control.Write(frame)
}

// closeIdle closes a connection that is drained, or drains it first: what is on the way now has to be rejected to be tried again elsewhere.
func (sc *serverConn) closeIdle() {
	sc.mu.Lock()
	idle, draining := sc.active == 0, sc.draining
	sc.mu.Unlock()
	switch {
	case idle && !draining:
		sc.drain()
	case idle:
		// "An endpoint that completes a graceful shutdown SHOULD use the H3_NO_ERROR error code when closing the connection."
		// RFC 9114, Section 5.2.
		sc.q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
}

// add counts what is active.
func (sc *serverConn) add(n int) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.active += n
	switch {
	case sc.timer == nil || sc.over:
	case sc.active > 0:
		sc.timer.Stop()
	case sc.draining:
		sc.timer.Reset(drainTimeout)
	default:
		sc.timer.Reset(sc.srv.IdleTimeout)
	}
}

// lost implements under.
func (sc *serverConn) lost(err error) *ConnError { return connError(err, true) }

// admit tells of the end of the handshake, and asks Admit: until then anybody may have claimed the address.
func (sc *serverConn) admit() {
	select {
	case <-sc.q.HandshakeComplete():
	case <-sc.q.Context().Done():
		return
	}
	if h := handshakeOf(sc.q.Context()); h != nil {
		h.over()
	}
	if sc.srv.Admit == nil {
		return
	}
	release := sc.srv.Admit(sc.q.RemoteAddr())
	if release == nil {
		// "H3_EXCESSIVE_LOAD (0x0107): The endpoint detected that its peer is exhibiting a behavior that might be generating excessive load."
		// RFC 9114, Section 8.1.
		sc.q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), errFull.Error())
		return
	}
	context.AfterFunc(sc.q.Context(), release)
}
