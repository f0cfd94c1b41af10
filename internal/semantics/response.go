package semantics

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/transport"
)

// A Response is an http.ResponseWriter, an http.Flusher and an io.StringWriter, with what http.ResponseController asks for.
//
//	Init ──▶ the handler writes ──▶ Finish ──▶ Release
//	                    └──────── Hijack ──────▶ Release
//	                    └──── it panics ───────▶ Release
type Response struct {
	stream  Stream
	header  http.Header
	sending http.Header // header as it was at WriteHeader
	buf     []byte      // written and not sent
	length  int64       // Content-Length that the handler set; -1: none
	written int64
	err     error    // of a Write: the response is cut
	trailer []string // names that were declared

	hijacked atomic.Bool
	awaited  atomic.Bool // the client holds its content back until it gets a 100
	status   uint16      // 0: WriteHeader was not called
	head     bool        // the request is a HEAD
	connect  bool        // the request is a CONNECT
	extended bool        // and an Extended one
	sent     bool        // the header section was
	replaced bool        // by a 501: what the handler writes is not sent
	finished bool        // the handler has returned
}

// Init begins the response on s to a request with p. w was never used.
func (w *Response) Init(s Stream, p fields.Pseudo) {
	w.stream, w.head, w.extended = s, p.Method == http.MethodHead, p.Protocol != ""
	w.connect = p.Method == http.MethodConnect
}

// Answered reports whether the handler has called WriteHeader or Hijack was called.
func (w *Response) Answered() bool { return w.hijacked.Load() || w.status != 0 }

// Hijacked reports whether Hijack was called.
func (w *Response) Hijacked() bool { return w.hijacked.Load() }

// Hijack: the caller answers and has the stream; the handler's writes fail with http.ErrHijacked. The caller makes sure that nothing was
// Answered. A handler may go on for as long as a WebSocket: what it does not need any more is given up.
func (w *Response) Hijack() {
	w.hijacked.Store(true)
	w.header = nil
}

// Header implements http.ResponseWriter.
func (w *Response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *Response) WriteHeader(status int) {
	if w.status != 0 || w.finished || w.hijacked.Load() {
		w.stream.Logf("superfluous response.WriteHeader call")
		return
	}
	if status < 100 || status > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		h := w.header
		if status == http.StatusContinue {
			w.awaited.Store(false)
			h = nil
		}
		w.stream.Interim(status, h)
		return
	}
	// "HTTP/2 removes support for the 101 (Switching Protocols) informational status code." RFC 9113, Section 8.6; RFC 9114, Section 4.5.
	// And a 2xx would open a tunnel that nobody holds.
	if status == http.StatusSwitchingProtocols || w.extended && status < 300 {
		w.status, w.replaced, w.length = http.StatusNotImplemented, true, -1
		w.sending = make(http.Header)
		return
	}
	w.status = uint16(status)
	w.sending = w.Header().Clone()
	w.length = -1
	if w.tunnel() {
		delete(w.sending, "Content-Length")
	}
	if cl := w.sending["Content-Length"]; len(cl) > 0 {
		if n, err := strconv.ParseUint(cl[0], 10, 63); err == nil {
			w.length = int64(n)
		} else {
			delete(w.sending, "Content-Length")
		}
	}
	for _, v := range w.sending["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			w.declareTrailer(http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

func (w *Response) declareTrailer(name string) {
	if httpguts.ValidTrailerHeader(name) {
		w.trailer = append(w.trailer, name)
	}
}

// Write implements http.ResponseWriter. It blocks while the client or the network takes no more.
func (w *Response) Write(p []byte) (int, error) { return write(w, p) }

// WriteString implements io.StringWriter.
func (w *Response) WriteString(p string) (int, error) { return write(w, p) }

func write[T string | []byte](w *Response, p T) (int, error) {
	if w.finished {
		return 0, http.ErrHandlerTimeout
	}
	if w.hijacked.Load() {
		return 0, http.ErrHijacked
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	if w.replaced {
		return len(p), nil
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if len(w.buf)+len(p) <= responseBuffer {
		if w.buf == nil {
			w.buf = transport.GetBuffer(responseBuffer)
		}
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	if err := w.flush([]byte(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (w *Response) Flush() { w.FlushError() }

// FlushError is what http.ResponseController calls for Flush.
func (w *Response) FlushError() error {
	if w.finished {
		return http.ErrHandlerTimeout
	}
	if w.hijacked.Load() {
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush(nil)
}

// flush sends the header section, what is buffered, and body.
func (w *Response) flush(body []byte) error {
	if w.err != nil {
		return w.err
	}
	m := w.message(body)
	w.err = w.stream.Send(m)
	w.buf = w.buf[:0]
	return w.err
}

// message is what was not sent yet, and body. It counts as sent.
func (w *Response) message(body []byte) (m Message) {
	if !w.head && w.bodyAllowed() {
		m.Body = [2][]byte{w.buf, body}
	}
	if w.sent {
		return m
	}
	w.sent = true
	h := w.sending
	sample := w.buf
	if len(sample) == 0 {
		sample = body
	}
	if _, ok := h["Content-Type"]; !ok && len(sample) > 0 && w.bodyAllowed() && h.Get("Content-Encoding") == "" {
		h["Content-Type"] = []string{http.DetectContentType(sample)}
	}
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	m.Status, m.Header = int(w.status), h
	return m
}

// Finish sends what is left when the handler has returned. It does not block.
func (w *Response) Finish() {
	if w.hijacked.Load() {
		w.finished = true
		return
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.finished = true
	if w.err != nil || w.length > w.written && !w.head && w.bodyAllowed() {
		w.stream.Abort() // an end would say that this was all
		return
	}
	trailers := w.trailers()
	if !w.sent && w.length < 0 && trailers.None() && w.bodyAllowed() && !w.tunnel() && (len(w.buf) > 0 || !w.head) {
		w.sending["Content-Length"] = []string{strconv.Itoa(len(w.buf))}
	}
	m := w.message(nil)
	m.Trailers, m.End = trailers, true
	w.stream.Send(m)
}

// trailers are those that the handler declared before, or named with http.TrailerPrefix.
func (w *Response) trailers() Trailers {
	for _, name := range w.trailer {
		if hasLine(name, w.header[name]) {
			return Trailers{w.trailer, w.header}
		}
	}
	for name, values := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && hasLine(rest, values) {
			return Trailers{w.trailer, w.header}
		}
	}
	return Trailers{}
}

// Release gives back what w holds. Nothing is sent any more.
func (w *Response) Release() {
	w.finished = true
	transport.PutBuffer(w.buf)
	w.buf = nil
}

// SetReadDeadline, SetWriteDeadline and EnableFullDuplex are http.ResponseController's.
func (w *Response) SetReadDeadline(t time.Time) error {
	w.stream.SetReadDeadline(t)
	return nil
}

func (w *Response) SetWriteDeadline(t time.Time) error {
	w.stream.SetWriteDeadline(t)
	return nil
}

func (w *Response) EnableFullDuplex() error { return nil }

func (w *Response) bodyAllowed() bool {
	return w.status >= 200 && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// tunnel: "A server MUST NOT send any Transfer-Encoding or Content-Length header fields in a 2xx (Successful) response to CONNECT." RFC 9110,
// Section 9.3.6.
func (w *Response) tunnel() bool { return w.connect && w.status < 300 }

// responseBuffer holds small bodies together with their header section, and gives them a Content-Length.
const responseBuffer = 4 << 10

var (
	_ http.Flusher    = (*Response)(nil)
	_ io.StringWriter = (*Response)(nil)
)
