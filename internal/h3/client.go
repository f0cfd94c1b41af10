package h3

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// A ClientConn is the client's end of one HTTP/3 connection, and a [transport.Mux]. Its methods are safe for concurrent use.
type ClientConn struct {
	opt      DialOptions
	pc       heardConn
	tr       *quic.Transport
	q        *quic.Conn
	id       uint64
	sessions *connSessions // nil: none
	settings chan struct{}
	done     chan struct{}
	writer   writer

	early      bool     // Dial returned before the handshake
	remembered settings // what requests in early data rely on

	mu       sync.Mutex
	rejected bool // the server rejected early data
	peer     settings
	received bool    // peer is what the server sent on this connection
	claimed  [4]bool // by the server's streams of the types that there is one of
	goneAway bool
	goAwayID quic.StreamID // of the last GOAWAY
	stopping bool          // Shutdown or Close was called
	// spare is the next stream, opened ahead, which the server does not see. It tells that there is a slot.
	spare       *quic.Stream
	live        map[*Call]struct{} // until their streams are gone
	failure     *ConnError         // why we are ending the connection
	err         *ConnError         // why it has ended
	settingsEnd bool               // settings is closed
	linger      *time.Timer
}

var _ transport.Mux = (*ClientConn)(nil)

// Early reports whether Dial returned before the handshake was complete: requests leave in early data until then, and may be
// answered by 425. See [Call.Early].
func (cc *ClientConn) Early() bool { return cc.early }

// EarlyRejected reports whether the server rejected early data. What was sent in it has failed with a *StreamError that says
// so; the connection goes on, and Settings tells when requests can be sent again.
func (cc *ClientConn) EarlyRejected() bool {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	return cc.rejected
}

// HandshakeComplete is closed when the handshake is complete: nothing leaves in early data any more. It stays open where the
// connection ends before; see Done.
func (cc *ClientConn) HandshakeComplete() <-chan struct{} { return cc.q.HandshakeComplete() }

// Settings implements [transport.Mux]. Early data does not wait for it.
func (cc *ClientConn) Settings() <-chan struct{} { return cc.settings }

// Done implements [transport.Mux].
func (cc *ClientConn) Done() <-chan struct{} { return cc.done }

// Err returns why the connection has ended, a *ConnError, or nil while it has not.
func (cc *ClientConn) Err() error {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.err == nil {
		return nil
	}
	return cc.err
}

// LocalAddr returns the address of the socket.
func (cc *ClientConn) LocalAddr() net.Addr { return cc.q.LocalAddr() }

// RemoteAddr returns the server's address.
func (cc *ClientConn) RemoteAddr() net.Addr { return cc.q.RemoteAddr() }

// RTT returns QUIC's estimate of the round-trip time, 0 where there is none yet.
func (cc *ClientConn) RTT() time.Duration { return cc.q.ConnectionStats().SmoothedRTT }

// MinRTT returns the shortest round trip that QUIC has seen.
func (cc *ClientConn) MinRTT() time.Duration { return cc.q.ConnectionStats().MinRTT }

// PacketsReceived counts the packets that have come, also those that could not be read.
func (cc *ClientConn) PacketsReceived() uint64 { return cc.q.ConnectionStats().PacketsReceived }

// State implements [transport.Mux]. Where early data is under way, ConnectProtocol and ConnectPresent are as remembered.
func (cc *ClientConn) State() transport.MuxState {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	peer := cc.currentSettings()
	s := transport.MuxState{
		SettingsReceived: cc.received, ConnectProtocol: peer.connect, ConnectPresent: peer.connectPresent,
		ConnectAtFirst: peer.connect, Streams: len(cc.live), Draining: cc.draining(), ConnID: cc.id,
	}
	if !s.Draining && cc.openSpare() == nil {
		hint := cc.opt.MaxStreamsHint
		if hint <= 0 {
			hint = defaultStreamsHint
		}
		s.Slots = max(hint-len(cc.live), 1)
	}
	return s
}

// currentSettings are the server's, or those remembered while early data counts. Called with the lock held.
func (cc *ClientConn) currentSettings() settings {
	if !cc.received && cc.early && !cc.rejected {
		return cc.remembered
	}
	return cc.peer
}

func (cc *ClientConn) draining() bool {
	return cc.goneAway || cc.stopping || cc.failure != nil || cc.err != nil
}

// openSpare opens the spare stream if there is none. Called with the lock held.
func (cc *ClientConn) openSpare() error {
	if cc.spare == nil {
		s, err := cc.q.OpenStream()
		if err != nil {
			return err
		}
		cc.spare = s
	}
	return nil
}

