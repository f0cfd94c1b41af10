package weft

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/h1"
	"github.com/weftws/weft/internal/h3"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/stock"
	"github.com/weftws/weft/internal/transport"
)

// AcceptOptions say what a server agrees to. The zero value: no subprotocol, same origin only, no compression.
type AcceptOptions struct {
	// Subprotocols that the server speaks, in order of preference; the first that the client offers is chosen.
	Subprotocols []string

	// InsecureSkipVerify accepts browsers from any origin: for services that do not rely on cookies or the network for
	// authentication.
	InsecureSkipVerify bool
	// OriginPatterns are further origins that may connect: hosts ("*.example.com", path.Match) or scheme and host
	// ("https://example.com"). The request's own host is always one.
	OriginPatterns []string

	// CompressionMode says whether permessage-deflate (RFC 7692) is accepted; CompressionThreshold from how many bytes on
	// a message is compressed (0: 512, with context takeover 128).
	CompressionMode      CompressionMode
	CompressionThreshold int

	// OnPingReceived is told each Ping; false: no Pong is sent. OnPongReceived is told each Pong. They run where messages
	// are read and must not block.
	OnPingReceived func(ctx context.Context, payload []byte) bool
	OnPongReceived func(ctx context.Context, payload []byte)

	// ReadLimit is how many bytes a message may have, counted after inflating; 0: 1 MiB; negative: no limit. [Conn.SetReadLimit] changes it.
	ReadLimit int64

	// AllowEarlyData accepts a request that came in QUIC's 0-RTT data, before the handshake is complete: whoever recorded it can send
	// it again, so what the handler does on it must be harmless twice (RFC 8470). Otherwise such a request is answered 425 (Too Early), and
	// the client repeats it. Wherever it looks before Accept, a handler that cares asks [InEarlyData].
	AllowEarlyData bool

	// KeepAlive is the silence after which an HTTP/1.1 peer gets a Ping; as much again without any answer ends the
	// connection. It is looked at as often, so that a peer that has vanished is found after two to three times as long and a second. 0: 30 s;
	// negative: never. Over HTTP/2 and HTTP/3 the connection does this for all its streams, see ServerOptions.
	KeepAlive time.Duration

	// Observer is told of requests and their WebSockets; nil: the server's, see ServerOptions.
	Observer *Observer
}

// Accept answers a client's request for a WebSocket. It works in any http.Handler and for any version of HTTP that the
// request came by: HTTP/1.1 (by Hijack), HTTP/2 on a server set up by [ConfigureServer] or [Server], HTTP/3 on a Server, and net/http's own HTTP/2
// where the process runs with GODEBUG=http2xconnect=1. If the request is not one for a WebSocket or may not have one, Accept
// answers it with the right status (400, 403, 405, 426, 501) and returns a *HandshakeError.
//
// The Conn belongs to the caller and outlives the handler and the request's context. Exception: on net/http's own HTTP/2 the
// WebSocket ends when the handler returns, unless [Bridge] is around it.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Conn, error) {
	if opts == nil {
		opts = &AcceptOptions{}
	}
	c, err := accept(w, r, opts)
	opts.observe(r, c, err)
	return c, err
}

func accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Conn, error) {
	acceptor := transport.AcceptorFrom(r.Context())
	foreign := foreignAccept(r)
	agreed, h, err := opts.agree(w, r, acceptor, foreign)
	if err != nil {
		return nil, deny(w, r, err)
	}
	reg := registryOf(r)
	ip, err := reg.takeWebSocket(r.RemoteAddr)
	if err != nil {
		return nil, deny(w, r, err)
	}
	stream, serr := openStream(w, r, h, acceptor, foreign)
	if serr != nil {
		if ip != nil {
			reg.perIP.give(ip, webSockets)
		}
		return nil, &HandshakeError{Name: "not-accepted", Detail: serr.Error(), Err: serr}
	}
	return opts.newConn(r, stream, agreed, ip), nil
}

// deny refuses r for a WebSocket.
func deny(w http.ResponseWriter, r *http.Request, err *handshake.Error) *HandshakeError {
	if r.ProtoMajor == 1 && r.Header.Get("Upgrade") != "" && err.Header["Connection"] == nil && transport.AcceptorFrom(r.Context()) == nil {
		// What comes behind a request for an Upgrade may be meant for the tunnel, and must not be taken for another request. RFC 9931.
		w.Header()["Connection"] = []string{"close"}
	}
	return refuse(w, err)
}

// agree looks at the request; h is what the response's header becomes.
func (o *AcceptOptions) agree(w http.ResponseWriter, r *http.Request, acceptor transport.Acceptor, foreign acceptFunc) (agreed handshake.Agreement, h http.Header, err *handshake.Error) {
	req := handshake.Request{
		Method: r.Method, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, Host: r.Host, Header: r.Header,
	}
	if acceptor != nil {
		req.ProtoMajor, req.ProtoMinor = 2, 0 // whatever Bridge shows
	}
	if foreign != nil {
		req.Method = http.MethodGet
	}
	if r.ProtoMajor >= 2 && acceptor == nil && foreign == nil {
		return agreed, nil, noExtendedConnect(r)
	}
	if err = handshake.CheckRequest(req); err != nil {
		return agreed, nil, err
	}
	if !o.InsecureSkipVerify {
		if err = handshake.CheckOrigin(req, isSecure(r), o.OriginPatterns); err != nil {
			return agreed, nil, err
		}
	}
	if !o.AllowEarlyData && InEarlyData(r) {
		return agreed, nil, tooEarly()
	}
	if agreed, err = handshake.Agree(r.Header, o.support()); err != nil {
		return agreed, nil, err
	}
	key := r.Header.Get("Sec-Websocket-Key")
	x, bridged := acceptor.(*crossing)
	if bridged && x.ownKey {
		key = ""
	}
	if h = w.Header(); !bridged || !x.front {
		h = h.Clone()
	}
	if h == nil {
		h = make(http.Header)
	}
	handshake.SetResponse(h, agreed, key, req.ProtoMajor == 1)
	return agreed, h, nil
}

