package h3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// A Call is an Extended CONNECT that waits for its answer, and a [transport.Call]. Its methods are safe for concurrent use. Errors of
// Response: *StreamError, *ConnError, ctx's. Ended tells of an end that came in one piece with the response.
type Call struct {
	semantics.Answer
	cc    *ClientConn
	st    *stream
	early bool

	settled atomic.Bool // the answer is set, or is about to be
}

var _ transport.Call = (*Call)(nil)

// Early reports whether the request left in early data, at least in part: the server may answer 425, and the request may be
// repeated when the handshake is complete.
func (c *Call) Early() bool { return c.early }

// Stream implements [transport.Call].
func (c *Call) Stream() transport.Stream {
	if !c.Opened() {
		return nil
	}
	return c.st
}

// Cancel implements [transport.Call]: H3_REQUEST_CANCELLED, both ways.
func (c *Call) Cancel() {
	c.fail(&StreamError{
		StreamID: c.id(), Code: uint64(http3.ErrCodeRequestCanceled), Local: true,
		Detail: fmt.Sprintf("we cancelled the request (stream %d)", c.id()),
	})
	c.st.hangUp()
}

func (c *Call) id() int64 { return int64(c.st.info.StreamID) }

// settle answers the call once. first, if not nil, is done before anybody hears of it.
func (c *Call) settle(resp *http.Response, end bool, err error, first func()) {
	if c.settled.Swap(true) {
		return
	}
	if first != nil {
		first()
	}
	c.Set(resp, end, err)
}

// fail ends a call that has no answer, and its stream.
func (c *Call) fail(err error) { c.settle(nil, false, err, c.st.hangUp) }

// refuse ends a call that a GOAWAY for stream id does not cover, if it has no answer.
//
// "Upon receipt of a GOAWAY frame, if the client has already sent requests with a stream ID greater than or equal to the identifier
// contained in the GOAWAY frame, those requests will not be processed. Clients can safely retry unprocessed requests on a
// different HTTP connection." RFC 9114, Section 5.2.
func (c *Call) refuse(id quic.StreamID) {
	c.fail(&StreamError{
		StreamID: c.id(), Code: uint64(http3.ErrCodeRequestRejected), Unprocessed: true,
		Detail: fmt.Sprintf("peer sent GOAWAY for stream %d: it will not process stream %d", id, c.id()),
	})
}

// run sends the request and takes the response.
func (c *Call) run(frame []byte) {
	_, err := c.st.q.Write(frame)
	if err == nil {
		err = c.recvResponse()
	}
	if err == nil || errors.Is(err, quic.Err0RTTRejected) {
		return // goOn fails the call when the connection can be used again
	}
	var broken malformed
	switch v, violated := err.(*violation); {
	case violated:
		c.cc.violated(c.st, v) // which fails the call
	case errors.As(err, &broken):
		// "A stream error of type H3_MESSAGE_ERROR." RFC 9114, Section 4.1.2.
		c.settle(nil, false, &StreamError{
			StreamID: c.id(), Code: uint64(http3.ErrCodeMessageError), Local: true,
			Detail: fmt.Sprintf("%s (H3_MESSAGE_ERROR, stream %d)", broken, c.id()),
		}, func() { c.st.reset(http3.ErrCodeMessageError) })
	default:
		c.fail(streamError(err, c.id(), c))
	}
}

// recvResponse takes the final response.
func (c *Call) recvResponse() error {
	status, h, end, err := readResponse(c.st.q)
	if err == nil {
		c.take(status, h, end)
	}
	return err
}

// readResponse reads header sections until the final one, and not a byte more. end says that the stream ends with it.
func readResponse(q io.Reader) (status int, h http.Header, end bool, err error) {
	for interim := 0; ; interim++ {
		section, end, err := readSection(q, maxResponseSection)
		switch {
		case err == errNoSection:
			return 0, nil, false, malformed("server ended the stream without a response")
		case err == errSectionTooLarge:
			return 0, nil, false, malformed("server " + fields.TooManyBytes(maxResponseSection).Detail)
		case err != nil:
			return 0, nil, false, err
		}
		status, h, err := parseResponse(section)
		transport.PutBuffer(section)
		if err != nil {
			return 0, nil, false, err
		}
		// "A client MUST be able to parse one or more 1xx responses received prior to a final response ... A user agent MAY
		// ignore unexpected 1xx responses." RFC 9110, Section 15.2.
		if status >= 200 {
			return status, h, end, nil
		}
		if end || interim == maxInterim {
			return 0, nil, false, malformed("server sent interim responses and no final one")
		}
	}
}

// take makes the final response known.
func (c *Call) take(status int, h http.Header, end bool) {
	resp := semantics.NewResponse(status, h)
	resp.Proto, resp.ProtoMajor, resp.TLS = "HTTP/3.0", 3, c.cc.tlsState()
	if end {
		c.st.received = io.EOF
	}
	if status/100 != 2 {
		c.st.frames.tunnel = false
		if !end {
			semantics.SetContent(resp, &responseBody{st: c.st})
		}
	}
	var first func()
	if end && status/100 != 2 {
		first = func() { c.st.Close(politely) }
	}
	c.settle(resp, end, nil, first)
}

func (cc *ClientConn) tlsState() *tls.ConnectionState {
	cs := cc.q.ConnectionState().TLS
	return &cs
}

// A responseBody reads the content of a response that opened no tunnel. Close may be called while Read is.
type responseBody struct {
	st   *stream
	left []byte // received and not yet read
	err  error
	over atomic.Bool // the server has said all
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.left) == 0 && b.err == nil {
		b.left, b.err = b.st.Receive()
		if b.err == io.EOF {
			b.over.Store(true)
			b.st.Close(politely)
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	if n == 0 {
		return 0, b.err
	}
	return n, nil
}

// Close cancels the stream if it is not over.
func (b *responseBody) Close() error {
	if !b.over.Load() {
		b.st.hangUp()
	}
	return nil
}

// lost, violated, recvEmpty and released make a Call what its stream needs to know of the connection.
func (c *Call) lost(err error) *ConnError         { return c.cc.lost(err) }
func (c *Call) violated(st *stream, v *violation) { c.cc.violated(st, v) }
func (c *Call) recvEmpty(int) error               { return nil } // a server is not limited

func (c *Call) released(st *stream) {
	// The connection may have ended before the answer came.
	st.out.Lock()
	err := st.failed
	st.out.Unlock()
	if err != nil {
		c.settle(nil, false, err, nil)
	}
	c.cc.release(c)
}

const (
	// maxInterim is how many 1xx responses may come before the final one.
	maxInterim = 10
	// politely is for our FIN where the server has said all.
	politely = time.Second
)
