package h3

import (
	"cmp"
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/fields"
)

// A Server serves HTTP/3 and drains it. Its fields are not changed after the first Serve.
type Server struct {
	Handler   http.Handler
	TLSConfig *tls.Config // the application protocol is set here
	// ConnectProtocol allows Extended CONNECT. Where it is off clients are told nothing of it, and one that tries gets 501.
	ConnectProtocol bool
	MaxStreams      int           // requests and WebSockets at a time on a connection; default 1000
	IdleTimeout     time.Duration // closes a connection without streams; 0: none
	KeepAlive       time.Duration // a PING after so much silence; 0: never
	SilenceTimeout  time.Duration // ends a connection after so much silence; default 30 s, and the smaller one of both sides counts
	StreamWindow    uint64        // receive window of a stream, the most that it grows to; default 1 MiB
	ConnWindow      uint64        // of a connection, which bounds what is buffered for it; default 8 MiB
	WriteTimeout    time.Duration // a client that accepts nothing for so long loses the stream; default 30 s
	MaxHeaderBytes  int           // default http.DefaultMaxHeaderBytes
	// HandshakeTimeout bounds a handshake, and half of it the wait for the client's next packet meanwhile; default 10 s.
	HandshakeTimeout time.Duration
	// ReadHeaderTimeout bounds the header section of a request (H3_REQUEST_INCOMPLETE); default 10 s.
	ReadHeaderTimeout time.Duration
	ErrorLog          *log.Logger // panics of handlers; nil: the log package's standard logger
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
	// Violation, if set, is told of each rule that a client broke, and each limit that it exceeded; detail is in words. The address of a handshake
	// that took too long is a mere claim.
	// UnknownProtocol, if set, is told of each Extended CONNECT that gets 501 for its :protocol, but for a WebSocket's. They must not block.
	Violation       func(remote net.Addr, rule *Rule, detail string)
	UnknownProtocol func(r *http.Request, protocol string)

	mu       sync.Mutex
	sockets  []*listener
	conns    map[*serverConn]struct{} // until all of their handlers have returned
	stopping bool                     // Shutdown or Close was called
	idle     chan struct{}            // closed when there is no conn; nil while nobody waits for that
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
	s.mu.Unlock()
	for {
		q, err := l.accept()
		if err != nil {
			if s.isStopping() {
				return http.ErrServerClosed
			}
			l.closeSocket()
			return err
		}
		if sc := s.newConn(q); sc != nil {
			go sc.serve()
		}
	}
}

func (s *Server) quicConfig() *quic.Config {
	maxStreams := s.MaxStreams
	if maxStreams <= 0 {
		maxStreams = defaultMaxStreams
	}
	stream, conn := cmp.Or(s.StreamWindow, defaultStreamWindow), cmp.Or(s.ConnWindow, defaultConnWindow)
	return &quic.Config{
		HandshakeIdleTimeout: s.handshakeTimeout() / 2, // quic-go gives it twice as long in all
		Allow0RTT:            true, MaxIncomingStreams: int64(maxStreams), KeepAlivePeriod: s.KeepAlive, MaxIdleTimeout: s.SilenceTimeout,
		InitialStreamReceiveWindow: min(stream, initialWindow), MaxStreamReceiveWindow: stream,
		InitialConnectionReceiveWindow: conn, MaxConnectionReceiveWindow: conn,
		RequireStreamCreditRelease: true,
	}
}

func (s *Server) handshakeTimeout() time.Duration {
	return cmp.Or(s.HandshakeTimeout, defaultHandshakeTimeout)
}

func (s *Server) headerTimeout() time.Duration {
	return cmp.Or(s.ReadHeaderTimeout, defaultHeaderTimeout)
}

func (s *Server) writeTimeout() time.Duration { return cmp.Or(s.WriteTimeout, defaultWriteTimeout) }

func (s *Server) maxHeaderBytes() int {
	if s.MaxHeaderBytes <= 0 {
		return http.DefaultMaxHeaderBytes
	}
	return s.MaxHeaderBytes
}

func (s *Server) sectionLimits() fields.Limits {
	return fields.Limits{Size: s.maxHeaderBytes(), Lines: maxFields}
}

// Shutdown sends GOAWAY on every connection, lets requests and streams end, closes each connection that has none, and returns
// when all are gone. When ctx is done before, it closes what is left and returns ctx's error. WebSocket streams count: whoever
// owns them sends their Close frames.
func (s *Server) Shutdown(ctx context.Context) error {
	conns, idle := s.stop()
	for _, sc := range conns {
		sc.drain()
	}
	s.closeListeners()
	select {
	case <-idle:
		s.closeSockets()
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Close ends every connection at once, and returns when their handlers have.
func (s *Server) Close() error {
	conns, idle := s.stop()
	s.closeListeners()
	for _, sc := range conns {
		sc.q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
	<-idle
	s.closeSockets()
	return nil
}

// stop lets no connection in any more. idle is closed when all are gone.
func (s *Server) stop() (conns []*serverConn, idle <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for sc := range s.conns {
		conns = append(conns, sc)
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
		if len(s.conns) == 0 {
			close(s.idle)
		}
	}
	return conns, s.idle
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// gone forgets a connection.
func (s *Server) gone(sc *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, sc)
	if s.idle != nil && len(s.conns) == 0 {
		close(s.idle)
	}
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

// tell tells of a rule that was broken.
func (s *Server) tell(remote net.Addr, rule *Rule, detail string) {
	if s.Violation != nil {
		s.Violation(remote, rule, detail)
	}
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
