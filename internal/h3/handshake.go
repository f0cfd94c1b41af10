package h3

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// A handshake is a connection as it begins.
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

// accept waits for a connection. The client may still have to show that it is there.
func (l *listener) accept() (*quic.Conn, error) {
	q, err := l.Accept(context.Background())
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
	// The client is not told: an idle "connection is silently closed and its state is discarded". RFC 9000, Section 10.1. And one that falls
	// silent is not told of: so do those that try TCP beside QUIC, when TCP was faster.
	if _, ok := errors.AsType[*quic.HandshakeTimeoutError](cause); ok {
		b := breaks(handshakeTimeout, "did not complete the QUIC handshake within %v", h.srv.handshakeTimeout())
		h.srv.tell(h.remote, b.rule, b.detail)
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
