package weft

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"

	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
)

// Bridge lets a handler that was written for HTTP/1.1 serve WebSockets over later versions too: one that upgrades with another
// library (gorilla, coder, gws, gobwas, golang.org/x/net/websocket), passes the connection on (httputil.ReverseProxy), or calls
// http.Hijacker itself. Servers set up by [ConfigureServer] and [Server] do this already, see [ServerOptions]; by hand it also serves
// net/http's own HTTP/2 (GODEBUG=http2xconnect=1) and quic-go's http3.Server. Requests that are no Extended CONNECT for a WebSocket pass through
// untouched.
//
// The handler sees the GET of RFC 6455, Section 4.1, with Proto HTTP/1.1: a key is made up where the client sent no valid one, and the
// version 13 where it sent none. The http.ResponseWriter is an http.Hijacker. The net.Conn is the stream, with the connection's
// addresses, deadlines, and CloseWrite (errors.ErrUnsupported on net/http's own HTTP/2); none of its bytes is ever in the bufio.Reader
// beforehand. The answer may come by WriteHeader before Hijack or be written to the net.Conn; it is checked, at most 64 KiB of it, and the client gets
//
//   - 200 with its header fields for a right 101; what follows is the WebSocket's;
//   - the same status, with its body of at most 1 MiB, for one of 300 and above, which ends when it is complete, the net.Conn is closed or
//     the handler returns;
//   - 501 for another 2xx, and 500 for what is no answer, a wrong 101, or a net.Conn that is closed without an answer. A WebSocket is not
//     open for either.
//
// The net.Conn lives until it is closed and outlives the handler, except on net/http's own HTTP/2: there ServeHTTP returns when it is
// closed. When the server shuts down, weft sends a Close frame with StatusGoingAway where a frame of the handler's ends; what the handler
// writes after that fails with net.ErrClosed, and the net.Conn is closed 5 s later if nobody else has. [Server.Shutdown] waits for it.
//
// [Accept] takes the stream itself, as it does without Bridge. On quic-go's http3.Server Bridge answers a request in early data with 425, whatever
// Accept would allow.
func Bridge(h http.Handler) http.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	return &bridge{next: h}
}

type bridge struct {
	next http.Handler
	// own says that nobody but next sees the request: it may be changed.
	own      bool
	messages *AcceptOptions // of BridgeMessages; nil: the handler gets the bytes as they are
}

// ServeHTTP implements http.Handler.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	native := transport.AcceptorFrom(r.Context())
	foreign := foreignAccept(r)
	outer, bridged := native.(*crossing)
	switch {
	case b.messages != nil && r.ProtoMajor == 1 && isUpgrade(r):
		bridged = bridged && outer.messages != nil
	case native == nil && foreign == nil:
		bridged = true
	}
	if bridged {
		b.next.ServeHTTP(w, r)
		return
	}
	if native == nil && InEarlyData(r) {
		// quic-go's server does not tell when the handshake is complete, which Hijack has to wait for.
		refuse(w, tooEarly())
		return
	}
	x := &crossing{w: w, r: r, native: native, foreign: foreign, messages: b.messages}
	returned := false
	defer func() {
		if !returned && x.conn != nil {
			x.conn.fail(errors.New("weft: Bridge: the handler panicked"))
			x.conn.quiesce()
		}
	}()
	b.next.ServeHTTP(x, x.request(b.own))
	returned = true
	x.finish()
}

// A crossing is an Extended CONNECT, with BridgeMessages also an Upgrade, while its handler runs: the handler's http.ResponseWriter, and the Acceptor in its
// request's context.
type crossing struct {
	w       http.ResponseWriter
	r       *http.Request      // as the server shows it, unless it is the handler's; nil where native's stream was accepted
	native  transport.Acceptor // nil on a server that is not ours
	foreign acceptFunc         // nil on one that is

	messages *AcceptOptions // of BridgeMessages; nil: of Bridge

	values  [4]string     // of the request's header
	shown   *http.Request // what the handler got; it may have changed RemoteAddr
	key     string
	ownKey  bool // the client sent no valid key
	front   bool // the request is the handler's; so is the header of the response, which is of no use after Accept
	refused bool // by us: what the handler writes is not sent
	http3   bool // with front: the request came over HTTP/3, not HTTP/2

	status    int         // of the handler's WriteHeader, or of our refusal; 0: none
	switching http.Header // of WriteHeader(101)
	conn      *bridgeConn // after Hijack
	stream    tunnelStream
}

