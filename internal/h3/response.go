package h3

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// An answer is quic-go's response writer, and notices where the stream has ended early: the client has stopped it, or has made quic-go reset it
// (MadeYouReset).
type answer struct {
	responseWriter
	status  int // 0: WriteHeader was not called
	written int
	reset   bool        // something could not be sent
	taken   atomic.Bool // somebody has the stream, and ends it
}

// responseWriter is what handlers, and other libraries, may look for in quic-go's.
type responseWriter interface {
	http.ResponseWriter
	http.Flusher
	http3.HTTPStreamer
	http3.Settingser
	FlushError() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func newAnswer(w http.ResponseWriter) *answer {
	return &answer{responseWriter: w.(responseWriter)}
}

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.responseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *answer) Write(p []byte) (int, error) {
	n, err := w.responseWriter.Write(p)
	w.written += n
	return n, w.note(err)
}

// FlushError is what http.ResponseController calls for Flush.
func (w *answer) FlushError() error { return w.note(w.responseWriter.FlushError()) }

// Flush implements http.Flusher.
func (w *answer) Flush() { w.FlushError() }

// HTTPStream implements http3.HTTPStreamer.
func (w *answer) HTTPStream() (*http3.Stream, error) {
	s, err := w.responseWriter.HTTPStream()
	if err == nil {
		w.taken.Store(true)
	}
	return s, w.note(err)
}

func (w *answer) note(err error) error {
	if _, ok := errors.AsType[*quic.StreamError](err); ok {
		w.reset = true
	}
	return err
}

// finish sends what is left of a response, whose handler has returned, as quic-go does next. It shows that the stream has ended where the context does not
// tell of it yet.
func (w *answer) finish() {
	if w.taken.Load() {
		return
	}
	if _, ok := w.Header()["Content-Length"]; !ok && w.status != http.StatusNoContent && w.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(w.written))
	}
	w.FlushError()
}

// endedEarly reports whether the stream of r, whose handler has returned, has ended before.
func (w *answer) endedEarly(r *http.Request) bool {
	return !w.taken.Load() && (w.reset || r.Context().Err() != nil)
}
