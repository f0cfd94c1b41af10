package semantics

import (
	"net/http"
	"time"
)

// A Stream carries one request and its response. Handlers may call Read, Interim and the deadlines beside Send, but not two Sends.
type Stream interface {
	// Send sends m, as far as possible in one packet, and keeps nothing of it. It blocks while the client or the network takes no more, but
	// not with End: what is left when the handler has returned is small. An empty m only asks whether anything could be sent. After an
	// error the response is cut.
	//
	// Where the write deadline has passed the error is os.ErrDeadlineExceeded, except with End: what was written in time is sent.
	Send(m Message) error
	// Interim sends a 1xx response; nothing if a final one has begun, or the stream was taken over or is gone. It does not block. h may be
	// nil, and has fields that such a response must not have: see AppendResponse.
	Interim(status int, h http.Header)
	// Abort resets the stream, if it is not over, because the response is not complete: INTERNAL_ERROR, H3_INTERNAL_ERROR.
	Abort()
	// Read reads the request's content, and io.EOF at its end.
	Read(p []byte) (int, error)
	// Trailers are those of the request, when Read has returned io.EOF.
	Trailers() http.Header
	SetReadDeadline(t time.Time)
	SetWriteDeadline(t time.Time)
	// Logf logs what a handler does wrong; it says which version of HTTP that is.
	Logf(format string, args ...any)
}

// A Message is a part of a response, or all of it: each of its parts follows the one before.
type Message struct {
	Status   int         // of the header section; 0: that has been sent before
	Header   http.Header // the header section's fields, for AppendResponse
	Body     [2][]byte   // content, one behind the other
	Trailers Trailers    // for AppendTrailers
	End      bool        // nothing follows
}

// Size is how much content there is.
func (m *Message) Size() int { return len(m.Body[0]) + len(m.Body[1]) }

// EndsAt reports whether the stream ends with the header section, or with the content (which may be empty); if with neither, then with
// the trailers, or not yet.
func (m *Message) EndsAt() (header, content bool) {
	if !m.End || !m.Trailers.None() {
		return false, false
	}
	header = m.Status != 0 && m.Size() == 0
	return header, !header
}

// Trailers are the trailer fields of a response. The zero value has none.
type Trailers struct {
	declared []string    // names
	header   http.Header // has their values, and what is named with http.TrailerPrefix
}

// None reports whether there are no fields.
func (t *Trailers) None() bool { return t.header == nil }
