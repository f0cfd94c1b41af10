package h3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/bucket"
	"github.com/weftws/weft/internal/transport"
)

// A Server serves HTTP/3 and drains it. Its fields are not changed after the first Serve.
type Server struct {
	Handler   http.Handler
	TLSConfig *tls.Config // the application protocol is set here
	// ConnectProtocol allows Extended CONNECT. Deviation: where it is off, clients are told that it is on, and get 501, since
	// quic-go's server sends SETTINGS_ENABLE_CONNECT_PROTOCOL=1 always.
	ConnectProtocol bool
	MaxStreams      int           // requests and WebSockets at a time on a connection; default 1000
	IdleTimeout     time.Duration // closes a connection without streams; 0: none
	KeepAlive       time.Duration // a PING after so much silence; 0: never
	SilenceTimeout  time.Duration // ends a connection after so much silence; default 30 s, and the smaller one of both sides counts
	StreamWindow    uint64        // receive window of a stream, the most that it grows to; default 1 MiB
	ConnWindow      uint64        // of a connection, which bounds what is buffered for it; default 8 MiB
	WriteTimeout    time.Duration // a client that accepts nothing for so long loses the WebSocket; default 30 s
	MaxHeaderBytes  int           // default http.DefaultMaxHeaderBytes
	// HandshakeTimeout bounds a handshake, and half of it the wait for the client's next packet meanwhile; default 10 s.
	HandshakeTimeout time.Duration
	ErrorLog         *log.Logger // panics of handlers; nil: the log package's standard logger
	// BaseContext returns the context that those of requests derive from; nil: context.Background().
	BaseContext func(local net.Addr) context.Context
	// Prove, Begin and Admit, if set, limit connections; they must not block. Prove says whether a client that claims to be at remote has to prove
	// that by another round trip (Retry) before anything is kept for it. Begin is asked about each connection that begins; proven says that the
	// client has shown a token for its address. nil refuses it (CONNECTION_REFUSED), else the function is called when the handshake is over, whatever came of
	// it. Admit is asked when the handshake has shown that the client is there, and nil ends the connection (H3_EXCESSIVE_LOAD), else the function is
	// called at the connection's end.
	Prove func(remote net.Addr) bool
	Begin func(remote net.Addr, proven bool) (over func())
	Admit func(remote net.Addr) (release func())
	// Connected and Closed, if set, are told of each connection (for counters). They must not block.
	Connected func(remote net.Addr)
	Closed    func(remote net.Addr, err error)
	// Violation, if set, is told of each limit that a client exceeded; detail is in words. The address of a handshake that took too long is a mere claim.
	// UnknownProtocol, if set, is told of each Extended CONNECT that gets 501 for its :protocol, but for a WebSocket's. They must not block.
	Violation       func(remote net.Addr, l Limit, detail string)
	UnknownProtocol func(r *http.Request, protocol string)

	mu       sync.Mutex
	h3       *http3.Server
	sockets  []*listener
	conns    map[*serverConn]struct{}
	stopping bool
}

// Serve serves what arrives on pc until Shutdown or Close, which close pc: it then returns http.ErrServerClosed. An Extended
// CONNECT for "websocket" reaches Handler as a GET with Upgrade: websocket, Connection: Upgrade and Proto HTTP/3.0, with a
// [transport.Acceptor] in its context; [transport.InEarlyData] says whether it may be a replay. Unknown :protocol: 501. An
// ordinary request in early data gets 425 unless its method is safe.
func (s *Server) Serve(pc net.PacketConn) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		pc.Close()
		return http.ErrServerClosed
	}
	l, err := s.listen(pc)
	if err != nil {
		s.mu.Unlock()
		pc.Close()
		return err
	}
	s.sockets = append(s.sockets, l)
	h3 := s.server()
	s.mu.Unlock()
	if err = h3.ServeListener(l); !errors.Is(err, http.ErrServerClosed) {
		l.closeSocket()
	}
	return err
}

// server makes quic-go's server. Called with the lock held.
func (s *Server) server() *http3.Server {
	if s.h3 == nil {
		s.h3 = &http3.Server{Handler: http.HandlerFunc(s.serveHTTP), MaxHeaderBytes: s.MaxHeaderBytes, ConnContext: s.connected}
	}
	return s.h3
}

func (s *Server) quicConfig() *quic.Config {
	maxStreams := s.MaxStreams
	if maxStreams <= 0 {
		maxStreams = defaultMaxStreams
	}
	stream, conn := cmp.Or(s.StreamWindow, defaultStreamWindow), cmp.Or(s.ConnWindow, defaultConnWindow)
	conf := &quic.Config{
		HandshakeIdleTimeout: s.handshakeTimeout() / 2, // quic-go gives it twice as long in all
		Allow0RTT:            true, MaxIncomingStreams: int64(maxStreams), KeepAlivePeriod: s.KeepAlive, MaxIdleTimeout: s.SilenceTimeout,
		InitialStreamReceiveWindow: min(stream, initialWindow), MaxStreamReceiveWindow: stream,
		InitialConnectionReceiveWindow: conn, MaxConnectionReceiveWindow: conn,
	}
	if s.Violation != nil {
		conf.Tracer = trace
	}
	return conf
}

func (s *Server) handshakeTimeout() time.Duration {
	return cmp.Or(s.HandshakeTimeout, defaultHandshakeTimeout)
}

func (s *Server) maxHeaderBytes() int {
	if s.MaxHeaderBytes <= 0 {
		return http.DefaultMaxHeaderBytes
	}
	return s.MaxHeaderBytes
}

