package weft

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weftws/weft/internal/h1"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/h3"
)

// A Server serves ordinary requests and WebSockets over HTTP/1.1, HTTP/2 and HTTP/3: over TLS by ALPN and over QUIC, without TLS
// HTTP/1.1 and HTTP/2 with prior knowledge. The fields are set before it serves; afterwards it is safe for concurrent use.
type Server struct {
	// Handler gets every request; nil: http.DefaultServeMux. WebSockets come as the GET of HTTP/1.1, whatever carries them: see
	// [Accept] and [Bridge].
	Handler http.Handler

	// TLSConfig for ServeTLS; may be nil if certificate files are given.
	TLSConfig *tls.Config

	// Options configure HTTP/2, and what goes for HTTP/3 too.
	Options ServerOptions

	// DisableHTTP3 keeps ListenAndServeTLS to TCP.
	DisableHTTP3 bool

	// ReadHeaderTimeout bounds the handshake of TLS and of QUIC, reading the header of a request over HTTP/1.1 and HTTP/3, and over HTTP/2 the wait
	// for the client's SETTINGS and the end of a field block; 0: 10 s. IdleTimeout closes connections
	// without requests and WebSockets; 0: 2 min.
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
	MaxHeaderBytes    int // of a request over HTTP/1.1 and HTTP/3; 0: 64 KiB

	// ErrorLog gets errors of connections and panics of handlers; nil: the log package's standard logger.
	ErrorLog *log.Logger

	// BaseContext and ConnContext are as in http.Server. The connection is around the listener's, to which its NetConn() net.Conn leads, and that one's.
	BaseContext func(net.Listener) context.Context
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	once   sync.Once
	err    error
	http   http.Server
	h2     *h2net.Server
	advert advertisement
	reg    *registry

	mu     sync.Mutex // for what follows
	h3     *h3.Server
	closed bool
}

// ErrServerClosed is what Serve and its kin return after Shutdown or Close.
var ErrServerClosed = http.ErrServerClosed

func (s *Server) init() error {
	s.once.Do(func() {
		s.http.Handler = s.Handler
		s.http.TLSConfig = s.TLSConfig
		s.http.ErrorLog = s.ErrorLog
		s.http.BaseContext = s.BaseContext
		s.http.ConnContext = s.ConnContext
		s.http.ReadHeaderTimeout = orDuration(s.ReadHeaderTimeout, 10*time.Second)
		s.http.IdleTimeout = orDuration(s.IdleTimeout, 2*time.Minute)
		s.http.MaxHeaderBytes = s.MaxHeaderBytes
		if s.http.MaxHeaderBytes == 0 {
			s.http.MaxHeaderBytes = 64 << 10
		}
		s.http.Protocols = new(http.Protocols)
		s.http.Protocols.SetHTTP1(true)
		s.http.Protocols.SetHTTP2(true)
		s.http.Protocols.SetUnencryptedHTTP2(true)
		s.advert.fixed = s.Options.AltSvc
		s.h2, s.err = configure(&s.http, &s.Options, &s.advert)
		if s.err != nil {
			return
		}
		s.reg = register(&s.http)
		s.reg.own = true
		s.http.ConnState = s.watch
	})
	return s.err
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Serve serves connections without TLS: HTTP/1.1, and HTTP/2 with prior knowledge (RFC 9113, Section 3.3). It closes l in the end
// and always returns an error, ErrServerClosed after Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.init(); err != nil {
		return err
	}
	return s.http.Serve(s.guarded(l, false))
}

// ServeTLS serves connections over TLS, with the certificate from the files if they are not "", else from TLSConfig.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	if err := s.init(); err != nil {
		return err
	}
	return s.http.ServeTLS(h1.Listener(s.guarded(l, true)), certFile, keyFile)
}

func (s *Server) guarded(l net.Listener, secure bool) net.Listener {
	return &guardedListener{Listener: l, table: s.reg.perIP, secure: secure, refused: func(remote net.Addr, k ipKind) { s.refusedIP(remote, "tcp", k) }}
}

// refusedIP is told that remote's address has as much of k as it may.
func (s *Server) refusedIP(remote net.Addr, protocol string, k ipKind) {
	s.Options.Observer.ipViolation(remote, protocol, k, s.reg.perIP.limit(k))
}

// ListenAndServe listens on the TCP address addr and calls Serve.
func (s *Server) ListenAndServe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS listens on the TCP address addr and on the UDP port of the same number, and calls ServeTLS and ServeQUIC. It
// returns when both have ended; what ends one of them ends the other.
func (s *Server) ListenAndServeTLS(addr, certFile, keyFile string) error {
	if err := s.init(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if s.DisableHTTP3 {
		return s.ServeTLS(l, certFile, keyFile)
	}
	cfg, err := s.certificates(certFile, keyFile)
	if err != nil {
		l.Close()
		return err
	}
	pc, err := listenUDP(l)
	if err != nil {
		l.Close()
		return fmt.Errorf("weft: HTTP/3: %w (DisableHTTP3 does without)", err)
	}
	served := make(chan error, 2)
	go func() { served <- s.serveQUIC(pc, cfg) }()
	go func() { served <- s.ServeTLS(l, certFile, keyFile) }()
	err = <-served
	if !errors.Is(err, ErrServerClosed) {
		s.Close()
	}
	<-served
	return err
}

// Shutdown ends the server gracefully: no new connections, GOAWAY on those of HTTP/2 and HTTP/3, Close with StatusGoingAway on every
// WebSocket, and then it waits until requests and WebSockets are over or ctx is done; it returns ctx's error then, and
// Close ends what is left. A peer that does not answer is given 5 s. WebSockets of another library's over HTTP/2 and HTTP/3 are closed too, where a
// frame ends, see [Bridge]; over HTTP/1.1 Shutdown neither waits for them nor ends them, as with every hijacked connection.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.init(); err != nil {
		return err
	}
	var quic sync.WaitGroup
	var quicErr error
	if h3 := s.stopHTTP3(); h3 != nil {
		quic.Go(func() { quicErr = h3.Shutdown(ctx) })
	}
	err := s.http.Shutdown(ctx) // sets off closeAll and the drain, see configure
	err = errors.Join(err, s.reg.closeAll(ctx), s.h2.Shutdown(ctx))
	quic.Wait()
	return errors.Join(err, quicErr)
}

// Close ends the server and every connection at once.
func (s *Server) Close() error {
	if err := s.init(); err != nil {
		return err
	}
	err := s.http.Close()
	s.reg.abortAll()
	if h3 := s.stopHTTP3(); h3 != nil {
		err = errors.Join(err, h3.Close())
	}
	return errors.Join(err, s.h2.Close())
}
