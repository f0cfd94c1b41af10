package h2net

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/transport"
)

// A response is an http.ResponseWriter, an http.Flusher and an io.StringWriter, with what http.ResponseController asks for.
type response struct {
	ex      *exchange
	header  http.Header
	sending http.Header // header as it was at WriteHeader
	buf     []byte      // written and not sent
	status  int         // 0: WriteHeader was not called
	length  int64       // Content-Length that the handler set; -1: none
	written int64
	err     error // of a Write: the response is cut

	sent     bool // the header section was queued
	replaced bool // by a 501: what the handler writes is not sent
	finished bool // the handler has returned
	trailers []string
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || w.finished || w.ex.accepted.Load() {
		w.ex.st.c.role.logf("http2: superfluous response.WriteHeader call")
		return
	}
	if status < 100 || status > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.sendInterim(status)
		return
	}
	// "HTTP/2 removes support for the 101 (Switching Protocols) informational status code." RFC 9113, Section 8.6. And a
	// 2xx would open a tunnel that nobody holds.
	if status == http.StatusSwitchingProtocols || w.ex.connect && status < 300 {
		w.status, w.replaced, w.length = http.StatusNotImplemented, true, -1
		w.sending = make(http.Header)
		return
	}
	w.status = status
	w.sending = w.Header().Clone()
	w.length = -1
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

func (w *response) declareTrailer(name string) {
	if httpguts.ValidTrailerHeader(name) {
		w.trailers = append(w.trailers, name)
	}
}

// Write implements http.ResponseWriter. It blocks while the client or the network takes no more.
func (w *response) Write(p []byte) (int, error) { return write(w, p) }

// WriteString implements io.StringWriter.
func (w *response) WriteString(p string) (int, error) { return write(w, p) }

func write[T string | []byte](w *response, p T) (int, error) {
	if w.finished {
		return 0, http.ErrHandlerTimeout
	}
	if w.ex.accepted.Load() {
		return 0, http.ErrHijacked
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.replaced {
		return len(p), nil
	}
	w.written += int64(len(p))
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
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
func (w *response) Flush() { w.FlushError() }

// FlushError is what http.ResponseController calls for Flush.
func (w *response) FlushError() error {
	if w.finished {
		return http.ErrHandlerTimeout
	}
	if w.ex.accepted.Load() {
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush(nil)
}

// flush sends the header section, what is buffered, and body.
func (w *response) flush(body []byte) error {
	st := w.ex.st
	f := &st.c.f
	f.Lock()
	err := st.sendErr()
	if err == nil && !w.sent {
		w.sendHeaders(body, false)
	}
	if n := len(w.buf) + len(body); err == nil && n > 0 && !w.head() {
		_, err = st.send(w.buf, body)
	}
	f.Flush()
	w.buf = w.buf[:0]
	w.err = err
	return err
}

func (w *response) head() bool { return w.ex.req.Method == http.MethodHead }

// sendHeaders queues the header section. body is what follows the buffer. Called with the lock held.
func (w *response) sendHeaders(body []byte, end bool) {
	w.sent = true
	h := w.sending
	sample := w.buf
	if len(sample) == 0 {
		sample = body
	}
	if _, ok := h["Content-Type"]; !ok && len(sample) > 0 && bodyAllowed(w.status) && h.Get("Content-Encoding") == "" {
		h["Content-Type"] = []string{http.DetectContentType(sample)}
	}
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	w.ex.st.c.sendHeaders(w.ex.st, w.status, h, isTrailerPrefixed, end)
}

// finish sends what is left when the handler has returned.
func (w *response) finish() {
	st := w.ex.st
	f := &st.c.f
	if w.ex.accepted.Load() {
		w.finished = true
		return
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.finished = true
	f.Lock()
	defer f.Flush()
	if err := st.sendErr(); err != nil && err != os.ErrDeadlineExceeded {
		return
	}
	if w.err != nil || w.length > w.written && !w.head() && bodyAllowed(w.status) {
		st.abort(internalError) // END_STREAM would say that this was all
		return
	}
	trailers := w.trailerFields()
	body := w.buf
	if w.head() || !bodyAllowed(w.status) {
		body = nil
	}
	if !w.sent {
		if w.length < 0 && len(trailers) == 0 && bodyAllowed(w.status) && (len(w.buf) > 0 || !w.head()) {
			w.sending["Content-Length"] = []string{strconv.Itoa(len(w.buf))}
		}
		end := len(body) == 0 && len(trailers) == 0
		w.sendHeaders(nil, end)
		if end {
			return
		}
	}
	if len(body) > 0 || len(trailers) == 0 {
		st.c.eng.SendData(&st.s, body, nil, len(trailers) == 0)
	}
	if len(trailers) > 0 {
		st.c.eng.SendHeaders(&st.s, h2.Pseudo{}, trailers, true)
	}
}

// trailerFields are the trailers that the handler declared before, or named with http.TrailerPrefix.
func (w *response) trailerFields() []h2.Field {
	var fields []h2.Field
	for _, name := range w.trailers {
		fields = appendField(fields, name, w.header[name])
	}
	for name, values := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			fields = appendField(fields, rest, values)
		}
	}
	return fields
}

// isFinal names what an interim response does not have.
func isFinal(name string) bool { return name == "Content-Length" || isTrailerPrefixed(name) }

func isTrailerPrefixed(name string) bool { return strings.HasPrefix(name, http.TrailerPrefix) }

func (w *response) release() {
	w.finished = true
	transport.PutBuffer(w.buf)
	w.buf = nil
}

// sendInterim sends a 1xx response.
func (w *response) sendInterim(status int) {
	st := w.ex.st
	st.c.f.Lock()
	if st.sendErr() == nil && !w.ex.accepted.Load() {
		h := w.header
		if status == http.StatusContinue {
			w.ex.body.wantsContinue.Store(false)
			h = nil
		}
		st.c.sendHeaders(st, status, h, isFinal, false)
	}
	st.c.f.Flush()
}

// sendContinue: the handler wants the body that the client holds back.
func (w *response) sendContinue() {
	st := w.ex.st
	st.c.f.Lock()
	if !w.sent && st.sendErr() == nil {
		st.c.sendHeaders(st, http.StatusContinue, nil, nil, false)
	}
	st.c.f.Flush()
}

// SetReadDeadline, SetWriteDeadline and EnableFullDuplex are http.ResponseController's.
func (w *response) SetReadDeadline(t time.Time) error {
	w.ex.st.SetReadDeadline(t)
	return nil
}

func (w *response) SetWriteDeadline(t time.Time) error {
	w.ex.st.SetWriteDeadline(t)
	return nil
}

func (w *response) EnableFullDuplex() error { return nil }

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// responseBuffer holds small bodies together with their header section, and gives them a Content-Length.
const responseBuffer = 4 << 10

var (
	_ http.Flusher    = (*response)(nil)
	_ io.StringWriter = (*response)(nil)
)
