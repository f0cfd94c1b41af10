package semantics

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// A Body is the Body of a request that may have content: the header section did not end the stream, and it is no Extended CONNECT.
type Body struct {
	w       *Response
	trailer http.Header // the request's; nil: none was announced
	reading sync.Mutex
	closed  atomic.Bool
	eof     bool // guarded by reading
}

// Init makes b the Body of r, and sets what r says of its content. w is the response to it, and was begun.
func (b *Body) Init(w *Response, r *Request) {
	r.ContentLength = -1
	if cl := r.Header["Content-Length"]; len(cl) > 0 {
		if n, err := strconv.ParseUint(cl[0], 10, 63); err == nil {
			r.ContentLength = int64(n)
		}
	}
	if httpguts.HeaderValuesContainsToken(r.Header["Expect"], "100-continue") {
		delete(r.Header, "Expect")
		w.awaited.Store(true)
	}
	for _, v := range r.Header["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if httpguts.ValidTrailerHeader(name) {
				if r.Trailer == nil {
					r.Trailer = make(http.Header)
				}
				r.Trailer[name] = nil
			}
		}
	}
	delete(r.Header, "Trailer")
	b.w, b.trailer = w, r.Trailer
	r.Body = b
}

// Read implements io.Reader. The first one tells a client that waits for it to go on.
func (b *Body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.w.awaited.CompareAndSwap(true, false) {
		b.w.stream.Interim(http.StatusContinue, nil)
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.w.stream.Read(p)
	if err == io.EOF && !b.eof {
		b.eof = true
		b.copyTrailers()
	}
	return n, err
}

func (b *Body) copyTrailers() {
	for name, values := range b.w.stream.Trailers() {
		// Only those that were announced, as in net/http.
		if _, ok := b.trailer[name]; ok {
			b.trailer[name] = values
		}
	}
}

// Close implements io.Closer.
func (b *Body) Close() error {
	b.closed.Store(true)
	return nil
}
