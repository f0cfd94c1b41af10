package weft

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"maps"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/h2net"
	"github.com/weftws/weft/internal/transport"
)

// ServerOptions configure the HTTP/2 side of a server. The zero value is right for most.
type ServerOptions struct {
	// DisableConnectProtocol keeps SETTINGS_ENABLE_CONNECT_PROTOCOL out of our SETTINGS (RFC 8441, Section 3): clients then
	// open WebSockets over HTTP/1.1.
	DisableConnectProtocol bool

	// DisableBridge leaves out [Bridge], which is otherwise around the server's handler: then handlers see the request for a WebSocket
	// over HTTP/2 as a GET with Proto HTTP/2.0, and only Accept can answer it with a WebSocket. It may still be around some.
	DisableBridge bool

	// Rungs are experimental ways of opening a WebSocket that this server takes besides upgrade and settings: Token, H21, Frame
	// (docs/bootstraps.md). Off, they cost nothing and change nothing.
	Rungs []Rung

	// AltSvc is an Alt-Svc field value (RFC 7838), `h2.1=":8443"; ma=86400`, that goes with every response, the 101 too, and
	// over HTTP/2 as an ALTSVC frame once a connection. "": none.
	AltSvc string

	// MaxConcurrentStreams is how many requests and WebSockets one connection may have open; 0: 1000.
	MaxConcurrentStreams uint32

	// StreamWindow and ConnWindow are receive windows in bytes, for a stream and for a connection; 0: 256 KiB and 1 MiB. Over HTTP/3
	// they are the most that windows grow to; 0: 1 and 8 MiB.
	StreamWindow uint32
	ConnWindow   uint32
	// MaxBufferedBytes is how much a connection may hold that was received and not yet read; 0: 4 MiB.
	MaxBufferedBytes int64

	// KeepAlive is the silence after which an HTTP/2 peer gets a PING; no ack within 15 s ends the connection. Over HTTP/3 it gets
	// one too, and a connection ends from which nothing comes for 30 s then. 0: 30 s (HTTP/3: 15 s, which is also the most); negative: never.
	KeepAlive time.Duration

	// WriteTimeout is how long the network may take nothing at all before a connection is given up; 0: 30 s. Over HTTP/2 it is also how long
	// a client's windows may hold up a stream, taking less than 1 KiB, before that is reset (ENHANCE_YOUR_CALM), at the latest after twice the time;
	// over HTTP/3, how long the next 64 KiB of a response may take (H3_EXCESSIVE_LOAD).
	WriteTimeout time.Duration

	// PerIP is how much one client address may have at a time.
	PerIP IPLimits

	// MaxMemory is how many bytes all connections together may hold of what was received and not consumed, of messages of which the end
	// has not come, and of what waits to be sent. Above it a connection or WebSocket that takes more is ended, unless its
	// part is at most 64 KiB: ENHANCE_YOUR_CALM, StatusTryAgainLater. 0: half of GOMEMLIMIT if that is set, else 2 GiB; negative: no limit.
	MaxMemory int64

	// ErrorLog gets panics of handlers; nil: the http.Server's, else the log package's standard logger.
	ErrorLog *log.Logger

	// OnViolation, if set, is told each rule that a peer broke at the HTTP/2 level: its name ("stream-window-exceeded") and
	// what happened. It must not block.
	OnViolation func(remote net.Addr, name, detail string)

	// Observer is told of WebSockets accepted without an Observer of their own, and of what peers do wrong below that level; nil:
	// nobody is.
	Observer *Observer
}

// ConfigureServer gives s an HTTP/2 that carries WebSockets, in place of net/http's own; GODEBUG plays no part. Ordinary
// requests go to s.Handler as before; those for WebSockets look like HTTP/1.1, so that code which upgrades with other libraries serves
// them too, see [Bridge]. It must be called before s serves. s.IdleTimeout, s.ErrorLog, s.ConnState and s.Shutdown go on to work;
// Shutdown also closes the WebSockets with StatusGoingAway, and does not wait for those over HTTP/1.1 (a [Server] does).
// HTTP/2 without TLS (prior knowledge) works where s.Protocols allows it.
func ConfigureServer(s *http.Server, opts *ServerOptions) error {
	if opts == nil {
		opts = &ServerOptions{}
	}
	var advert *advertisement
	if opts.AltSvc != "" {
		advert = &advertisement{fixed: opts.AltSvc}
	}
	_, err := configure(s, opts, advert)
	return err
}