// request is r as a handler for HTTP/1.1 expects it.
func (x *crossing) request(own bool) *http.Request {
	r, h := x.r, x.r.Header
	if f, ok := x.native.(transport.Fronted); ok && own {
		f.SetFront(x)
		x.front, x.http3 = true, r.ProtoMajor == 3
	} else {
		ctx := r.Context()
		if x.native != nil || x.foreign != nil {
			ctx = transport.WithAcceptor(ctx, x)
		}
		r = r.WithContext(ctx)
		h = maps.Clone(h)
	}
	// Choice: HTTP/1.1, although it is not. There is code that takes other versions for a request without Hijacker (chi's
	// middleware) or with a ":protocol" (centrifuge); none is known that would want to know better.
	r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor = http.MethodGet, "HTTP/1.1", 1, 1
	r.Body, r.ContentLength = http.NoBody, 0
	delete(h, ":protocol")
	if x.messages != nil {
		delete(h, fieldExtensions) // weft's to agree on
	}
	f := &x.values
	f[0], f[1], f[2] = "websocket", "Upgrade", "13"
	if x.native == nil {
		h["Upgrade"], h["Connection"] = f[0:1:1], f[1:2:2]
	}
	if len(h[fieldVersion]) == 0 {
		h[fieldVersion] = f[2:3:3]
	}
	if keys := h[fieldKey]; len(keys) == 1 && isKey(keys[0]) {
		x.key = keys[0]
	} else {
		var random [16]byte
		rand.Read(random[:])
		x.key, x.ownKey = handshake.NewKey(random), true
		f[3] = x.key
		h[fieldKey] = f[3:]
	}
	r.Header = h
	x.shown = r
	return r
}

func isKey(key string) bool {
	raw, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(raw) == 16 && len(key) == 24
}

// Accept implements transport.Acceptor, for our own Accept.
func (x *crossing) Accept(h http.Header) (transport.Stream, error) {
	switch {
	case x.taken():
		return nil, errors.New("the stream was taken already")
	case x.status != 0:
		return nil, fmt.Errorf("the request was answered with %d already", x.status)
	}
	s, err := x.open(h)
	if err != nil {
		x.status, x.refused = http.StatusInternalServerError, true // the client is gone: there is nobody to answer
		return nil, err
	}
	x.stream = s
	if x.native != nil {
		x.r, x.shown = nil, nil // the handler may go on for as long as the WebSocket
	}
	return s, nil
}

func (x *crossing) taken() bool { return x.conn != nil || x.stream != nil }

// openTunnel answers the client as the handler did, with the fields h of its 101, and takes the stream. h is changed.
func (x *crossing) openTunnel(h http.Header) (tunnelStream, error) {
	if x.messages != nil {
		return x.openMessages(h)
	}
	return x.open(h)
}

// open answers 200 with what of h belongs there, and takes the stream. h is changed.
func (x *crossing) open(h http.Header) (transport.Stream, error) {
	dropConnectionFields(h)
	if x.ownKey {
		delete(h, fieldAccept)
	}
	if x.native != nil {
		return x.native.Accept(h)
	}
	return x.foreign(x.w, x.r, h)
}

// finish is called when the handler has returned.
func (x *crossing) finish() {
	s := x.stream
	switch {
	case x.conn != nil:
		s = x.conn.handlerReturned()
	case s == nil && (x.status == 0 || x.status == http.StatusSwitchingProtocols):
		x.refuse(http.StatusNotImplemented, "the handler gave no answer to the request for a WebSocket")
	}
	if x.native == nil && s != nil && x.r.ProtoMajor == 2 {
		// net/http ends the stream when its handler returns.
		<-s.Done()
	}
}

