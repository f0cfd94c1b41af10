package h3

import (
	"context"
	"errors"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// An exchange is a request to the server and the response to it: the semantics.Stream of both, and the transport.Acceptor of an Extended
// CONNECT.
type exchange struct {
	sc      *serverConn
	q       *quic.Stream
	req     *semantics.Request
	handler http.Handler
	body    semantics.Body
	w       semantics.Response
	front   transport.Acceptor
	ctx     requestContext
	accept  transport.AcceptorContext // the request's, where the stream can be accepted
	early   bool                      // the request came in early data

	content content // what is read
	mu      sync.Mutex
	begun   bool // the final response has
	done    bool // the handler has returned
	broken  bool // the client broke a rule, and the stream was reset

	writeDeadline time.Time // the handler's; guarded by mu
}

// serveRequest takes the request of q, and answers it.
func (sc *serverConn) serveRequest(q *quic.Stream) {
	ex := &exchange{sc: sc, q: q}
	ex.content.ex = ex
	if head, end := ex.recvRequest(); head != nil {
		ex.begin(head, end)
		ex.run()
	}
	accepted := ex.w.Hijacked()
	if !accepted {
		if ex.endedEarly() {
			sc.chargeReset()
		}
		sc.forget(q.StreamID())
	}
	// A slot is free when the stream has ended and its handler has returned: Rapid Reset must not pile them up.
	q.ReleaseStreamCredit()
	sc.add(-1)
}

// recvRequest reads the header section within its time; nil: there is none, and the stream has been ended. end says that no content follows.
func (ex *exchange) recvRequest() (head *fieldSection, end bool) {
	timeout, limits := ex.sc.srv.headerTimeout(), ex.sc.srv.sectionLimits()
	ex.q.SetReadDeadline(time.Now().Add(timeout))
	section, end, err := readSection(ex.q, uint64(limits.Size))
	if err == nil {
		ex.q.SetReadDeadline(noDeadline)
		head, err = parseSection(section, fields.Request, limits)
		transport.PutBuffer(section)
	}
	if err == nil && end && head.ContentLength > 0 {
		err = breaks(contentLengthMismatch, "ended the content %d bytes before its content-length", head.ContentLength)
	}
	if err == nil {
		return head, end
	}
	switch b, v, f := (*breach)(nil), (*violation)(nil), (*fields.Breach)(nil); {
	case err == errNoSection:
		ex.punish(breaks(requestIncomplete, "ended a stream without a request"))
	case err == errSectionTooLarge:
		ex.refuseLarge(breaksFields(fields.TooManyBytes(limits.Size)))
	case errors.As(err, &f) && f.Rule == fields.TooLarge:
		ex.refuseLarge(breaksFields(f))
	case errors.As(err, &f):
		ex.punish(breaksFields(f))
	case errors.As(err, &b):
		ex.punish(b)
	case errors.As(err, &v):
		ex.sc.violated(nil, v)
	case errors.Is(err, os.ErrDeadlineExceeded):
		ex.punish(breaks(headersTimeout, "did not end the header section of a request within %v", timeout))
	default:
		ex.dropped(err)
	}
	return nil, false
}

// punish resets the stream both ways because of what the client did, and tells.
func (ex *exchange) punish(b *breach) {
	ex.mu.Lock()
	first := !ex.broken
	ex.broken = true
	ex.mu.Unlock()
	if first {
		ex.reset(b.rule.code)
		ex.sc.tell(b.rule, b.detail)
	}
}

// refuseLarge answers 431.
//
// "A server that receives a larger header section than it is willing to handle can send an HTTP 431 (Request Header Fields Too Large) status
// code." RFC 9114, Section 4.2.2.
func (ex *exchange) refuseLarge(b *breach) {
	ex.q.CancelRead(quic.StreamErrorCode(b.rule.code))
	ex.sc.tell(b.rule, b.detail)
	ex.w.Init(ex, fields.Pseudo{})
	ex.w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
	ex.w.Finish()
	ex.w.Release()
}

// dropped ends our side where the client has ended its own before the request was there.
func (ex *exchange) dropped(err error) {
	if _, reset := errors.AsType[*quic.StreamError](err); reset {
		ex.broken = true
		ex.q.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestIncomplete))
	}
}

func (ex *exchange) reset(code http3.ErrCode) {
	ex.q.CancelRead(quic.StreamErrorCode(code))
	ex.q.CancelWrite(quic.StreamErrorCode(code))
}