//go:noinline
func (o *AcceptOptions) newConn(r *http.Request, stream transport.Stream, agreed handshake.Agreement, ip *ipCount) *Conn {
	reg := registryOf(r)
	opt := o.connOptions(agreed)
	opt.observer, opt.registry = o.observer(reg), reg
	reg.accountSending(stream)
	c := newConn(stream, opt.shared())
	c.ip = ip
	reg.add(c)
	return c
}

func openStream(w http.ResponseWriter, r *http.Request, h http.Header, a transport.Acceptor, foreign acceptFunc) (transport.Stream, error) {
	switch {
	case a != nil:
		return a.Accept(h)
	case foreign != nil:
		return foreign(w, r, h)
	}
	s, err := h1.Accept(w, r, h)
	if err != nil {
		return nil, err
	}
	if reg := registryOf(r); reg != nil && reg.writeTimeout > 0 {
		s.(*h1.Stream).SetTimeout(reg.writeTimeout)
	}
	return s, nil
}

// An acceptFunc answers an Extended CONNECT with h and takes its stream.
type acceptFunc func(w http.ResponseWriter, r *http.Request, h http.Header) (transport.Stream, error)

// foreignAccept returns what accepts r on a server that is not ours; nil: r is no Extended CONNECT for a WebSocket, or is ours.
func foreignAccept(r *http.Request) acceptFunc {
	switch {
	case transport.AcceptorFrom(r.Context()) != nil:
		return nil
	case stock.IsConnect(r):
		return stock.Accept
	case h3.IsConnect(r):
		return h3.Accept
	}
	return nil
}

func (o *AcceptOptions) support() handshake.Support {
	return handshake.Support{Subprotocols: o.Subprotocols, Deflate: o.CompressionMode.support()}
}

func (o *AcceptOptions) connOptions(a handshake.Agreement) connOptions {
	return connOptions{
		side: frame.Server, deflate: a.Deflate, subprotocol: a.Subprotocol, threshold: o.CompressionMode.threshold(o.CompressionThreshold),
		onPing: o.OnPingReceived, onPong: o.OnPongReceived, keepalive: keepaliveOf(o.KeepAlive), readLimit: o.ReadLimit,
	}
}

func keepaliveOf(set time.Duration) time.Duration {
	if set == 0 {
		return defaultKeepalive
	}
	return max(set, 0)
}

// support is what a server agrees to for m, nil for nothing.
func (m CompressionMode) support() *deflate.Params {
	switch m {
	case CompressionContextTakeover:
		return &deflate.Params{ServerMaxWindowBits: takeoverBits, ClientMaxWindowBits: takeoverBits}
	case CompressionNoContextTakeover:
		return &deflate.Params{ServerNoContextTakeover: true, ClientNoContextTakeover: true, ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	}
	return nil
}

// offer is what a client offers for m, nil for nothing.
func (m CompressionMode) offer() *deflate.Params {
	p := m.support()
	if m == CompressionContextTakeover {
		// Choice: a server that knows nothing of server_max_window_bits would have to decline. Our own window is ours to
		// limit.
		p.ServerMaxWindowBits = 15
	}
	return p
}

// takeoverBits is the window for each direction, 4 KiB. 32 KiB (15 bits) compress JSON a few per cent better and cost eight
// times the memory for as long as the connection lives.
const takeoverBits = 12

func isSecure(r *http.Request) bool { return r.TLS != nil }

// noExtendedConnect explains an HTTP/2 request that is no Extended CONNECT.
func noExtendedConnect(r *http.Request) *handshake.Error {
	detail := fmt.Sprintf("client sent %s over %s, not an Extended CONNECT with :protocol websocket", r.Method, r.Proto)
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		detail = fmt.Sprintf("client sent Upgrade over %s, where it has no meaning", r.Proto)
	}
	return &handshake.Error{
		Status: http.StatusUpgradeRequired, Header: http.Header{"Upgrade": {"websocket"}},
		Name: "no-extended-connect", Section: "RFC 8441, Section 4", Detail: detail,
	}
}

// InEarlyData reports whether r came in QUIC's 0-RTT data and may be a replay (RFC 8470, Section 3).
func InEarlyData(r *http.Request) bool {
	if transport.AcceptorFrom(r.Context()) != nil {
		return transport.InEarlyData(r.Context())
	}
	// On quic-go's own server.
	return r.ProtoMajor == 3 && r.TLS != nil && !r.TLS.HandshakeComplete
}

func tooEarly() *handshake.Error {
	return &handshake.Error{
		Status: http.StatusTooEarly, Name: "early-data", Section: "RFC 8470, Section 5.2",
		Detail: "client's request came in early data, which may be a replay, and the handler does not allow that",
	}
}

// refuse answers the request with err.
func refuse(w http.ResponseWriter, err *handshake.Error) *HandshakeError {
	h := w.Header()
	for k, v := range err.Header {
		h[k] = v
	}
	http.Error(w, err.Error(), err.Status)
	return &HandshakeError{StatusCode: err.Status, Name: err.Name, Section: err.Section, Detail: err.Detail}
}
