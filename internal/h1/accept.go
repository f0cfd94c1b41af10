package h1

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Accept answers r with 101 and the header fields in response, takes the connection from w's server, and returns the stream on it.
// It belongs to the caller from then on and outlives the handler. Bytes that the client sent early are the first that the stream
// receives. While it returns an error that wraps http.ErrNotSupported, w can still be used for another answer.
func Accept(w http.ResponseWriter, r *http.Request, response http.Header) (transport.Stream, error) {
	if err := checkHeader(response); err != nil {
		return nil, err
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("response writer %T (%s) does not give its connection away: %w", w, r.Proto, err)
	}
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		p, _ := rw.Reader.Peek(n)
		early = bytes.Clone(p)
	}
	// The server's own timeouts end here.
	nc.SetDeadline(time.Time{})

	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	appendHeader(&b, response, nil)
	nc.SetWriteDeadline(time.Now().Add(defaultWriteTimeout))
	if _, err := nc.Write(b.Bytes()); err != nil {
		nc.Close()
		return nil, fmt.Errorf("could not write the 101 response: %w", err)
	}
	return NewStream(nc, early, Options{Secure: r.TLS != nil}), nil
}
