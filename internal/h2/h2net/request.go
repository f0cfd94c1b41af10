package h2net

import (
	"context"
	"net/http"
	"runtime/debug"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// An exchange is a request to the server while its handler runs, and the semantics.Stream of both.
type exchange struct {
	st       *stream
	req      *http.Request
	handler  http.Handler
	cancel   context.CancelFunc
	front    transport.Acceptor
	ctx      transport.AcceptorContext // the request's, where the stream can be accepted
	body     semantics.Body
	w        semantics.Response
	answered bool // a final header section was sent, or the stream taken over; guarded by the connection's lock
	done     bool // the handler has returned; guarded by the connection's lock
}

// recvHeaders starts a request.
func (sc *serverConn) recvHeaders(ev *h2.Event) {
	st := sc.add(ev.Stream)
	ex := &exchange{st: st}
	st.exchange, st.eof = ex, ev.End
	sc.newRequest(ex, ev)
	sc.sendAltSvc(st, ex.req.Host)
	sc.reading.begun++
	sc.starting = append(sc.starting, ex)
	if sc.startWork == nil {
		sc.startWork = sc.work
	}
	go sc.startWork()
}

// work runs handlers. There is a goroutine for each request, so that none waits for another's handler; but one that is done
// takes the next that has not begun, whose own goroutine then finds nothing: a stack that has grown serves many.
func (sc *serverConn) work() {
	for {
		sc.f.Lock()
		ex := sc.nextStart()
		sc.f.Unlock()
		if ex == nil {
			return
		}
		ex.run()
	}
}

// nextStart takes the oldest request whose handler has not begun. Called with the lock held.
func (sc *serverConn) nextStart() *exchange {
	if sc.started == len(sc.starting) {
		return nil
	}
	ex := sc.starting[sc.started]
	sc.starting[sc.started] = nil
	if sc.started++; sc.started == len(sc.starting) {
		sc.starting, sc.started = sc.starting[:0], 0
		if cap(sc.starting) > maxStarting {
			sc.starting = nil
		}
	}
	return ex
}

// newRequest makes what the handler sees.
func (sc *serverConn) newRequest(ex *exchange, ev *h2.Event) {
	req, kind := semantics.NewRequest(ev.Pseudo, ev.Fields)
	req.Proto, req.ProtoMajor, req.TLS = "HTTP/2.0", 2, sc.tls
	if sc.remote != nil {
		if sc.remoteText == "" {
			sc.remoteText = sc.remote.String()
		}
		req.RemoteAddr = sc.remoteText
	}
	switch kind {
	case semantics.Malformed:
		ex.handler = semantics.Refuse(http.StatusBadRequest, "malformed :path")
	case semantics.Unknown:
		ex.handler = semantics.RefuseProtocol(ev.Pseudo.Protocol, sc.srv.UnknownProtocol)
	default:
		ex.handler = sc.opt.Handler
	}
	ex.w.Init(ex, ev.Pseudo)
	if ev.Pseudo.Protocol == "" && !ev.End {
		ex.body.Init(&ex.w, req)
	}
	ctx, cancel := context.WithCancel(sc.opt.BaseContext)
	ex.cancel = cancel
	if kind == semantics.WebSocket {
		ex.ctx = transport.AcceptorContext{Context: ctx, Acceptor: ex}
		ctx = &ex.ctx
	}
	req.SetContext(ctx)
	ex.req = &req.Request
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
	ex.handler.ServeHTTP(&ex.w, ex.req)
	ex.w.Finish()
	ok = true
}

func (ex *exchange) panicked(v any) {
	c := ex.st.c
	if v != nil && v != http.ErrAbortHandler {
		c.role.logf("http2: panic serving %v: %v\n%s", c.remote, v, debug.Stack())
	}
	c.f.Lock()
	if !ex.w.Hijacked() {
		ex.st.abort(internalError)
	}
	c.f.Flush()
}

// end is called when the handler has returned and its answer is queued.
func (ex *exchange) end() {
	ex.w.Release()
	ex.cancel()
	st := ex.st
	c := st.c
	c.f.Lock()
	ex.done = true
	st.exchange = nil
	if !ex.w.Hijacked() {
		st.discard()
		if c.err == nil && !st.released && !st.s.Closed() {
			// "A server can send a complete response prior to the client sending an entire request ... When this is
			// true, a server MAY request that the client abort transmission of a request without error by sending a
			// RST_STREAM with an error code of NO_ERROR after sending a complete response." RFC 9113, Section 8.1.
			st.resetAtEnd = true
			st.endWhenWritten()
		}
	}
	st.settle()
	c.f.Flush()
	c.role.hooks()
}

// maxStarting is how much room for requests that have not begun a quiet connection keeps.
const maxStarting = 16
