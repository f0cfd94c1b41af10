package h2net

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// A Call is an Extended CONNECT that waits for its answer. Its methods are safe for concurrent use. Errors of Response: *StreamError,
// *ConnError, ctx's.
type Call struct {
	semantics.Answer
	st       *stream
	accepted chan struct{} // closed when WS_ACCEPT came; nil without OpenFrame
}

// Accepted is closed when the server has said that it knows WS_OPEN, and has opened the stream: the response follows. It is
// never closed where Response gives a *StreamError that says Unsupported, and nil for a Call of OpenConnect.
func (c *Call) Accepted() <-chan struct{} { return c.accepted }

// Stream returns the tunnel after a 2xx, else nil.
func (c *Call) Stream() transport.Stream {
	if !c.Opened() {
		return nil
	}
	return c.st
}

// Cancel resets the stream (CANCEL) if it is not over; one of OpenFrame once the server has accepted it.
func (c *Call) Cancel() {
	f := &c.st.c.f
	f.Lock()
	if c.st.request != nil {
		c.fail(&StreamError{
			StreamID: c.st.s.ID, Code: cancelled, Initiator: h2.Local,
			Detail: "we cancelled the request (stream " + strconv.Itoa(int(c.st.s.ID)) + ")",
		})
	}
	c.st.abort(cancelled)
	f.Flush()
	c.st.c.role.hooksSoon()
}

// fail ends a call that has no answer. Called with the lock held.
func (c *Call) fail(err error) {
	c.st.request = nil
	c.Set(nil, false, err)
}

// recvHeaders takes a response.
func (cc *ClientConn) recvHeaders(ev *h2.Event) {
	st := streamOf(ev.Stream)
	// "A client MUST be able to parse one or more 1xx responses received prior to a final response ... A user agent MAY
	// ignore unexpected 1xx responses." RFC 9110, Section 15.2.
	if st == nil || st.request == nil || ev.Pseudo.Status < 200 {
		return
	}
	call := st.request
	st.request = nil
	resp := semantics.NewResponse(ev.Pseudo.Status, semantics.HeaderOf(ev.Fields))
	resp.Proto, resp.ProtoMajor, resp.TLS = "HTTP/2.0", 2, cc.tls
	switch {
	case resp.StatusCode/100 == 2:
	case ev.End:
		st.eof = true
		st.hangUp()
	default:
		semantics.SetContent(resp, &responseBody{st: st, resp: resp})
	}
	call.Set(resp, ev.End, nil)
}

// A responseBody reads the content of a response that opened no tunnel.
type responseBody struct {
	reading sync.Mutex
	st      *stream
	resp    *http.Response
}

// Read implements io.Reader. It gives credit for what was read.
func (b *responseBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.st.read(p)
	if err == io.EOF {
		b.resp.Trailer = b.st.trailers()
		b.Close()
	}
	return n, err
}

// Close cancels the stream if it is not over.
func (b *responseBody) Close() error {
	c := b.st.c
	c.f.Lock()
	b.st.hangUp()
	c.f.Flush()
	c.role.hooksSoon()
	return nil
}

// hangUp ends a stream that became no tunnel: politely where the server has said all (a reset would count against us).
// Called with the lock held.
func (st *stream) hangUp() {
	st.discard()
	if !st.released && st.c.err == nil && st.eof && !st.s.SendClosed() {
		st.c.eng.SendData(&st.s, nil, nil, true)
	}
	st.reset(cancelled)
}