// begin makes the request that the handler sees.
func (ex *exchange) begin(head *fieldSection, end bool) {
	sc, s := ex.sc, ex.sc.srv
	req, kind := semantics.NewRequest(head.Pseudo, head.lines)
	ex.req, ex.handler = req, s.handler()
	req.Proto, req.ProtoMajor = "HTTP/3.0", 3
	req.RemoteAddr, req.TLS = sc.remote, sc.tlsState()
	ex.early = !handshakeDone(sc.q)
	ex.content.left = head.ContentLength
	ex.content.section.limit = uint64(s.maxHeaderBytes())
	ex.content.frames = newUnframer(false, &ex.content.section)
	ex.w.Init(ex, head.Pseudo)
	tunnel := head.Pseudo.Protocol != ""
	sc.prioritize(ex.q.StreamID(), req.Header["Priority"], tunnel)
	switch {
	case kind == semantics.Unknown, kind == semantics.WebSocket && !s.ConnectProtocol:
		var told func(*http.Request, string)
		if kind == semantics.Unknown {
			told = s.UnknownProtocol
		}
		ex.handler = semantics.RefuseProtocol(head.Pseudo.Protocol, told)
	case kind == semantics.Malformed:
		ex.handler = semantics.Refuse(http.StatusBadRequest, "malformed :path")
	case kind == semantics.Ordinary && ex.early && !safe(req.Method):
		// "A 425 (Too Early) status code indicates that the server is unwilling to risk processing a request that might be replayed."
		// RFC 8470, Section 5.2.
		ex.handler = semantics.Refuse(http.StatusTooEarly, req.Method+" is not for early data")
	}
	if !tunnel && !end {
		ex.body.Init(&ex.w, req)
	}
	ex.ctx = requestContext{Context: ex.q.Context(), sc: sc}
	ctx := sc.bound(&ex.ctx)
	if kind == semantics.WebSocket {
		ex.accept = transport.AcceptorContext{Context: ctx, Acceptor: ex}
		ctx = &ex.accept
	}
	req.SetContext(ctx)
}

func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}

// safe: RFC 9110, Section 9.2.1.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// run calls the handler and ends what it began.
func (ex *exchange) run() {
	ok := false
	defer func() {
		if !ok {
			ex.panicked(recover())
		}
		ex.end()
	}()
	ex.handler.ServeHTTP(&ex.w, &ex.req.Request)
	ex.w.Finish()
	ok = true
}

func (ex *exchange) panicked(v any) {
	if v != nil && v != http.ErrAbortHandler {
		ex.sc.srv.logf("http3: panic serving %v: %v\n%s", ex.sc.remote, v, debug.Stack())
	}
	if !ex.w.Hijacked() {
		ex.Abort()
	}
}

// end is called when the handler has returned and its answer is written.
func (ex *exchange) end() {
	ex.w.Release()
	ex.mu.Lock()
	ex.done = true
	ex.mu.Unlock()
	if !ex.w.Hijacked() {
		// "When the server does not need to receive the remainder of the request, it MAY abort reading the request stream, send a complete
		// response, and cleanly close the sending part of the stream. The error code H3_NO_ERROR SHOULD be used when requesting that the
		// client stop sending on the request stream." RFC 9114, Section 4.1.
		ex.q.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError))
	}
}

// endedEarly reports whether the client made the stream end before its time: it stopped or reset it, or broke a rule.
func (ex *exchange) endedEarly() bool {
	stopped, ok := errors.AsType[*quic.StreamError](context.Cause(ex.q.Context()))
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.broken || ok && stopped.Remote || ex.content.cut.Load()
}

// A requestContext is a request's context. It ends with our side of the stream, and has the values of the connection's and BaseContext's.
type requestContext struct {
	context.Context // QUIC's, of the stream
	sc              *serverConn
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	switch key {
	case http.LocalAddrContextKey:
		return c.sc.q.LocalAddr()
	case http3.RemoteAddrContextKey:
		return c.sc.q.RemoteAddr()
	}
	if v := c.Context.Value(key); v != nil || c.sc.base == nil {
		return v
	}
	return c.sc.base.Value(key)
}

// bound has ctx end with BaseContext's, too.
func (sc *serverConn) bound(ctx *requestContext) context.Context {
	if sc.base == nil || sc.base.Done() == nil {
		return ctx
	}
	derived, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(sc.base, func() { cancel(context.Cause(sc.base)) })
	context.AfterFunc(ctx, func() { stop() })
	return derived
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

// Front and SetFront implement transport.Fronted.
func (ex *exchange) Front() transport.Acceptor     { return ex.front }
func (ex *exchange) SetFront(a transport.Acceptor) { ex.front = a }

// Accept implements transport.Acceptor: it answers an Extended CONNECT with 200 and hands the stream over.
func (ex *exchange) Accept(h http.Header) (transport.Stream, error) {
	ex.mu.Lock()
	switch {
	case ex.done:
		ex.mu.Unlock()
		return nil, errors.New("the handler has returned")
	case ex.w.Answered() || ex.begun:
		ex.mu.Unlock()
		return nil, errors.New("the request was answered already")
	}
	ex.begun = true
	ex.w.Hijack()
	ex.mu.Unlock()
	sc := ex.sc
	sc.add(1)
	st := newStream(ex.q, sc, &sc.writer, transport.Info{
		ConnID: sc.id, LocalAddr: sc.q.LocalAddr(), RemoteAddr: sc.q.RemoteAddr(),
	}, sc.srv.WriteTimeout)
	out := appendHeaders(transport.GetBuffer(minResponse), http.StatusOK, h)
	err := ex.write(true, out)
	transport.PutBuffer(out)
	if err != nil {
		st.hangUp() // which gives up what was counted, and charges for it
		return nil, err
	}
	ex.q.SetWriteDeadline(noDeadline)
	// A handler may go on for as long as the WebSocket: it keeps of the request what it needs.
	ex.req, ex.handler = nil, nil
	return st, nil
}

// released implements under.
func (sc *serverConn) released(st *stream) {
	if st.wasReset() {
		sc.chargeReset()
	}
	sc.forget(st.q.StreamID())
	sc.add(-1)
}

var (
	_ semantics.Stream  = (*exchange)(nil)
	_ transport.Fronted = (*exchange)(nil)
)
