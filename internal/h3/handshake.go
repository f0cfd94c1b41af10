package h3

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// A handshake is a connection as it begins. It is quic-go's trace of the connection as well, which shows the one thing of HTTP/3 that we
// would not hear of: header sections that are too large.
type handshake struct {
	srv    *Server
	remote net.Addr // as the client's packets claim
	over   func()   // tells Server.Begin's function, once
	conn   atomic.Pointer[quic.Conn]
}

// handshakeKey has a connection's handshake in its context.
type handshakeKey struct{}

// begin is asked about each first packet of a connection. ctx ends with the connection, also where its handshake fails.
func (s *Server) begin(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	h := &handshake{srv: s, remote: info.RemoteAddr, over: func() {}}
	if s.Begin != nil {
		over := s.Begin(info.RemoteAddr, info.AddrVerified)
		if over == nil {
			return nil, errFull
		}
		h.over = sync.OnceFunc(over)
	}
	context.AfterFunc(ctx, func() { h.ended(context.Cause(ctx)) })
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

var errFull = errors.New("client's address has as many connections as it may")

func handshakeOf(ctx context.Context) *handshake {
	h, _ := ctx.Value(handshakeKey{}).(*handshake)
	return h
}

// Accept implements http3.QUICListener. The client may still have to show that it is there.
func (l *listener) Accept(ctx context.Context) (*quic.Conn, error) {
	q, err := l.EarlyListener.Accept(ctx)
	if err == nil {
		if h := handshakeOf(q.Context()); h != nil {
			h.conn.Store(q)
		}
	}
	return q, err
}

// ended is called when the connection has.
func (h *handshake) ended(cause error) {
	h.over()
	if q := h.conn.Load(); q != nil && handshakeDone(q) {
		return
	}
	// The client is not told: an idle "connection is silently closed and its state is discarded". RFC 9000, Section 10.1.
	timeout := h.srv.handshakeTimeout()
	if _, ok := errors.AsType[*quic.HandshakeTimeoutError](cause); ok {
		h.srv.exceeded(h.remote, handshakeTimeout, "client did not complete the QUIC handshake within %v", timeout)
	} else if _, ok := errors.AsType[*quic.IdleTimeoutError](cause); ok {
		h.srv.exceeded(h.remote, handshakeTimeout, "client did not go on with the QUIC handshake within %v", timeout/2)
	}
}

func handshakeDone(q *quic.Conn) bool {
	select {
	case <-q.HandshakeComplete():
		return true
	default:
		return false
	}
}

// trace is quic.Config's Tracer.
func trace(ctx context.Context, _ bool, _ quic.ConnectionID) qlogwriter.Trace {
	if h := handshakeOf(ctx); h != nil {
		return h
	}
	return nil
}

// AddProducer implements qlogwriter.Trace. QUIC asks before the connection is accepted, and would have to make an event of every packet: it gets
// nil, which means no events. HTTP/3 asks afterwards.
func (h *handshake) AddProducer() qlogwriter.Recorder {
	if q := h.conn.Load(); q != nil {
		return sections{h.srv, q}
	}
	return nil
}

// sections is told the frames of ordinary requests, and those that begin a WebSocket.
type sections struct {
	srv *Server
	q   *quic.Conn
}

// RecordEvent implements qlogwriter.Recorder. It counts as quic-go does, which answers 431 next.
//
// "A server that receives a larger header section than it is willing to handle can send an HTTP 431 (Request Header Fields Too Large)
// status code. [...] The size of a field list is calculated based on the uncompressed size of fields, including the length of the name and value in
// bytes plus an overhead of 32 bytes for each field." RFC 9114, Section 4.2.2.
func (s sections) RecordEvent(ev qlogwriter.Event) {
	parsed, ok := ev.(qlog.FrameParsed)
	if !ok {
		return
	}
	headers, ok := parsed.Frame.Frame.(qlog.HeadersFrame)
	if !ok {
		return
	}
	size := parsed.Raw.PayloadLength
	limit := s.srv.maxHeaderBytes()
	if size <= limit {
		size = 0
		for _, f := range headers.HeaderFields {
			size += len(f.Name) + len(f.Value) + 32
		}
	}
	if size > limit {
		s.srv.exceeded(s.q.RemoteAddr(), headerListTooLarge, "client sent a header section of more than %d bytes", limit)
	}
}

// Close implements qlogwriter.Recorder.
func (s sections) Close() error { return nil }
