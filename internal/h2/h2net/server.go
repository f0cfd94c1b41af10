package h2net

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/transport"
)

// A Server serves HTTP/2 connections and drains them. Its fields are not changed after the first ServeConn.
type Server struct {
	Config h2.Config // Side is set by Server
	// ConnectRules say by ALPN protocol when a client may use Extended CONNECT; for one that is not there it is
	// Config.ConnectRule. Where it is Implied, Config.ConnectProtocol plays no part.
	ConnectRules map[string]h2.ConnectRule
	AltSvc       AltSvc
	IdleTimeout  time.Duration // closes a connection without streams (GOAWAY first); 0: none
	WriteTimeout time.Duration // for one Write to the network; default 30 s
	// Memory is what connections may hold together of what was received and not consumed, and of what waits to be written; nil: no limit.
	Memory   *transport.Budget
	ErrorLog *log.Logger // panics of handlers; nil: the log package's standard logger
	// Violation, if set, is told every violation by a peer (for counters); it must not block.
	Violation func(remote net.Addr, v *h2.Violation, detail string)
	// UnknownProtocol, if set, is told each Extended CONNECT that is answered 501 because of its :protocol; it must not block.
	UnknownProtocol func(r *http.Request, protocol string)

	mu       sync.Mutex
	conns    map[*serverConn]struct{}
	stopping bool
	gone     chan struct{} // closed when conns is empty; nil while nobody waits for that
}

// ConnOptions are what net/http (or our own listener) knows of one connection.
type ConnOptions struct {
	Handler     http.Handler
	BaseContext context.Context                // of every request; carries http.ServerContextKey and so on
	State       func(net.Conn, http.ConnState) // StateActive with the first stream, StateIdle with none; may be nil
	// PrefaceRead says that the client's preface was read from the connection already, as net/http does before it hands
	// over a connection without TLS.
	PrefaceRead bool
	ALPN        string // for Server.ConnectRules; "": what the TLS connection says
}

// ServeConn serves nc until it ends, and closes it. An Extended CONNECT for "websocket" reaches Handler as a GET with
// Upgrade: websocket, Connection: Upgrade and Proto HTTP/2.0, with a [transport.Acceptor] in its context. Unknown :protocol: 501.
// Shutdown and Close end it.
func (s *Server) ServeConn(nc net.Conn, opt ConnOptions) {
	sc := s.newConn(nc, opt)
	if sc == nil {
		nc.Close()
		return
	}
	defer s.untrack(sc)
	sc.serve()
}

// newConn does the TLS handshake and what comes before the first byte of HTTP/2; nil: there is none. It is a function of its
// own because the stack of a goroutine that waits for input only shrinks if little of it is in use.
//
//go:noinline
func (s *Server) newConn(nc net.Conn, opt ConnOptions) *serverConn {
	if opt.BaseContext == nil {
		opt.BaseContext = context.Background()
	}
	cfg := s.Config
	cfg.Side = h2.Server
	var state *tls.ConnectionState
	if t, ok := nc.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(opt.BaseContext, handshakeTimeout)
		err := t.HandshakeContext(ctx)
		cancel()
		if err != nil {
			return nil
		}
		cs := t.ConnectionState()
		state = &cs
	}
	alpn := opt.ALPN
	if alpn == "" && state != nil {
		alpn = state.NegotiatedProtocol
	}
	if rule, ok := s.ConnectRules[alpn]; ok {
		cfg.ConnectRule = rule
	}
	sc := &serverConn{srv: s, opt: opt}
	sc.conn = newConn(nc, cfg, s.WriteTimeout, sc)
	sc.tls, sc.memory = state, s.Memory
	if s.AltSvc.Header && s.AltSvc.Value != nil {
		sc.altSvc = sc.appendAltSvc
	}
	if !s.track(sc) {
		return nil
	}
	sc.begin()
	return sc
}

// begin begins the first batch: it leaves with the lock held, for run.
func (sc *serverConn) begin() {
	c := sc.conn
	c.f.Lock()
	c.f.BeginLocked()
	c.reading.inBatch = true
	if sc.srv.IdleTimeout > 0 {
		c.timer.idle = time.Now().Add(sc.srv.IdleTimeout)
	}
	if c.tls != nil {
		if why := inadequateSecurity(c.tls); why != "" {
			c.eng.GoAway(wire.InadequateSecurity, why)
			c.failure = &ConnError{GoAway: true, Code: wire.InadequateSecurity, Initiator: h2.Local, Detail: why}
		}
	}
	if sc.opt.PrefaceRead {
		c.reading.in = append(transport.GetBuffer(minReadBuffer), clientPreface...)
		c.reading.dispatching = true
		c.reading.took = c.eng.Recv(time.Now(), c.reading.in)
	}
}

func (sc *serverConn) serve() {
	c := sc.conn
	c.run(c.reading.gen)
	<-c.done // a callback may have held this goroutine up while another one took over
}

