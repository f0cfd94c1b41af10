package h2net

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// A ClientConn is the client's end of one HTTP/2 connection. Its methods are safe for concurrent use.
type ClientConn struct {
	*conn
	opt      ClientOptions
	settings chan struct{}
	pingSeq  uint64
	started  bool
	received bool // the server's first SETTINGS

	idle    bool // Idle is to be called
	closed  bool // Closed is to be called
	telling bool
	untold  atomic.Bool // one of them may be

	adverts    []advert          // to be told
	origins    map[uint32]string // of the requests, by stream identifier; nil while AltSvc is not set
	lastOrigin string            // of the latest request: most are the same

	lingerTimer *time.Timer // of Shutdown
}

// ClientOptions configure NewClientConn.
type ClientOptions struct {
	Config       h2.Config
	WriteTimeout time.Duration
	// Idle, if set, is called when the last stream ended; Closed when the connection ended, with the reason. Neither
	// may block.
	Idle   func(*ClientConn)
	Closed func(*ClientConn, error)
	// AltSvc, if set, is told the field value of every ALTSVC frame (RFC 7838, Section 4) and the origin that it is for, in
	// ASCII; whether the connection is authoritative for that the receiver has to know. Origins is told each ORIGIN frame
	// (RFC 8336) on a TLS connection. Neither may block. Alt-Svc fields are in the responses.
	AltSvc  func(origin, value string)
	Origins func(origins []string)
}

// NewClientConn starts the connection: the preface and SETTINGS leave at once, or in the same flight as the first
// OpenConnect if that follows before Start. It owns nc, whose TLS handshake is complete.
func NewClientConn(nc net.Conn, opt ClientOptions) *ClientConn {
	cfg := opt.Config
	cfg.Side = h2.Client
	cc := &ClientConn{opt: opt, settings: make(chan struct{})}
	cc.conn = newConn(nc, cfg, opt.WriteTimeout, cc)
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		cs := t.ConnectionState()
		cc.tls = &cs
		if why := inadequateSecurity(&cs); why != "" {
			cc.eng.GoAway(wire.InadequateSecurity, why)
			cc.failure = &ConnError{GoAway: true, Code: wire.InadequateSecurity, Initiator: h2.Local, Detail: why}
		}
	}
	return cc
}

// Start sends what is queued and starts the reading goroutine. OpenConnect calls it.
func (cc *ClientConn) Start() {
	cc.f.Lock()
	if cc.started {
		cc.f.Unlock()
		return
	}
	cc.start()
}

// start is called with the lock held, and unlocks it. The first Write is the reading goroutine's.
func (cc *ClientConn) start() {
	cc.started = true
	cc.f.BeginLocked()
	cc.reading.inBatch = true
	cc.f.Unlock()
	go func() {
		cc.f.Lock()
		cc.run(cc.reading.gen)
	}()
}

// Settings is closed when the server's first SETTINGS were applied, or the connection ended before.
func (cc *ClientConn) Settings() <-chan struct{} { return cc.settings }

// Done is closed when the connection has ended; Err then says why.
func (cc *ClientConn) Done() <-chan struct{} { return cc.done }

// Err returns why the connection has ended, or is about to, a *ConnError; nil while it goes on.
func (cc *ClientConn) Err() error {
	cc.f.Lock()
	defer cc.f.Unlock()
	switch {
	case cc.err != nil:
		return cc.err
	case cc.failure != nil:
		return cc.failure
	}
	return nil
}

// State says what the connection can do now.
func (cc *ClientConn) State() ClientState {
	cc.f.Lock()
	defer cc.f.Unlock()
	ps := cc.eng.PeerSettings()
	s := ClientState{
		SettingsReceived: ps.Received, ConnectProtocol: ps.ConnectProtocol, ConnectPresent: ps.ConnectPresent,
		ConnectAtFirst: ps.ConnectAtFirst, Slots: cc.eng.Slots(), Streams: cc.nstreams,
		Draining: cc.eng.Draining() || cc.draining || cc.closing || cc.err != nil || cc.failure != nil, ConnID: cc.id,
	}
	if s.Draining {
		s.Slots = 0
	}
	return s
}

// ClientState is a snapshot of a ClientConn.
type ClientState = transport.MuxState

