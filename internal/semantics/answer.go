package semantics

import (
	"context"
	"io"
	"net/http"
	"strconv"
)

// An Answer is what comes of an Extended CONNECT: the part of a transport.Call that is the same in all versions.
type Answer struct {
	there chan struct{} // closed when the rest is set
	resp  *http.Response
	end   bool
	err   error
}

// NewAnswer returns one that is not there yet.
func NewAnswer() Answer { return Answer{there: make(chan struct{})} }

// Set makes the answer known: resp, with which the server's side of the stream ends where end says so, or err. It is called once.
func (a *Answer) Set(resp *http.Response, end bool, err error) {
	a.resp, a.end, a.err = resp, end, err
	close(a.there)
}

// Response waits for the final (not 1xx) response. With a 2xx the stream is a tunnel. Otherwise the response's Body reads what the server
// sends. Errors: what Set was given, or ctx's, in which case the Answer may be waited for again.
func (a *Answer) Response(ctx context.Context) (*http.Response, error) {
	if !a.isThere() {
		select {
		case <-a.there:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return a.resp, a.err
}

// Ended reports whether the response has come and ended the server's side of the stream.
func (a *Answer) Ended() bool { return a.isThere() && a.end }

// Opened reports whether the response has come and is a 2xx.
func (a *Answer) Opened() bool { return a.isThere() && a.resp != nil && a.resp.StatusCode/100 == 2 }

func (a *Answer) isThere() bool {
	select {
	case <-a.there:
		return true
	default:
		return false
	}
}

// NewResponse returns a final response as net/http shows it, without content; Proto, ProtoMajor and TLS are the caller's to set.
func NewResponse(status int, h http.Header) *http.Response {
	resp := &http.Response{StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status), Header: h, Body: http.NoBody}
	if status/100 != 2 { // a tunnel has none: RFC 9110, Section 9.3.6
		resp.ContentLength = max(0, lengthOf(h))
	}
	return resp
}

// SetContent gives resp, which opened no tunnel, what the server sends.
func SetContent(resp *http.Response, content io.ReadCloser) {
	resp.ContentLength, resp.Body = lengthOf(resp.Header), content
}

// lengthOf returns -1 where h does not say.
func lengthOf(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
