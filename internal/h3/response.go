package h3

import (
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/weftws/weft/internal/semantics"
	"github.com/weftws/weft/internal/transport"
)

// Send implements semantics.Stream. What is small leaves in one piece; large content is not copied but into packets.
func (ex *exchange) Send(m semantics.Message) error {
	ex.mu.Lock()
	ex.begun = true
	ex.mu.Unlock()
	out := transport.GetBuffer(minResponse)
	defer func() { transport.PutBuffer(out) }()
	if m.Status != 0 {
		out = appendHeaders(out, m.Status, m.Header)
	}
	size := m.Size()
	if size > 0 {
		out = appendData(out, size)
	}
	if size <= maxTogether {
		out = append(append(out, m.Body[0]...), m.Body[1]...)
		m.Body = [2][]byte{}
	}
	if !m.End {
		return ex.write(false, out, m.Body[0], m.Body[1])
	}
	if !m.Trailers.None() && m.Size() == 0 {
		out = appendTrailers(out, m.Trailers)
		m.Trailers = semantics.Trailers{}
	}
	err := quic.ErrWouldBlock
	if m.Size() == 0 {
		err = ex.q.TryWriteAll(out)
	}
	if err == quic.ErrWouldBlock {
		err = ex.write(true, out, m.Body[0], m.Body[1])
	}
	if err == nil && !m.Trailers.None() {
		out = appendTrailers(out[:0], m.Trailers)
		err = ex.write(true, out)
	}
	if err == nil {
		ex.q.Close()
	}
	return err
}

// write writes the parts, or with nothing in them asks whether anything could be written. final: the handler has returned, and its deadline does
// not count.
func (ex *exchange) write(final bool, parts ...[]byte) error {
	nothing := true
	for _, p := range parts {
		for len(p) > 0 {
			n := min(len(p), maxWrite)
			if err := ex.writePart(final, p[:n]); err != nil {
				return err
			}
			p, nothing = p[n:], false
		}
	}
	if nothing {
		return ex.writePart(final, nil)
	}
	return nil
}

// writePart writes p as long as the client takes at least minDrain bytes of it in WriteTimeout.
func (ex *exchange) writePart(final bool, p []byte) error {
	timeout := ex.sc.srv.writeTimeout()
	for {
		until := time.Now().Add(timeout)
		ex.mu.Lock()
		if d := ex.writeDeadline; !final && !d.IsZero() && d.Before(until) {
			until = d
		}
		ex.q.SetWriteDeadline(until)
		ex.mu.Unlock()
		n, err := ex.q.Write(p)
		if err == nil {
			return nil
		}
		if !isDeadline(err) {
			return streamError(err, int64(ex.q.StreamID()), ex.sc)
		}
		ex.mu.Lock()
		handlers := !final && !ex.writeDeadline.IsZero() && !time.Now().Before(ex.writeDeadline)
		ex.mu.Unlock()
		if handlers {
			return os.ErrDeadlineExceeded
		}
		if n < minDrain {
			ex.punish(breaks(streamStalled, "took less than %d bytes within %v", minDrain, timeout))
			return transport.ErrStalled
		}
		p = p[n:]
	}
}

// Interim implements semantics.Stream.
func (ex *exchange) Interim(status int, h http.Header) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.begun {
		return
	}
	out := appendHeaders(transport.GetBuffer(minResponse), status, h)
	ex.q.TryWriteAll(out) // which only copies. Where the client has no room for it, there is none
	transport.PutBuffer(out)
}

// Abort implements semantics.Stream.
func (ex *exchange) Abort() { ex.reset(http3.ErrCodeInternalError) }

// SetWriteDeadline implements semantics.Stream.
func (ex *exchange) SetWriteDeadline(t time.Time) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.w.Hijacked() {
		return
	}
	ex.writeDeadline = t
	if !t.IsZero() && t.Before(time.Now().Add(ex.sc.srv.writeTimeout())) {
		ex.q.SetWriteDeadline(t) // for a write that waits already
	}
}

// Logf implements semantics.Stream.
func (ex *exchange) Logf(format string, args ...any) { ex.sc.srv.logf("http3: "+format, args...) }

// An encoder encodes header sections.
type encoder struct {
	qpack  *qpack.Encoder
	out    []byte
	fields []qpack.HeaderField
	names  []string
}

// Write implements io.Writer for the qpack.Encoder.
func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.qpack = qpack.NewEncoder(e)
	return e
}}

// appendHeaders appends a HEADERS frame with what HTTP/3 carries of h.
func appendHeaders(dst []byte, status int, h http.Header) []byte {
	e := encoders.Get().(*encoder)
	e.fields = append(e.fields, qpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	e.fields = semantics.AppendResponse(e.fields, &e.names, status, h)
	return e.finish(dst)
}

func appendTrailers(dst []byte, t semantics.Trailers) []byte {
	e := encoders.Get().(*encoder)
	e.fields = semantics.AppendTrailers(e.fields, t)
	return e.finish(dst)
}

// finish appends the frame with the fields, and gives e back.
func (e *encoder) finish(dst []byte) []byte {
	for _, f := range e.fields {
		e.qpack.WriteField(f)
	}
	e.qpack.Close()
	dst = quicvarint.Append(dst, frameHeaders)
	dst = quicvarint.Append(dst, uint64(len(e.out)))
	dst = append(dst, e.out...)
	clear(e.fields)
	e.fields, e.out = e.fields[:0], e.out[:0]
	if cap(e.out) <= maxTogether {
		encoders.Put(e)
	}
	return dst
}

const (
	// minResponse has room for a header section as they mostly are.
	minResponse = 512
	// maxTogether is how much content is copied to leave with its frame's header.
	maxTogether = 8 << 10
	// maxWrite is how much is written at a time.
	maxWrite = 64 << 10
	// minDrain is how many bytes a client has to take in WriteTimeout, as over HTTP/2.
	minDrain = 1024
)