// Shutdown sends GOAWAY on every connection, lets requests and streams end, closes each connection that has none, and returns
// when all are gone. When ctx is done before, it closes what is left and returns ctx's error. WebSocket streams count: whoever
// owns them sends their Close frames.
func (s *Server) Shutdown(ctx context.Context) error {
	h3, conns := s.stop()
	if h3 == nil {
		return nil
	}
	for _, sc := range conns {
		sc.drain()
	}
	s.closeListeners()
	defer s.closeSockets()
	return h3.Shutdown(ctx)
}

// Close ends every connection at once, and returns when their handlers have.
func (s *Server) Close() error {
	h3, _ := s.stop()
	if h3 == nil {
		return nil
	}
	s.closeListeners()
	defer s.closeSockets()
	return h3.Close()
}

func (s *Server) stop() (h3 *http3.Server, conns []*serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for sc := range s.conns {
		conns = append(conns, sc)
	}
	return s.h3, conns
}

// closeListeners keeps new connections out; those that are there go on.
func (s *Server) closeListeners() {
	s.mu.Lock()
	sockets := s.sockets
	s.mu.Unlock()
	for _, l := range sockets {
		l.Close()
	}
}

func (s *Server) closeSockets() {
	s.mu.Lock()
	sockets := s.sockets
	s.sockets = nil
	s.mu.Unlock()
	for _, l := range sockets {
		l.closeSocket()
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

// A serverConn is the server's end of one connection.
type serverConn struct {
	srv  *Server
	q    *quic.Conn
	id   uint64
	base context.Context // BaseContext's; nil: none

	writer writer

	mu        sync.Mutex
	active    int // requests whose handlers run, and streams
	draining  bool
	over      bool
	timer     *time.Timer   // closes the connection when nothing is active; nil: it may be idle for ever
	resets    bucket.Bucket // what is left to the client
	excessive bool          // nothing was: the connection is being ended
}

// connected is told of each new connection, and returns the context of its requests.
func (s *Server) connected(ctx context.Context, q *quic.Conn) context.Context {
	sc := &serverConn{srv: s, q: q, id: transport.NextConnID(), resets: bucket.New(time.Now(), resetBurst, resetRate)}
	s.mu.Lock()
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	stopping := s.stopping
	s.mu.Unlock()
	if s.Connected != nil {
		s.Connected(q.RemoteAddr())
	}
	if s.Admit != nil || s.Begin != nil {
		go sc.admit()
	}
	if s.IdleTimeout > 0 {
		// Choice: not quic-go's IdleTimeout, whose timer keeps a connection in memory until it fires, when that has long been over.
		sc.mu.Lock()
		sc.timer = time.AfterFunc(s.IdleTimeout, sc.closeIdle)
		sc.mu.Unlock()
	}
	context.AfterFunc(q.Context(), sc.ended)
	if stopping {
		sc.drain()
	}
	c := connContext{Context: ctx, conn: sc}
	if s.BaseContext == nil {
		return c
	}
	c.values = s.BaseContext(q.LocalAddr())
	sc.base = c.values
	derived, cancel := context.WithCancelCause(c)
	stop := context.AfterFunc(c.values, func() { cancel(context.Cause(c.values)) })
	context.AfterFunc(q.Context(), func() { stop() })
	return derived
}

func (sc *serverConn) ended() {
	s := sc.srv
	s.mu.Lock()
	delete(s.conns, sc)
	s.mu.Unlock()
	sc.mu.Lock()
	sc.over = true
	if sc.timer != nil {
		sc.timer.Stop()
	}
	sc.mu.Unlock()
	if s.Closed != nil {
		s.Closed(sc.q.RemoteAddr(), sc.lost(context.Cause(sc.q.Context())))
	}
}

// drain has the connection closed when nothing is active on it. GOAWAY is quic-go's to send; a client that has nothing to wait for
// should close then, and what was on the way still arrives.
func (sc *serverConn) drain() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	switch {
	case sc.draining || sc.over:
		return
	case sc.timer == nil:
		sc.timer = time.AfterFunc(drainTimeout, sc.closeIdle)
	default:
		sc.timer.Reset(drainTimeout)
	}
	sc.draining = true
}

func (sc *serverConn) closeIdle() {
	sc.mu.Lock()
	idle := sc.active == 0
	sc.mu.Unlock()
	if idle {
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

func (sc *serverConn) lost(err error) *ConnError { return connError(err, true) }

// A connContext is a connection's context with the values of another one.
type connContext struct {
	context.Context
	values context.Context // may be nil
	conn   *serverConn
}

type connKey struct{}

// Value implements context.Context.
func (c connContext) Value(key any) any {
	if _, ok := key.(connKey); ok {
		return c.conn
	}
	if v := c.Context.Value(key); v != nil || c.values == nil {
		return v
	}
	return c.values.Value(key)
}

const (
	defaultMaxStreams = 1000
	// Choice: QUIC gives a connection credit only for what applications have read, so streams whose readers have stopped take it from
	// the others. It needs 32 of them at least (quic-go's own windows: two). A window of a stream grows only while it is read.
	defaultConnWindow   = 8 << 20
	defaultStreamWindow = 1 << 20
	initialWindow       = 256 << 10
	// drainTimeout is how long a client has to close a connection that is not needed any more.
	drainTimeout = time.Second

	defaultHandshakeTimeout = 10 * time.Second
)