// OpenConnect sends the request and returns at once. Errors: ErrNoConnect; ErrNoSlot; a *ConnError where the connection has
// ended; a *StreamError that says EarlyRejected where that was just found out.
func (cc *ClientConn) OpenConnect(req transport.ConnectRequest) (*Call, error) {
	fields, err := appendRequest(nil, req)
	if err != nil {
		return nil, err
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	switch {
	case cc.err != nil:
		return nil, cc.err
	case cc.failure != nil:
		return nil, cc.failure
	case cc.draining():
		// "Endpoints MUST NOT initiate new requests or promise new pushes on the connection after receipt of a GOAWAY frame from
		// the peer." RFC 9114, Section 5.2.
		return nil, ErrNoSlot
	}
	peer := cc.currentSettings()
	// "An HTTP implementation MUST NOT send frames or requests that would be invalid based on its current understanding of the
	// peer's settings." RFC 9114, Section 7.2.4.2.
	if !peer.connect {
		return nil, ErrNoConnect
	}
	if peer.maxSection > 0 && fields.size > peer.maxSection {
		return nil, fields.tooLarge(peer.maxSection)
	}
	switch err := cc.openSpare(); {
	case errors.Is(err, quic.Err0RTTRejected):
		return nil, earlyRejected(-1)
	case err != nil:
		return nil, ErrNoSlot
	}
	call := &Call{cc: cc, Answer: semantics.NewAnswer(), early: !cc.handshakeDone()}
	call.st = newStream(cc.spare, call, &cc.writer, transport.Info{
		ConnID: cc.id, LocalAddr: cc.LocalAddr(), RemoteAddr: cc.RemoteAddr(),
	}, cc.opt.WriteTimeout)
	cc.spare = nil
	cc.live[call] = struct{}{}
	go call.run(fields.frame)
	return call, nil
}

func (cc *ClientConn) handshakeDone() bool {
	select {
	case <-cc.q.HandshakeComplete():
		return true
	default:
		return false
	}
}

// goOn makes the connection usable after the server has rejected early data, and reports whether it is.
func (cc *ClientConn) goOn() bool {
	cc.mu.Lock()
	cc.rejected = true // from here on there are no requests until SETTINGS arrive
	cc.spare = nil
	lost := slices.Collect(maps.Keys(cc.live))
	cc.mu.Unlock()
	if _, err := cc.q.NextConnection(context.Background()); err != nil {
		return false
	}
	if err := cc.openControl(); err != nil {
		cc.violated(nil, violates(http3.ErrCodeInternalError, "we cannot open a control stream: %v", err))
	}
	for _, call := range lost {
		call.fail(earlyRejected(int64(call.st.info.StreamID)))
	}
	return true
}

// Close implements [transport.Mux]: CONNECTION_CLOSE with H3_NO_ERROR.
func (cc *ClientConn) Close() error {
	cc.fail(locallyClosed(), http3.ErrCodeNoError, "")
	<-cc.done
	return nil
}

// Shutdown implements [transport.Mux].
//
// Choice: no GOAWAY is sent. A client's names pushes, of which there are none.
func (cc *ClientConn) Shutdown(linger time.Duration) {
	cc.mu.Lock()
	if !cc.stopping && cc.err == nil {
		cc.stopping = true
		cc.linger = time.AfterFunc(linger, func() { cc.Close() })
	}
	idle := len(cc.live) == 0
	cc.mu.Unlock()
	if idle {
		go cc.Close()
	}
}

// fail ends the connection for a reason of ours. It waits for QUIC, not for the network.
func (cc *ClientConn) fail(why *ConnError, code http3.ErrCode, detail string) {
	cc.mu.Lock()
	if cc.failure == nil {
		cc.failure = why
	}
	cc.mu.Unlock()
	cc.q.CloseWithError(quic.ApplicationErrorCode(code), detail)
}

// lost makes an error of what QUIC says of the connection's end, the same for everybody.
func (cc *ClientConn) lost(err error) *ConnError {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.failure == nil {
		cc.failure = connError(err, cc.pc.heard())
	}
	return cc.failure
}

// violated ends the connection because of what the server did.
func (cc *ClientConn) violated(_ *stream, v *violation) {
	cc.fail(&ConnError{Application: true, Code: uint64(v.code), Local: true, Heard: true, Detail: v.detail}, v.code, v.detail)
}

// release gives the slot of a call back.
func (cc *ClientConn) release(call *Call) {
	cc.mu.Lock()
	_, had := cc.live[call]
	delete(cc.live, call)
	idle := had && len(cc.live) == 0 && cc.err == nil
	over := idle && (cc.goneAway || cc.stopping)
	cc.mu.Unlock()
	switch {
	case over:
		// "An endpoint that completes a graceful shutdown SHOULD use the H3_NO_ERROR error code when closing the connection."
		// RFC 9114, Section 5.2.
		go cc.Close()
	case idle && cc.opt.Idle != nil:
		cc.opt.Idle(cc)
	}
}

// ended is called when the QUIC connection has.
func (cc *ClientConn) ended() {
	err := cc.lost(context.Cause(cc.q.Context()))
	cc.mu.Lock()
	cc.err = err
	if cc.linger != nil {
		cc.linger.Stop()
	}
	cc.settingsDone()
	lost := slices.Collect(maps.Keys(cc.live))
	cc.mu.Unlock()
	for _, call := range lost {
		call.fail(err)
	}
	cc.tr.Close()
	cc.pc.Close()
	close(cc.done)
	if cc.opt.Closed != nil {
		cc.opt.Closed(cc, err)
	}
}

// settingsDone is called with the lock held.
func (cc *ClientConn) settingsDone() {
	if !cc.settingsEnd {
		cc.settingsEnd = true
		close(cc.settings)
	}
}

const defaultStreamsHint = 100