// Shutdown sends GOAWAY on every connection, lets streams end, and returns when all connections are gone or ctx is done.
// WebSocket streams count: whoever owns them (the root package) sends their Close frames.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for sc := range s.conns {
		go sc.drain()
	}
	if len(s.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.gone == nil {
		s.gone = make(chan struct{})
	}
	gone := s.gone
	s.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends every connection at once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for sc := range s.conns {
		go sc.kill()
	}
	return nil
}

func (s *Server) track(sc *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	return true
}

func (s *Server) untrack(sc *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, sc)
	if len(s.conns) == 0 && s.gone != nil {
		close(s.gone)
		s.gone = nil
	}
}

// A serverConn is the server's end of one connection.
type serverConn struct {
	*conn
	srv *Server
	opt ConnOptions

	drainTimer *time.Timer // of the second GOAWAY; nil while there was no first one
	drained    bool        // the second one was sent

	// What State was told last, and whether somebody is telling it now.
	told, telling bool
	untold        atomic.Bool // there may be something to tell
	violations    []violation // to be told

	starting   []*exchange // starting[started:] have no goroutine at work yet
	started    int
	startWork  func() // work; a field, so that starting it does not allocate
	remoteText string // of http.Request.RemoteAddr; "" until the first

	altSvcFor string // the authority that the latest ALTSVC frame was for
}

type violation struct {
	v      *h2.Violation
	detail string
}

// drain begins the graceful end of the connection.
//
// "A server that is attempting to gracefully shut down a connection SHOULD send an initial GOAWAY frame with the last
// stream identifier set to 2^31-1 and a NO_ERROR code. ... After allowing time for any in-flight stream creation (at
// least one round-trip time), the server MAY send another GOAWAY frame with an updated last stream identifier."
// RFC 9113, Section 6.8.
func (sc *serverConn) drain() {
	c := sc.conn
	c.f.Lock()
	if sc.drainTimer == nil && c.err == nil && !c.closing {
		c.eng.GoAway(noError, "")
		sc.drainTimer = time.AfterFunc(drainTimeout, func() {
			c.f.Lock()
			sc.drainFinally()
			c.f.Flush()
		})
		if c.nstreams == 0 {
			sc.drainFinally()
		} else {
			c.eng.Ping(time.Now(), drainPing)
			c.rearm()
		}
	}
	c.f.Flush()
}

func (sc *serverConn) drainFinally() {
	sc.drainTimer.Stop()
	if !sc.drained && sc.err == nil {
		sc.drained = true
		sc.goAwayNow()
	}
}

func (sc *serverConn) pong(ev *h2.Event) {
	if ev.Ping == drainPing && sc.drainTimer != nil {
		sc.drainFinally()
	}
}

func (sc *serverConn) recvSettings(*h2.Event) {}

func (sc *serverConn) streamsChanged() {
	c := sc.conn
	if c.nstreams > 0 {
		c.timer.idle = time.Time{}
	} else if sc.srv.IdleTimeout > 0 {
		c.timer.idle = time.Now().Add(sc.srv.IdleTimeout)
		c.rearm()
	}
	if sc.opt.State != nil {
		sc.untold.Store(true)
	}
}

func (sc *serverConn) ended() {
	if sc.drainTimer != nil {
		sc.drainTimer.Stop()
	}
}

func (sc *serverConn) trim() {}

func (sc *serverConn) violated(v *h2.Violation, detail string) {
	if sc.srv.Violation != nil {
		sc.violations = append(sc.violations, violation{v, detail})
		sc.untold.Store(true)
	}
}

// hooks tells State and Violation what happened, one call at a time.
func (sc *serverConn) hooks() {
	if !sc.untold.Load() {
		return
	}
	sc.f.Lock()
	defer sc.f.Unlock()
	if sc.telling {
		return
	}
	sc.telling = true
	for {
		active := sc.nstreams > 0
		switch {
		case len(sc.violations) > 0:
			vs := sc.violations
			sc.violations = nil
			sc.f.Unlock()
			for _, v := range vs {
				sc.srv.Violation(sc.remote, v.v, v.detail)
			}
		case active != sc.told && sc.opt.State != nil && sc.err == nil:
			sc.told = active
			sc.f.Unlock()
			if active {
				sc.opt.State(sc.nc, http.StateActive)
			} else {
				sc.opt.State(sc.nc, http.StateIdle)
			}
		default:
			sc.telling = false
			sc.untold.Store(false)
			return
		}
		sc.f.Lock()
	}
}

func (sc *serverConn) hooksSoon() {
	if sc.untold.Load() {
		go sc.hooks()
	}
}

func (sc *serverConn) logf(format string, args ...any) {
	if sc.srv.ErrorLog != nil {
		sc.srv.ErrorLog.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

const (
	handshakeTimeout = 10 * time.Second
	// drainTimeout is how long the second GOAWAY waits for the PING's ack.
	drainTimeout  = time.Second
	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// drainPing is the payload of the PING that measures the round trip of a graceful shutdown.
var drainPing = [8]byte{'w', 'e', 'f', 't', 'd', 'r', 'a', 'i'}