// refuse answers in the handler's place.
func (x *crossing) refuse(status int, why string) {
	x.status, x.refused = status, true
	clear(x.w.Header())
	http.Error(x.w, why, status)
}

// takeWebSocket counts the WebSocket for the client's address. If that has as many as it may, it answers in the handler's place.
func (x *crossing) takeWebSocket(reg *registry) (*ipCount, error) {
	remote := x.r.RemoteAddr
	if x.shown != nil {
		remote = x.shown.RemoteAddr
	}
	n, err := reg.takeWebSocket(remote)
	if err == nil {
		return n, nil
	}
	x.status, x.refused = err.Status, true
	clear(x.w.Header())
	refusal := refuse(x.w, err)
	reg.observer.refused(x, refusal)
	return nil, refusal
}

// Header implements http.ResponseWriter.
func (x *crossing) Header() http.Header { return x.w.Header() }

// WriteHeader implements http.ResponseWriter. A 101 waits for Hijack.
func (x *crossing) WriteHeader(status int) {
	switch {
	case x.taken() || x.status != 0 && x.status != http.StatusSwitchingProtocols:
		// As net/http does, without its line in the log.
	case status == http.StatusSwitchingProtocols:
		x.status, x.switching = status, x.w.Header().Clone()
	case 200 <= status && status < 300:
		// It would open the WebSocket.
		x.refuse(http.StatusNotImplemented, fmt.Sprintf("the handler answered %d to the request for a WebSocket, not 101", status))
	default:
		if status >= 300 {
			x.status = status
		}
		x.w.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (x *crossing) Write(p []byte) (int, error) {
	if x.taken() {
		return 0, http.ErrHijacked
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	switch {
	case x.status == http.StatusSwitchingProtocols:
		return 0, http.ErrBodyNotAllowed
	case x.refused:
		return len(p), nil
	}
	return x.w.Write(p)
}

// Flush implements http.Flusher.
func (x *crossing) Flush() { x.FlushError() }

// FlushError is what http.ResponseController calls for Flush.
func (x *crossing) FlushError() error {
	switch {
	case x.taken():
		return http.ErrHijacked
	case x.status == http.StatusSwitchingProtocols:
		return nil
	case x.status == 0:
		x.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(x.w).Flush()
}

// InEarlyData and AwaitHandshake are what package transport asks a server's Acceptor.
func (x *crossing) InEarlyData() bool {
	if x.native == nil {
		return InEarlyData(x.r)
	}
	a, ok := x.native.(interface{ InEarlyData() bool })
	return ok && a.InEarlyData()
}

func (x *crossing) AwaitHandshake(ctx context.Context) error {
	if a, ok := x.native.(interface{ AwaitHandshake(context.Context) error }); ok {
		return a.AwaitHandshake(ctx)
	}
	return nil
}

// Unwrap gives http.ResponseController what is not changed here: deadlines, EnableFullDuplex.
func (x *crossing) Unwrap() http.ResponseWriter { return x.w }

// Hijack implements http.Hijacker.
func (x *crossing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if x.taken() {
		return nil, nil, http.ErrHijacked
	}
	if x.status != 0 && x.status != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("weft: Bridge: Hijack after the request was answered with %d", x.status)
	}
	// Code that upgrades by Hijack knows nothing of early data.
	if err := x.AwaitHandshake(x.r.Context()); err != nil {
		return nil, nil, fmt.Errorf("weft: Bridge: Hijack of a request in early data: %w", err)
	}
	c := newBridgeConn(x)
	if x.status == http.StatusSwitchingProtocols {
		if err := c.switchProtocols(x.switching); err != nil {
			return nil, nil, err
		}
	}
	x.conn = c
	return c, bufio.NewReadWriter(bufio.NewReaderSize(c, hijackBuffer), bufio.NewWriterSize(c, hijackBuffer)), nil
}

// hijackBuffer is net/http's size. Libraries go on to use the buffers.
const hijackBuffer = 4 << 10

var (
	_ http.Hijacker      = (*crossing)(nil)
	_ http.Flusher       = (*crossing)(nil)
	_ transport.Acceptor = (*crossing)(nil)
)