// A ConnectRequest is an Extended CONNECT (RFC 8441, Section 4).
type ConnectRequest = transport.ConnectRequest

// OpenConnect sends the request and returns at once; it does not look at ConnectProtocol (that is the caller's
// decision). The error says that the connection takes no stream (ErrNoSlot) or has ended.
func (cc *ClientConn) OpenConnect(req ConnectRequest) (*Call, error) { return cc.open(req, nil) }

// OpenFrame proposes a stream of type WebSocket by a WS_OPEN frame (package wire, WebSocket streams 1) and returns at once.
// The Call's Response fails with a *StreamError that says Unsupported where the server does not know the frame; Accepted
// tells when it does. Errors: those of OpenConnect, [h2.ErrFrameTooLarge] for fields beyond 16 KiB, and
// [h2.ErrFrameUnsupported] where the connection is known not to have it.
func (cc *ClientConn) OpenFrame(req ConnectRequest) (*Call, error) {
	return cc.open(req, make(chan struct{}))
}

// open opens a stream, by WS_OPEN where accepted is not nil.
func (cc *ClientConn) open(req ConnectRequest, accepted chan struct{}) (*Call, error) {
	p := h2.Pseudo{
		Method: http.MethodConnect, Scheme: req.Scheme, Authority: req.Authority, Path: req.Path, Protocol: "websocket",
	}
	cc.f.Lock()
	if err := cc.ending(); err != nil {
		cc.f.Unlock()
		return nil, err
	}
	if cc.eng.Slots() <= 0 || cc.closing {
		cc.f.Unlock()
		return nil, ErrNoSlot
	}
	cc.fields = semantics.AppendFields(cc.fields[:0], &cc.names, req.Header, isHost)
	var s *h2.Stream
	var err error
	if accepted == nil {
		s, err = cc.eng.Open(time.Now(), p, cc.fields, false)
	} else {
		s, err = cc.eng.OpenFrame(time.Now(), p, cc.fields, newNonce())
	}
	clear(cc.fields)
	if err != nil {
		cc.f.Unlock()
		if err == h2.ErrFrameTooLarge || err == h2.ErrFrameUnsupported {
			return nil, err
		}
		return nil, errors.Join(ErrNoSlot, err)
	}
	st := cc.add(s)
	call := &Call{st: st, accepted: accepted, Answer: semantics.NewAnswer()}
	st.request = call
	cc.rememberOrigin(st, req)
	if cc.started {
		cc.f.Flush()
	} else {
		cc.start()
	}
	return call, nil
}

// newNonce is for the PING behind a WS_OPEN. No other PING of the connection has it, keepalives included.
func newNonce() (nonce [8]byte) {
	rand.Read(nonce[:])
	return nonce
}

func isHost(name string) bool { return name == "Host" }

// ending says why the connection has ended or is about to.
func (cc *ClientConn) ending() error {
	switch {
	case cc.err != nil:
		return cc.err
	case cc.failure != nil:
		return cc.failure
	}
	return nil
}

// Close ends the connection: GOAWAY(NO_ERROR), close_notify. Streams that are open end.
func (cc *ClientConn) Close() error {
	c := cc.conn
	c.f.Lock()
	if c.err != nil {
		c.f.Unlock()
		return nil
	}
	if !cc.started {
		// Nothing was sent: there is nobody to say goodbye to but TLS.
		cc.started = true
		c.lost(locallyClosed())
		c.f.Unlock()
		c.role.hooks()
		err := c.nc.Close()
		close(c.done)
		return err
	}
	if c.failure == nil {
		c.failure = locallyClosed()
		c.eng.GoAway(noError, "")
	}
	c.closing = true
	c.f.Unlock()
	overdue := time.AfterFunc(closeLinger, c.kill)
	c.f.Finish()
	overdue.Stop()
	return c.nc.Close() // the reading goroutine tells everybody
}

// Shutdown sends GOAWAY and closes when the last stream has ended or linger is over. It does not block.
func (cc *ClientConn) Shutdown(linger time.Duration) {
	c := cc.conn
	c.f.Lock()
	if !cc.started {
		c.f.Unlock()
		cc.Close()
		return
	}
	if c.err == nil && !c.draining {
		c.goAwayNow()
		if !c.closing {
			cc.closeTimer(linger)
		}
	}
	c.f.Flush()
}

