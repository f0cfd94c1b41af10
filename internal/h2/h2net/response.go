package h2net

import (
	"net/http"
	"os"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/semantics"
)

// Send implements semantics.Stream.
func (ex *exchange) Send(m semantics.Message) error {
	st := ex.st
	c := st.c
	c.f.Lock()
	defer c.f.Flush()
	if err := ex.sendErr(m.End); err != nil {
		return err
	}
	atHeader, atContent := m.EndsAt()
	if m.Status != 0 {
		ex.answered = true
		c.sendHeaders(st, m.Status, m.Header, atHeader)
	}
	switch {
	case !m.End && m.Size() > 0:
		if _, err := st.send(m.Body[0], m.Body[1]); err != nil {
			return err
		}
	case atContent || m.Size() > 0:
		c.eng.SendData(&st.s, m.Body[0], m.Body[1], atContent)
	}
	if !m.Trailers.None() {
		c.sendFields(st, h2.Pseudo{}, semantics.AppendTrailers(c.fields[:0], m.Trailers), true)
	}
	return nil
}

// sendErr is the stream's, but for a deadline that has passed where late is allowed. Called with the lock held.
func (ex *exchange) sendErr(late bool) error {
	err := ex.st.sendErr()
	if late && err == os.ErrDeadlineExceeded {
		return nil
	}
	return err
}

// Interim implements semantics.Stream.
func (ex *exchange) Interim(status int, h http.Header) {
	c := ex.st.c
	c.f.Lock()
	if !ex.answered && ex.sendErr(false) == nil {
		c.sendHeaders(ex.st, status, h, false)
	}
	c.f.Flush()
}

// Abort implements semantics.Stream.
func (ex *exchange) Abort() {
	c := ex.st.c
	c.f.Lock()
	if ex.sendErr(true) == nil {
		ex.st.abort(internalError)
	}
	c.f.Flush()
}

// Read implements semantics.Stream. It gives credit for what was read.
func (ex *exchange) Read(p []byte) (int, error) { return ex.st.read(p) }

// Trailers implements semantics.Stream.
func (ex *exchange) Trailers() http.Header {
	ex.st.c.f.Lock()
	defer ex.st.c.f.Unlock()
	return ex.st.trailers()
}

// SetReadDeadline implements semantics.Stream.
func (ex *exchange) SetReadDeadline(t time.Time) { ex.st.SetReadDeadline(t) }

// SetWriteDeadline implements semantics.Stream.
func (ex *exchange) SetWriteDeadline(t time.Time) { ex.st.SetWriteDeadline(t) }

// Logf implements semantics.Stream.
func (ex *exchange) Logf(format string, args ...any) { ex.st.c.role.logf("http2: "+format, args...) }
