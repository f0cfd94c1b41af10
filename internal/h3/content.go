package h3

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/semantics"
)

// The content of a request, as its Body reads it. One goroutine at a time.
type content struct {
	ex     *exchange
	frames unframer
	left   int64 // of content-length; -1: there is none
	err    error // how it ended

	section  trailerSection
	trailers http.Header
	cut      atomic.Bool // the client has reset its side
}

// Read implements semantics.Stream.
func (ex *exchange) Read(p []byte) (int, error) { return ex.content.read(p) }

// Trailers implements semantics.Stream.
func (ex *exchange) Trailers() http.Header { return ex.content.trailers }

// SetReadDeadline implements semantics.Stream.
func (ex *exchange) SetReadDeadline(t time.Time) {
	if !ex.w.Hijacked() {
		ex.q.SetReadDeadline(t)
	}
}

func (c *content) read(p []byte) (int, error) {
	for c.err == nil {
		n, err := c.ex.q.Read(p)
		payload, broken := c.frames.strip(p[:n])
		if n := c.frames.takeEmpty(); n > 0 && broken == nil {
			broken = c.ex.sc.recvEmpty(n)
		}
		if err == io.EOF && broken == nil {
			broken = c.frames.broken()
		}
		if len(payload) > 0 {
			// strip leaves the payload wherever it was.
			n = copy(p, payload)
		} else {
			n = 0
		}
		c.end(n, err, broken)
		switch {
		case n > 0:
			return n, nil
		case c.err == nil && isDeadline(err):
			return 0, os.ErrDeadlineExceeded
		}
	}
	return 0, c.err
}

// end looks at how a read of n bytes of content has ended.
func (c *content) end(n int, err, broken error) {
	if c.left >= 0 {
		c.left -= int64(n)
		if c.left < 0 {
			// "A request or response that is defined as having content when it contains a Content-Length header field [...] is malformed if
			// the value of the Content-Length header field does not equal the sum of the DATA frame lengths received." RFC 9114, Section 4.1.2.
			c.malformed(breaks(contentLengthMismatch, "sent more content than its content-length"))
			return
		}
	}
	if v, ok := broken.(*violation); ok {
		c.ex.sc.violated(nil, v)
		c.err = &ConnError{Application: true, Code: uint64(v.code), Local: true, Heard: true, Detail: v.detail}
		return
	}
	switch {
	case c.section.large:
		c.malformed(breaksFields(fields.TooManyBytes(c.ex.sc.srv.maxHeaderBytes())))
	case err == nil || isDeadline(err):
	case err == io.EOF && c.left > 0:
		c.malformed(breaks(contentLengthMismatch, "ended the content %d bytes before its content-length", c.left))
	case err == io.EOF:
		c.recvTrailers()
	default:
		if e, ok := errors.AsType[*quic.StreamError](err); ok && e.Remote {
			c.cut.Store(true)
		}
		c.err = streamError(err, int64(c.ex.q.StreamID()), c.ex.sc)
	}
}

func (c *content) malformed(b *breach) {
	c.ex.punish(b)
	c.err = &StreamError{StreamID: int64(c.ex.q.StreamID()), Code: uint64(b.rule.code), Local: true, Detail: b.detail}
}

// recvTrailers ends the content with its trailer section.
func (c *content) recvTrailers() {
	c.err = io.EOF
	if !c.frames.trailers {
		return
	}
	trailers, err := parseSection(c.section.p, fields.Trailers, c.ex.sc.srv.sectionLimits())
	c.section.p = nil
	switch e := err.(type) {
	case nil:
		c.trailers = semantics.HeaderOf(trailers.lines)
	case *fields.Breach:
		c.malformed(breaksFields(e))
	case *violation:
		c.ex.sc.violated(nil, e)
		c.err = &ConnError{Application: true, Code: uint64(e.code), Local: true, Heard: true, Detail: e.detail}
	}
}
