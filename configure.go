package weft

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
)

// ServerOptions configure the HTTP/2 side of a server. The zero value is right for most.
type ServerOptions struct {
	// DisableConnectProtocol keeps SETTINGS_ENABLE_CONNECT_PROTOCOL out of our SETTINGS (RFC 8441, Section 3): clients then
	// open WebSockets over HTTP/1.1.
	DisableConnectProtocol bool

	// MaxConcurrentStreams is how many requests and WebSockets one connection may have open; 0: 1000.
	MaxConcurrentStreams uint32

	// StreamWindow and ConnWindow are receive windows in bytes, for a stream and for a connection; 0: 256 KiB and 1 MiB.
	StreamWindow uint32
	ConnWindow   uint32
	// MaxBufferedBytes is how much a connection may hold that was received and not yet read; 0: 4 MiB.
	MaxBufferedBytes int64

	// KeepAlive is the silence after which an HTTP/2 peer gets a PING; no ack within 15 s ends the connection.
	// 0: 30 s; negative: never.
	KeepAlive time.Duration

	// WriteTimeout is how long the network may take nothing at all before a connection is given up; 0: 30 s.
	WriteTimeout time.Duration

	// ErrorLog gets panics of handlers; nil: the http.Server's, else the log package's standard logger.
	ErrorLog *log.Logger

	// OnViolation, if set, is told each rule that a peer broke at the HTTP/2 level: its name ("stream-window-exceeded") and
	// what happened. It must not block.
	OnViolation func(remote net.Addr, name, detail string)
}

// ConfigureServer gives s an HTTP/2 that carries WebSockets, in place of net/http's own; GODEBUG plays no part. Ordinary
// requests go to s.Handler as before. It must be called before s serves. s.IdleTimeout, s.ErrorLog, s.ConnState and s.Shutdown go on to work;
// Shutdown also closes the WebSockets with StatusGoingAway, and does not wait for those over HTTP/1.1 (a [Server] does).
// HTTP/2 without TLS (prior knowledge) works where s.Protocols allows it.
func ConfigureServer(s *http.Server, opts *ServerOptions) error {
	_, err := configure(s, opts)
	return err
}

func configure(s *http.Server, opts *ServerOptions) (*h2net.Server, error) {
	if opts == nil {
		opts = &ServerOptions{}
	}
	if _, ok := s.TLSNextProto["h2"]; ok {
		return nil, errors.New("weft: ConfigureServer: the http.Server has an HTTP/2 already (TLSNextProto), or serves")
	}
	if s.TLSConfig == nil {
		s.TLSConfig = new(tls.Config)
	} else {
		s.TLSConfig = s.TLSConfig.Clone()
	}
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(s.TLSConfig.NextProtos, p) {
			s.TLSConfig.NextProtos = append(s.TLSConfig.NextProtos, p)
		}
	}
	srv := &h2net.Server{
		Config:       opts.config(),
		IdleTimeout:  s.IdleTimeout,
		WriteTimeout: opts.WriteTimeout,
		ErrorLog:     opts.ErrorLog,
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = s.ErrorLog
	}
	if f := opts.OnViolation; f != nil {
		srv.Violation = func(remote net.Addr, v *h2.Violation, detail string) { f(remote, v.Name, detail) }
	}
	m := maps.Clone(s.TLSNextProto)
	if m == nil {
		m = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	}
	m["h2"] = func(hs *http.Server, c *tls.Conn, h http.Handler) { srv.ServeConn(c, connOptionsOf(hs, h)) }
	m["unencrypted_http2"] = func(hs *http.Server, c *tls.Conn, h http.Handler) {
		if u, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
			opt := connOptionsOf(hs, h)
			opt.PrefaceRead = true // by net/http, to tell HTTP/2 from HTTP/1.1
			srv.ServeConn(u.UnencryptedNetConn(), opt)
		}
	}
	s.TLSNextProto = m
	reg := register(s)
	s.RegisterOnShutdown(func() {
		var wg sync.WaitGroup
		wg.Go(func() { srv.Shutdown(context.Background()) })
		reg.closeAll(context.Background())
		wg.Wait()
	})
	return srv, nil
}

func (o *ServerOptions) config() h2.Config {
	return h2.Config{
		Side:                 h2.Server,
		ConnectProtocol:      !o.DisableConnectProtocol,
		MaxConcurrentStreams: o.MaxConcurrentStreams,
		InitialWindowSize:    o.StreamWindow,
		ConnWindowSize:       o.ConnWindow,
		MaxBufferedBytes:     o.MaxBufferedBytes,
		PingInterval:         keepaliveOf(o.KeepAlive),
	}
}

// connOptionsOf gathers what net/http knows of a connection that it hands over.
func connOptionsOf(s *http.Server, h http.Handler) h2net.ConnOptions {
	opt := h2net.ConnOptions{Handler: h, State: s.ConnState}
	if bc, ok := h.(interface{ BaseContext() context.Context }); ok {
		opt.BaseContext = bc.BaseContext()
	}
	return opt
}