func (cc *ClientConn) closeTimer(linger time.Duration) {
	t := time.AfterFunc(linger, func() { cc.Close() })
	cc.lingerTimer = t
}

// Ping sends a PING and waits for its ack. It fails with ctx's error or a *ConnError.
func (cc *ClientConn) Ping(ctx context.Context) (time.Duration, error) { return cc.ping(ctx, false) }

// Settle finds out whether the server goes on with the connection after a request that it may not have liked and that was
// cancelled: it sends a PING, and returns nil when the ack is there. Errors: *ConnError where a GOAWAY came, or the
// connection ended, before that; ctx's.
func (cc *ClientConn) Settle(ctx context.Context) error {
	if _, err := cc.ping(ctx, true); err != nil {
		return err
	}
	cc.f.Lock()
	defer cc.f.Unlock()
	if cc.goAway != nil {
		return cc.goAway
	}
	return nil
}

// ping sends a PING and waits for its ack, and with settle no longer than for a GOAWAY.
func (cc *ClientConn) ping(ctx context.Context, settle bool) (time.Duration, error) {
	c := cc.conn
	ch := make(chan time.Duration, 1)
	c.f.Lock()
	var goneAway chan struct{}
	if settle {
		if err := c.goAway; err != nil {
			c.f.Unlock()
			return 0, err
		}
		if c.goneAway == nil {
			c.goneAway = make(chan struct{})
		}
		goneAway = c.goneAway
	}
	if err := cc.ending(); err != nil {
		c.f.Unlock()
		return 0, err
	}
	var data [8]byte
	cc.pingSeq++
	binary.BigEndian.PutUint64(data[:], cc.pingSeq)
	if c.pings == nil {
		c.pings = make(map[[8]byte]chan<- time.Duration)
	}
	c.pings[data] = ch
	c.eng.Ping(time.Now(), data)
	c.rearm()
	c.f.FlushNow()
	cc.Start()
	select {
	case rtt, ok := <-ch:
		if !ok {
			return 0, cc.Err()
		}
		return rtt, nil
	case <-goneAway:
		cc.forgetPing(data)
		c.f.Lock()
		defer c.f.Unlock()
		return 0, c.goAway
	case <-ctx.Done():
		cc.forgetPing(data)
		return 0, ctx.Err()
	}
}

func (cc *ClientConn) forgetPing(data [8]byte) {
	cc.f.Lock()
	delete(cc.pings, data)
	cc.f.Unlock()
}

func (cc *ClientConn) recvSettings(ev *h2.Event) { cc.settingsDone() }

func (cc *ClientConn) settingsDone() {
	if !cc.received {
		cc.received = true
		close(cc.settings)
	}
}

func (cc *ClientConn) pong(*h2.Event) {}

func (cc *ClientConn) violated(*h2.Violation, string) {}

func (cc *ClientConn) streamsChanged() {
	if cc.nstreams == 0 && cc.opt.Idle != nil {
		cc.idle = true
		cc.untold.Store(true)
	}
}

func (cc *ClientConn) ended() {
	cc.settingsDone()
	if cc.lingerTimer != nil {
		cc.lingerTimer.Stop()
	}
	if cc.opt.Closed != nil {
		cc.closed = true
		cc.untold.Store(true)
	}
}

// hooks calls AltSvc, Origins, Idle and Closed, one at a time.
func (cc *ClientConn) hooks() {
	if !cc.untold.Load() {
		return
	}
	cc.f.Lock()
	defer cc.f.Unlock()
	if cc.telling {
		return
	}
	cc.telling = true
	for {
		switch {
		case len(cc.adverts) > 0:
			cc.tellAdverts()
		case cc.idle && cc.nstreams > 0:
			cc.idle = false
		case cc.idle:
			cc.idle = false
			cc.f.Unlock()
			cc.opt.Idle(cc)
			cc.f.Lock()
		case cc.closed:
			cc.closed = false
			err := cc.err
			cc.f.Unlock()
			cc.opt.Closed(cc, err)
			cc.f.Lock()
		default:
			cc.telling = false
			cc.untold.Store(false)
			return
		}
	}
}

func (cc *ClientConn) hooksSoon() {
	if cc.untold.Load() {
		go cc.hooks()
	}
}

func (cc *ClientConn) logf(format string, args ...any) { log.Printf(format, args...) }