// configure sets s up. advert may be nil: no alternative services.
func configure(s *http.Server, opts *ServerOptions, advert *advertisement) (*h2net.Server, error) {
	if _, ok := s.TLSNextProto["h2"]; ok {
		return nil, errors.New("weft: ConfigureServer: the http.Server has an HTTP/2 already (TLSNextProto), or serves")
	}
	if s.TLSConfig == nil {
		s.TLSConfig = new(tls.Config)
	} else {
		s.TLSConfig = s.TLSConfig.Clone()
	}
	tokens, err := opts.alpn()
	if err != nil {
		return nil, err
	}
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(s.TLSConfig.NextProtos, p) {
			s.TLSConfig.NextProtos = append(s.TLSConfig.NextProtos, p)
		}
	}
	// The server's preference counts: a client that offers one of ours besides h2 wants it.
	s.TLSConfig.NextProtos = append(slices.Clone(tokens), s.TLSConfig.NextProtos...)
	srv := &h2net.Server{
		Config:       opts.config(),
		IdleTimeout:  s.IdleTimeout,
		WriteTimeout: opts.WriteTimeout,
		ErrorLog:     opts.ErrorLog,
		Memory:       opts.memory(),
	}
	srv.Config.SettingsTimeout, srv.Config.HeadersTimeout = s.ReadHeaderTimeout, s.ReadHeaderTimeout
	srv.ConnectRules = connectRules
	if advert != nil {
		srv.AltSvc = h2net.AltSvc{Value: func(string) string { return advert.value() }, Frame: true}
		s.Handler = &altSvcHandler{next: s.Handler, advert: advert}
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = s.ErrorLog
	}
	srv.Violation, srv.UnknownProtocol = opts.violation(), opts.Observer.refusedProtocol
	m := maps.Clone(s.TLSNextProto)
	if m == nil {
		m = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	}
	reg := register(s)
	reg.observer, reg.memory, reg.perIP = opts.Observer, srv.Memory, newIPTable(opts.PerIP)
	reg.writeTimeout = opts.WriteTimeout
	serve := func(hs *http.Server, c *tls.Conn, h http.Handler) {
		connOpened(c)
		srv.ServeConn(c, opts.conn(hs, h, reg))
	}
	m["h2"] = serve
	for _, p := range tokens {
		m[p] = serve
	}
	m["unencrypted_http2"] = func(hs *http.Server, c *tls.Conn, h http.Handler) {
		if u, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
			opt := opts.conn(hs, h, reg)
			opt.PrefaceRead = true // by net/http, to tell HTTP/2 from HTTP/1.1
			nc := u.UnencryptedNetConn()
			connOpened(nc)
			srv.ServeConn(nc, opt)
		}
	}
	s.TLSNextProto = m
	s.RegisterOnShutdown(func() {
		var wg sync.WaitGroup
		wg.Go(func() { srv.Shutdown(context.Background()) })
		reg.closeAll(context.Background())
		wg.Wait()
	})
	return srv, nil
}

// violation is what is told what peers do; nil: nobody wants to know.
func (o *ServerOptions) violation() func(net.Addr, *h2.Violation, string) {
	if o.OnViolation == nil && (o.Observer == nil || o.Observer.Violation == nil) {
		return nil
	}
	return func(remote net.Addr, v *h2.Violation, detail string) {
		if o.OnViolation != nil {
			o.OnViolation(remote, v.Name, detail)
		}
		o.Observer.h2Violation(remote, v, detail)
	}
}

// alpn are the ALPN protocols of o.Rungs.
func (o *ServerOptions) alpn() (tokens []string, err error) {
	for _, r := range o.Rungs {
		switch r {
		case Token:
			tokens = append(tokens, "wsoverh2")
		case H21:
			tokens = append(tokens, "h2.1")
		case Frame, Upgrade, Settings, Assume:
		default:
			return nil, fmt.Errorf("weft: ServerOptions.Rungs: rung %s is none that a server switches on (token, h2.1, frame)", r)
		}
	}
	return tokens, nil
}

// memory is what o.MaxMemory says; nil: no limit.
func (o *ServerOptions) memory() *transport.Budget {
	limit := o.MaxMemory
	switch {
	case limit < 0:
		return nil
	case limit == 0:
		if limit = debug.SetMemoryLimit(-1) / 2; limit >= math.MaxInt64/2 {
			limit = defaultMaxMemory
		}
	}
	return &transport.Budget{Max: limit}
}

const defaultMaxMemory = 2 << 30

func (o *ServerOptions) config() h2.Config {
	return h2.Config{
		WSFrame:              slices.Contains(o.Rungs, Frame),
		Side:                 h2.Server,
		ConnectProtocol:      !o.DisableConnectProtocol,
		MaxConcurrentStreams: o.MaxConcurrentStreams,
		InitialWindowSize:    o.StreamWindow,
		ConnWindowSize:       o.ConnWindow,
		MaxBufferedBytes:     o.MaxBufferedBytes,
		PingInterval:         keepaliveOf(o.KeepAlive),
	}
}

// conn gathers what net/http knows of a connection that it hands over.
func (o *ServerOptions) conn(s *http.Server, h http.Handler, reg *registry) h2net.ConnOptions {
	opt := h2net.ConnOptions{Handler: h, State: s.ConnState}
	if reg.own {
		opt.State = nil // it only asks for HTTP/1.1
	}
	if bc, ok := h.(interface{ BaseContext() context.Context }); ok {
		opt.BaseContext = bc.BaseContext()
	}
	opt.Handler = o.bridged(&connHandler{server: s, alpn: h}) // outside of s.Handler, which may be set later
	return opt
}

// A connHandler is what net/http gives a connection to serve it with, less most of its stack, which a handler that goes on for
// as long as its WebSocket would pin.
type connHandler struct {
	server *http.Server
	alpn   http.Handler
}

func (h *connHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodOptions || r.TLS == nil || r.RemoteAddr == "" || r.Body == nil:
		h.alpn.ServeHTTP(w, r) // it completes the request, and may answer "OPTIONS *" itself
	case h.server.Handler == nil:
		http.DefaultServeMux.ServeHTTP(w, r)
	default:
		h.server.Handler.ServeHTTP(w, r)
	}
}

func (o *ServerOptions) bridged(h http.Handler) http.Handler {
	if o.DisableBridge {
		return h
	}
	return &bridge{next: h, own: true}
}
