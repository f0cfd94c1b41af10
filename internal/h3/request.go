package h3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/weftws/weft/internal/transport"
)

// serveHTTP is what quic-go's server calls for each request.
func (s *Server) serveHTTP(qw http.ResponseWriter, r *http.Request) {
	sc := r.Context().Value(connKey{}).(*serverConn)
	sc.add(1)
	defer sc.add(-1)
	w := newAnswer(qw)
	defer sc.chargeRequest(w, r)
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				s.logf("http3: panic serving %v: %v\n%s", r.RemoteAddr, v, debug.Stack())
			}
			panic(http.ErrAbortHandler) // quic-go resets the stream
		}
	}()
	early := !handshakeDone(sc.q)
	switch {
	case isExtended(r) && (r.Proto != "websocket" || !s.ConnectProtocol):
		// "If a server advertises support for Extended CONNECT but receives an Extended CONNECT request with a ":protocol" value that
		// is unknown or is not supported, the server SHOULD respond to the request with a 501 (Not Implemented) status code."
		// RFC 9220, Section 3.
		if s.UnknownProtocol != nil && r.Proto != "websocket" {
			s.UnknownProtocol(r, r.Proto)
		}
		http.Error(w, fmt.Sprintf("no protocol %q here", r.Proto), http.StatusNotImplemented)
	case isExtended(r):
		s.serveConnect(sc, w, r, early)
	case early && !safe(r.Method):
		// "A 425 (Too Early) status code indicates that the server is unwilling to risk processing a request that might be
		// replayed." RFC 8470, Section 5.2.
		http.Error(w, r.Method+" is not for early data", http.StatusTooEarly)
	default:
		s.handler().ServeHTTP(w, r)
	}
	w.finish()
}

func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}

// isExtended reports whether r is an Extended CONNECT, whose :protocol quic-go puts into Proto.
func isExtended(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.ProtoMajor == 3 && r.Proto != "HTTP/3.0"
}

// safe: RFC 9110, Section 9.2.1.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// serveConnect shows an Extended CONNECT as a GET with Upgrade.
func (s *Server) serveConnect(sc *serverConn, w http.ResponseWriter, r *http.Request, early bool) {
	ex := &exchange{w: w, sc: sc, early: early}
	defer ex.end()
	r = r.WithContext(transport.WithAcceptor(r.Context(), ex))
	ex.r = r
	r.Method, r.Proto, r.Body, r.ContentLength = http.MethodGet, "HTTP/3.0", http.NoBody, 0
	r.Header["Upgrade"] = []string{"websocket"}
	r.Header["Connection"] = []string{"Upgrade"}
	s.handler().ServeHTTP(ex, r)
	ex.finish()
}

// An exchange is an Extended CONNECT while its handler runs: the transport.Acceptor and the http.ResponseWriter.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	sc    *serverConn
	early bool

	mu       sync.Mutex
	accepted bool // the handler took the stream
	done     bool // the handler has returned
	status   int  // 0: WriteHeader was not called
	replaced bool // by a 501: what the handler writes is not sent
}

// InEarlyData is what transport.InEarlyData asks.
func (ex *exchange) InEarlyData() bool { return ex.early }

// AwaitHandshake is what transport.AwaitHandshake asks.
func (ex *exchange) AwaitHandshake(ctx context.Context) error {
	select {
	case <-ex.sc.q.HandshakeComplete():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Accept implements transport.Acceptor.
func (ex *exchange) Accept(h http.Header) (transport.Stream, error) {
	ex.mu.Lock()
	switch {
	case ex.done:
		ex.mu.Unlock()
		return nil, errors.New("the handler has returned")
	case ex.accepted || ex.status != 0:
		ex.mu.Unlock()
		return nil, errors.New("the request was answered already")
	}
	ex.accepted = true
	ex.mu.Unlock()
	sc := ex.sc
	sc.add(1)
	st, err := accept(ex.w, h, sc, &sc.writer, transport.Info{
		ConnID: sc.id, LocalAddr: sc.q.LocalAddr(), RemoteAddr: sc.q.RemoteAddr(),
	}, sc.srv.WriteTimeout)
	if err != nil {
		sc.add(-1)
		return nil, sc.lost(err)
	}
	return st, nil
}

// Header implements http.ResponseWriter.
func (ex *exchange) Header() http.Header { return ex.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (ex *exchange) WriteHeader(status int) {
	ex.mu.Lock()
	if ex.accepted || ex.done || ex.status != 0 {
		ex.mu.Unlock()
		ex.sc.srv.logf("http3: superfluous response.WriteHeader call")
		return
	}
	// "HTTP/3 does not support the HTTP Upgrade mechanism or the 101 (Switching Protocols) informational status code." RFC 9114,
	// Section 4.5. And a 2xx would open a tunnel that nobody holds.
	if status == http.StatusSwitchingProtocols || status/100 == 2 {
		clear(ex.w.Header())
		ex.replaced, status = true, http.StatusNotImplemented
	}
	if status >= 200 {
		ex.status = status
	}
	ex.mu.Unlock()
	ex.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (ex *exchange) Write(p []byte) (int, error) {
	ex.mu.Lock()
	accepted, begun, replaced := ex.accepted, ex.status != 0, ex.replaced
	ex.mu.Unlock()
	if accepted {
		return 0, http.ErrHijacked
	}
	if !begun {
		ex.WriteHeader(http.StatusOK)
		replaced = true
	}
	if replaced {
		return len(p), nil
	}
	return ex.w.Write(p)
}

// FlushError is what http.ResponseController calls for Flush.
func (ex *exchange) FlushError() error {
	if _, err := ex.Write(nil); err != nil {
		return err
	}
	return http.NewResponseController(ex.w).Flush()
}

// Flush implements http.Flusher.
func (ex *exchange) Flush() { ex.FlushError() }

// finish answers what the handler has not answered.
func (ex *exchange) finish() {
	ex.mu.Lock()
	answered := ex.accepted || ex.status != 0
	ex.mu.Unlock()
	if !answered {
		ex.WriteHeader(http.StatusNotImplemented)
	}
}

func (ex *exchange) end() {
	ex.mu.Lock()
	ex.done = true
	ex.mu.Unlock()
}

var _ http.Flusher = (*exchange)(nil)
