package weft

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/weftws/weft/internal/h3"
)

// ServeQUIC serves HTTP/3 on a UDP socket, with the certificates of TLSConfig, and names it by its port in the Alt-Svc that clients of
// HTTP/1.1 and HTTP/2 get from now on (RFC 9114, Section 3.1.1), unless Options.AltSvc does. The server owns pc and closes it in
// the end. It always returns an error, ErrServerClosed after Shutdown or Close.
func (s *Server) ServeQUIC(pc net.PacketConn) error {
	if err := s.init(); err != nil {
		return err
	}
	return s.serveQUIC(pc, s.TLSConfig)
}

func (s *Server) serveQUIC(pc net.PacketConn, cfg *tls.Config) error {
	if cfg == nil || len(cfg.Certificates) == 0 && cfg.GetCertificate == nil && cfg.GetConfigForClient == nil {
		pc.Close()
		return errors.New("weft: ServeQUIC: the server has no certificate in TLSConfig")
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		pc.Close()
		return ErrServerClosed
	}
	if s.h3 == nil {
		s.h3 = s.newHTTP3(cfg)
	}
	srv := s.h3
	s.mu.Unlock()
	if addr, ok := pc.LocalAddr().(*net.UDPAddr); ok {
		s.advert.addHTTP3(addr.Port)
	}
	return srv.Serve(pc)
}

func (s *Server) newHTTP3(cfg *tls.Config) *h3.Server {
	limits := &quicLimits{table: s.reg.perIP, refused: func(remote net.Addr, k ipKind) { s.refusedIP(remote, "quic", k) }}
	srv := &h3.Server{
		Prove: limits.prove, Begin: limits.begin, Admit: limits.admit,
		Handler: s.Options.bridged(s.http.Handler), TLSConfig: cfg, ConnectProtocol: !s.Options.DisableConnectProtocol,
		MaxStreams: int(s.Options.MaxConcurrentStreams), IdleTimeout: s.http.IdleTimeout, KeepAlive: keepaliveOf(s.Options.KeepAlive),
		StreamWindow: uint64(s.Options.StreamWindow), ConnWindow: uint64(s.Options.ConnWindow), WriteTimeout: s.Options.WriteTimeout, MaxHeaderBytes: s.http.MaxHeaderBytes, ErrorLog: s.ErrorLog,
		HandshakeTimeout: max(s.http.ReadHeaderTimeout, 0), ReadHeaderTimeout: max(s.http.ReadHeaderTimeout, 0),
		BaseContext: func(net.Addr) context.Context {
			// Accept finds the server's WebSockets by it.
			return context.WithValue(context.Background(), http.ServerContextKey, &s.http)
		},
	}
	o := s.Options.Observer
	srv.UnknownProtocol = o.refusedProtocol
	if o != nil && o.Violation != nil {
		srv.Violation = o.h3Violation
	}
	return srv
}

// h3Violation tells what a client did at the level of HTTP/3, or of QUIC.
func (o *Observer) h3Violation(remote net.Addr, rule *h3.Rule, detail string) {
	o.violation(Violation{
		Side: "client", Protocol: rule.Protocol, Name: rule.Name, Limit: rule.Limit, Section: rule.Section, Detail: detail, RemoteAddr: remote.String(),
	})
}

// stopHTTP3 keeps HTTP/3 from starting, and returns what has; nil: it has not.
func (s *Server) stopHTTP3() *h3.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.h3
}

// listenUDP opens the UDP port of the same number as l's.
func listenUDP(l net.Listener) (net.PacketConn, error) {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.New("weft: listener has no TCP address")
	}
	return net.ListenUDP("udp", &net.UDPAddr{IP: addr.IP, Port: addr.Port, Zone: addr.Zone})
}

// certificates returns TLSConfig with the certificate of the files, if they are given.
func (s *Server) certificates(certFile, keyFile string) (*tls.Config, error) {
	cfg := s.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if certFile == "" && keyFile == "" {
		return cfg, nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	cfg.Certificates = []tls.Certificate{cert}
	return cfg, nil
}
