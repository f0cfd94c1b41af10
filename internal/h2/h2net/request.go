package h2net

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/transport"
)

// An exchange is a request to the server while its handler runs.
type exchange struct {
	st       *stream
	req      *http.Request
	handler  http.Handler
	cancel   context.CancelFunc
	body     requestBody
	w        response
	front    transport.Acceptor
	ctx      transport.AcceptorContext // the request's, where the stream can be accepted
	connect  bool                      // Extended CONNECT: what arrives is the tunnel's
	accepted atomic.Bool               // the handler took the stream; set with the connection's lock held
	done     bool                      // the handler has returned; guarded by the connection's lock
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

// newRequest fills in what the handler sees, as net/http would.
func (sc *serverConn) newRequest(ex *exchange, ev *h2.Event) {
	n := len(ev.Fields)
	in := new(incoming)
	h, values := make(http.Header, n+4), in.values[:]
	if n+2 > len(values) {
		values = make([]string, n+2)
	}
	fillHeader(h, ev.Fields, values)
	p := &ev.Pseudo
	host := p.Authority
	if host == "" {
		host = h.Get("Host")
	}
	delete(h, "Host")
	req := http.Request{
		Method: p.Method, Proto: "HTTP/2.0", ProtoMajor: 2, Header: h, Host: host, RequestURI: p.Path,
		TLS: sc.tls, Body: http.NoBody,
	}
	if sc.remote != nil {
		if sc.remoteText == "" {
			sc.remoteText = sc.remote.String()
		}
		req.RemoteAddr = sc.remoteText
	}
	ex.handler = sc.opt.Handler
	ex.w.ex = ex

	switch {
	case p.Method == "CONNECT" && p.Protocol == "":
		// "The ":scheme" and ":path" pseudo-header fields MUST be omitted." RFC 9113, Section 8.5.
		req.URL = &url.URL{Host: host}
		req.RequestURI = host
	case p.Protocol != "" && p.Protocol != "websocket":
		// "If a server supports Extended CONNECT but does not support the protocol, it SHOULD respond with a 501 (Not Implemented)
		// status code." RFC 9220, Section 3, says so of HTTP/3; here as well.
		ex.connect = true
		ex.handler = sc.refuseProtocol(p.Protocol)
	case p.Protocol != "":
		ex.connect = true
		req.Method = http.MethodGet
		values[n], values[n+1] = "websocket", "Upgrade"
		h["Upgrade"], h["Connection"] = values[n:n+1:n+1], values[n+1:n+2:n+2]
	}
	if req.URL == nil {
		if !in.parsePath(p.Path) {
			ex.handler = refuse(http.StatusBadRequest, "malformed :path")
			in.url = url.URL{Path: p.Path}
		}
		req.URL = &in.url
	}
	if !ex.connect {
		ex.fillBody(&req, ev.End)
	}
	ctx, cancel := context.WithCancel(sc.opt.BaseContext)
	ex.cancel = cancel
	if p.Protocol == "websocket" {
		ex.ctx = transport.AcceptorContext{Context: ctx, Acceptor: ex}
		ctx = &ex.ctx
	}
	in.Request = *req.WithContext(ctx)
	ex.req = &in.Request
}

// An incoming is a request with what belongs to every one of them, in one piece: what is garbage soon must not lie between what is not.
type incoming struct {
	http.Request
	url    url.URL
	values [12]string // of the header's fields, if there are no more
}

// parsePath sets the url to path; false: it is malformed.
func (in *incoming) parsePath(path string) bool {
	p, query, asks := strings.Cut(path, "?")
	if strings.HasPrefix(p, "/") && isPlain(p) && isPlain(query) && asks == (query != "") {
		in.url = url.URL{Path: p, RawQuery: query}
		return true
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return false
	}
	in.url = *u
	return true
}

// isPlain reports whether s has only characters that mean the same in a path and a query, escaped or not.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/', c == '-', c == '.', c == '_', c == '~', c == '=', c == '&':
		default:
			return false
		}
	}
	return true
}

// fillBody sets what the request says of its content.
func (ex *exchange) fillBody(req *http.Request, end bool) {
	if end {
		return
	}
	req.ContentLength = -1
	if cl := req.Header["Content-Length"]; len(cl) > 0 {
		if n, err := strconv.ParseUint(cl[0], 10, 63); err == nil {
			req.ContentLength = int64(n)
		}
	}
	if httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue") {
		delete(req.Header, "Expect")
		ex.body.wantsContinue.Store(true)
	}
	for _, v := range req.Header["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if httpguts.ValidTrailerHeader(name) {
				if req.Trailer == nil {
					req.Trailer = make(http.Header)
				}
				req.Trailer[name] = nil
			}
		}
	}
	delete(req.Header, "Trailer")
	ex.body.ex = ex
	req.Body = &ex.body
}

func refuse(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, status) })
}

// refuseProtocol is the handler of an Extended CONNECT for something else than a WebSocket.
func (sc *serverConn) refuseProtocol(protocol string) http.Handler {
	answer := refuse(http.StatusNotImplemented, fmt.Sprintf("no protocol %q here", protocol))
	told := sc.srv.UnknownProtocol
	if told == nil {
		return answer
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer.ServeHTTP(w, r)
		told(r, protocol)
	})
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
	ex.w.finish()
	ok = true
}

func (ex *exchange) panicked(v any) {
	c := ex.st.c
	if v != nil && v != http.ErrAbortHandler {
		c.role.logf("http2: panic serving %v: %v\n%s", c.remote, v, debug.Stack())
	}
	c.f.Lock()
	if !ex.accepted.Load() {
		ex.st.abort(internalError)
	}
	c.f.Flush()
}

// end is called when the handler has returned and its answer is queued.
func (ex *exchange) end() {
	ex.w.release()
	ex.cancel()
	st := ex.st
	c := st.c
	c.f.Lock()
	ex.done = true
	st.exchange = nil
	if !ex.accepted.Load() {
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

// A requestBody is an http.Request's Body.
type requestBody struct {
	ex            *exchange
	reading       sync.Mutex
	wantsContinue atomic.Bool
	closed        atomic.Bool
	eof           bool // guarded by reading
}

// Read implements io.Reader. It gives credit for what was read.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.wantsContinue.CompareAndSwap(true, false) {
		b.ex.w.sendContinue()
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.ex.st.read(p)
	if err == io.EOF && !b.eof {
		b.eof = true
		b.copyTrailers()
	}
	return n, err
}

func (b *requestBody) copyTrailers() {
	req, trailers := b.ex.req, b.ex.st.trailers()
	for name, values := range trailers {
		// Only those that were announced, as in net/http.
		if _, ok := req.Trailer[name]; ok {
			req.Trailer[name] = values
		}
	}
}

// Close implements io.Closer.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// maxStarting is how much room for requests that have not begun a quiet connection keeps.
const maxStarting = 16
