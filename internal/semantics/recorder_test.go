package semantics

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

type field struct{ Name, Value string }

// A recorder is a Stream that writes down what it is told, a line for each call.
type recorder struct {
	lines    []string
	answer   view
	names    []string
	err      error // of the next Sends
	content  io.Reader
	trailers http.Header
}

// A view is what a client sees of a response.
type view struct {
	Interim string // 1xx
	Status  int
	Header  string
	Body    string
	Trailer string
	Cut     bool
	Handler string // what the handler found out
}

func (r *recorder) Send(m Message) error {
	if r.err != nil {
		r.line("send: %v", r.err)
		return r.err
	}
	var parts []string
	if m.Status != 0 {
		r.answer.Status = m.Status
		fields := AppendResponse[field](nil, &r.names, m.Status, m.Header)
		r.answer.Header = text(fields)
		parts = append(parts, strings.TrimSpace(fmt.Sprint(m.Status, " ", r.answer.Header)))
	}
	if m.Size() > 0 {
		body := string(m.Body[0]) + string(m.Body[1])
		r.answer.Body += body
		if len(body) > 100 {
			body = fmt.Sprint(len(m.Body[0]), "+", len(m.Body[1]), " bytes")
		}
		parts = append(parts, fmt.Sprintf("%q", body))
	}
	if !m.Trailers.None() {
		r.answer.Trailer = text(AppendTrailers[field](nil, m.Trailers))
		parts = append(parts, "trailers "+r.answer.Trailer)
	}
	header, content := m.EndsAt()
	switch {
	case header:
		parts = append(parts, "end of header")
	case content:
		parts = append(parts, "end of content")
	case m.End:
		parts = append(parts, "end")
	case len(parts) == 0:
		parts = append(parts, "nothing")
	}
	r.line("%s", strings.Join(parts, " | "))
	return nil
}

func (r *recorder) Interim(status int, h http.Header) {
	s := strings.TrimSpace(fmt.Sprint(status, " ", text(AppendResponse[field](nil, &r.names, status, h))))
	r.answer.Interim += s + "\n"
	r.line("%s", s)
}

func (r *recorder) Abort() {
	r.answer.Cut = true
	r.line("abort")
}

func (r *recorder) Read(p []byte) (int, error)      { return r.content.Read(p) }
func (r *recorder) Trailers() http.Header           { return r.trailers }
func (r *recorder) SetReadDeadline(t time.Time)     { r.line("read until %v", t.Unix()) }
func (r *recorder) SetWriteDeadline(t time.Time)    { r.line("write until %v", t.Unix()) }
func (r *recorder) Logf(format string, args ...any) { r.line("log: "+format, args...) }
func (r *recorder) line(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}
func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	got := strings.Join(r.lines, "\n")
	if want := strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.lines = nil
}

// text leaves out Date, and Trailer, which clients take out of the header.
func text(fields []field) string {
	var b strings.Builder
	for _, f := range fields {
		if f.Name == "date" || f.Name == "trailer" {
			continue
		}
		fmt.Fprintf(&b, "%s=%q ", f.Name, f.Value)
	}
	return strings.TrimSuffix(b.String(), " ")
}
