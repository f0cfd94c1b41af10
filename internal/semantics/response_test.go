package semantics

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/fields"
)

// A responseCase is a handler, what of its response goes in which Message, and how net/http's own HTTP/2 server differs to the client.
type responseCase struct {
	name    string
	method  string // default GET
	handler func(w http.ResponseWriter, note func(...any))
	want    []string
	other   string // what net/http does otherwise
}

const plain = `content-type="text/plain; charset=utf-8"`

const withLength = "says Content-Length where trailers follow too; it is optional"

var large = strings.Repeat("large ", 1000)

var responseCases = []responseCase{
	{name: "empty", handler: func(http.ResponseWriter, func(...any)) {}, want: []string{`200 content-length="0" | end of header`}},
	{name: "small", handler: func(w http.ResponseWriter, _ func(...any)) {
		io.WriteString(w, "small ")
		w.Write([]byte("body"))
	}, want: []string{`200 content-length="10" ` + plain + ` | "small body" | end of content`}},
	{name: "empty writes", handler: func(w http.ResponseWriter, _ func(...any)) { w.Write(nil) },
		want: []string{`200 content-length="0" | end of header`}},
	{name: "status and fields", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("X-Kept", " a ")
		w.Header().Set("Content-Type", "text/x-weft")
		w.WriteHeader(418)
		w.Header().Set("X-Late", "b")
		io.WriteString(w, "x")
	}, want: []string{`418 content-length="1" content-type="text/x-weft" x-kept="a" | "x" | end of content`}},
	{name: "connection fields", handler: func(w http.ResponseWriter, _ func(...any)) {
		for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"} {
			w.Header().Set(name, "x")
		}
		w.WriteHeader(200)
	}, want: []string{`200 content-length="0" | end of header`}},
	{name: "encoded content is not sniffed", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Content-Encoding", "x")
		io.WriteString(w, "<html>")
	}, want: []string{`200 content-encoding="x" content-length="6" | "<html>" | end of content`}},
	{name: "type is not wanted", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	}, want: []string{`200 content-length="6" | "<html>" | end of content`}},
	{name: "large", handler: func(w http.ResponseWriter, _ func(...any)) {
		io.WriteString(w, large)
		io.WriteString(w, "rest")
	}, want: []string{`200 ` + plain + ` | "0+6000 bytes"`, `"rest" | end of content`}},
	{name: "buffered and large", handler: func(w http.ResponseWriter, _ func(...any)) {
		io.WriteString(w, "<html>")
		io.WriteString(w, large)
	}, want: []string{`200 content-type="text/html; charset=utf-8" | "6+6000 bytes"`, `end of content`}},
	{name: "flush", handler: func(w http.ResponseWriter, note func(...any)) {
		rc := http.NewResponseController(w)
		note(rc.Flush())
		io.WriteString(w, "a")
		note(rc.Flush(), rc.Flush())
		io.WriteString(w, "b")
	}, want: []string{`200`, `"a"`, `nothing`, `"b" | end of content`}},
	{name: "204", handler: func(w http.ResponseWriter, note func(...any)) {
		w.WriteHeader(204)
		note(io.WriteString(w, "x"))
	}, want: []string{`204 | end of header`}},
	{name: "304", handler: func(w http.ResponseWriter, note func(...any)) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(304)
		note(w.Write([]byte("x")))
	}, want: []string{`304 content-length="7" | end of header`}, other: "ends it with DATA, so that its own client misses 7 bytes"},
	{name: "HEAD", method: "HEAD", handler: func(w http.ResponseWriter, note func(...any)) {
		note(io.WriteString(w, "small"))
	}, want: []string{`200 content-length="5" ` + plain + ` | end of header`}},
	{name: "HEAD without content", method: "HEAD", handler: func(http.ResponseWriter, func(...any)) {}, want: []string{`200 | end of header`}},
	{name: "HEAD of large", method: "HEAD", handler: func(w http.ResponseWriter, _ func(...any)) {
		io.WriteString(w, large)
		io.WriteString(w, large)
	}, want: []string{`200 ` + plain, `nothing`, `end of content`}},
	{name: "HEAD with length", method: "HEAD", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Content-Length", "7")
	}, want: []string{`200 content-length="7" | end of header`}},
	{name: "length", handler: func(w http.ResponseWriter, note func(...any)) {
		w.Header().Set("Content-Length", "3")
		note(io.WriteString(w, "abc"))
		note(io.WriteString(w, "d"))
	}, want: []string{`200 content-length="3" ` + plain + ` | "abc" | end of content`}, other: "takes what is too much into its buffer, and then cuts the response"},
	{name: "too much at once", handler: func(w http.ResponseWriter, note func(...any)) {
		w.Header().Set("Content-Length", "3")
		note(io.WriteString(w, "abcd"))
	}, want: []string{`abort`}, other: "takes what is too much into its buffer, and then cuts the response"},
	{name: "less than length", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "ab")
		w.(http.Flusher).Flush()
	}, want: []string{`200 content-length="3" ` + plain + ` | "ab"`, `abort`}},
	{name: "nonsense for a length", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Content-Length", "-3")
		io.WriteString(w, "ab")
	}, want: []string{`200 content-length="2" ` + plain + ` | "ab" | end of content`}},
	{name: "early hints", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(102)
		io.WriteString(w, "ab")
	}, want: []string{`103 link="</style.css>; rel=preload"`, `102`, `200 content-length="2" ` + plain + ` | "ab" | end of content`}},
	{name: "101", handler: func(w http.ResponseWriter, note func(...any)) {
		w.Header().Set("X-Of", "upgrade")
		w.WriteHeader(101)
		note(io.WriteString(w, "x"))
	}, want: []string{`501 content-length="0" | end of header`}, other: "sends 101, which HTTP/2 does not have: RFC 9113, Section 8.6"},
	{name: "declared trailers", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Trailer", "X-Sum, X-None, Content-Length")
		io.WriteString(w, "ab")
		w.Header().Set("X-Sum", "2")
		w.Header().Set("X-Other", "x")
	}, want: []string{`200 ` + plain + ` | "ab" | trailers x-sum="2" | end`}, other: withLength},
	{name: "trailers by prefix", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header()[http.TrailerPrefix+"X-Two"] = []string{"a", "b"}
		w.Header()[http.TrailerPrefix+"Connection"] = []string{"close"}
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
	}, want: []string{`200`, `trailers x-two="a" x-two="b" | end`}},
	{name: "trailers without content", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		w.Header().Set("X-Sum", "0")
	}, want: []string{`200 | trailers x-sum="0" | end`}, other: withLength},
	{name: "trailers that were not set", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "ab")
	}, want: []string{`200 content-length="2" ` + plain + ` | "ab" | end of content`}},
	{name: "superfluous", handler: func(w http.ResponseWriter, _ func(...any)) {
		w.WriteHeader(201)
		w.WriteHeader(202)
	}, want: []string{`log: superfluous response.WriteHeader call`, `201 content-length="0" | end of header`}},
}

func (c *responseCase) request() *http.Request {
	method := c.method
	if method == "" {
		method = "GET"
	}
	return httptest.NewRequest(method, "/", nil)
}

// ours runs the handler over a recorder.
func (c *responseCase) ours(t *testing.T) view {
	r := new(recorder)
	var w Response
	w.Init(r, fields.Pseudo{Method: c.request().Method})
	c.handler(&w, r.answer.note)
	w.Finish()
	w.Release()
	r.want(t, c.want...)
	return r.answer
}

func (v *view) note(args ...any) { v.Handler += fmt.Sprintln(args...) }

// theirs runs it on net/http's HTTP/2.
func (c *responseCase) theirs(t *testing.T, srv *httptest.Server) (v view) {
	over := make(chan struct{})
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(over)
		c.handler(w, v.note)
	})
	interim := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			interim += strings.TrimSpace(fmt.Sprint(status, " ", lines(http.Header(h)))) + "\n"
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, c.request().Method, srv.URL, nil)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := srv.Client().Do(req)
	<-over
	if err != nil {
		v.Cut = true
		return v
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	v.Interim, v.Status, v.Header, v.Body, v.Trailer, v.Cut = interim, resp.StatusCode, lines(resp.Header), string(body), lines(resp.Trailer), err != nil
	return v
}

func lines(h http.Header) string { return text(AppendFields[field](nil, new([]string), h, nil)) }

// The same handlers do the same on net/http's own HTTP/2, as far as a client can tell.
func TestResponse(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for _, c := range responseCases {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := c.ours(t), c.theirs(t, srv)
			if same := ours == theirs; same != (c.other == "") {
				t.Errorf("ours\n%+v\nnet/http's\n%+v\nknown difference: %q", ours, theirs, c.other)
			}
		})
	}
}

// A tunnel has no length, and what is refused has one.
func TestConnectHasNoContentLength(t *testing.T) {
	for _, c := range []struct {
		status int
		want   string
	}{
		{200, `200 ` + plain + ` | "body" | end of content`},
		{403, `403 content-length="4" ` + plain + ` | "body" | end of content`},
	} {
		for _, set := range []bool{false, true} {
			r := &recorder{}
			var w Response
			w.Init(r, fields.Pseudo{Method: "CONNECT", Authority: "a:80"})
			if set {
				w.Header().Set("Content-Length", "4")
			}
			w.WriteHeader(c.status)
			io.WriteString(&w, "body")
			w.Finish()
			r.want(t, c.want)
		}
	}
}

func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, set := range [][]string{nil, {"then"}} {
			r := &dateRecorder{}
			var w Response
			w.Init(r, fields.Pseudo{Method: "GET"})
			want := time.Now().UTC().Format(http.TimeFormat)
			if set != nil {
				w.Header()["Date"], want = set, set[0]
			}
			w.Finish()
			if r.date != want {
				t.Errorf("Date: %q, want %q", r.date, want)
			}
		}
	})
}

type dateRecorder struct {
	recorder
	date string
}

func (r *dateRecorder) Send(m Message) error {
	r.date = m.Header.Get("Date")
	return nil
}

// "A 2xx (Successful) response" to an Extended CONNECT opens a tunnel: it is never a handler's that has not taken the stream.
func TestExtendedConnect(t *testing.T) {
	for _, c := range []struct{ status, want int }{{200, 501}, {204, 501}, {101, 501}, {0, 501}, {302, 302}, {403, 403}} {
		r := new(recorder)
		var w Response
		w.Init(r, fields.Pseudo{Method: "CONNECT", Protocol: "websocket"})
		if c.status != 0 {
			w.WriteHeader(c.status)
		}
		w.Finish()
		r.want(t, fmt.Sprint(c.want, ` content-length="0" | end of header`))
	}
}

func TestHijack(t *testing.T) {
	r := new(recorder)
	var w Response
	w.Init(r, fields.Pseudo{Method: "CONNECT", Protocol: "websocket"})
	w.Header().Set("X-Of", "handler")
	if w.Answered() || w.Hijacked() {
		t.Error("answered before anything was")
	}
	w.Hijack()
	if !w.Answered() || !w.Hijacked() {
		t.Error("not answered")
	}
	if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
		t.Errorf("Write: %v", err)
	}
	if err := w.FlushError(); err != http.ErrHijacked {
		t.Errorf("Flush: %v", err)
	}
	w.WriteHeader(403)
	w.Finish()
	w.Release()
	r.want(t, "log: superfluous response.WriteHeader call")
}

// A handler that has returned is not heard any more.
func TestFinished(t *testing.T) {
	r := new(recorder)
	var w Response
	w.Init(r, fields.Pseudo{Method: "GET"})
	w.Finish()
	w.Release()
	if _, err := w.Write([]byte("x")); err != http.ErrHandlerTimeout {
		t.Errorf("Write: %v", err)
	}
	if err := w.FlushError(); err != http.ErrHandlerTimeout {
		t.Errorf("Flush: %v", err)
	}
	w.WriteHeader(403)
	r.want(t, `200 content-length="0" | end of header`, "log: superfluous response.WriteHeader call")
}

// What a Send has lost is not forgotten when the next one could succeed.
func TestCutStaysCut(t *testing.T) {
	r := &recorder{err: os.ErrDeadlineExceeded}
	var w Response
	w.Init(r, fields.Pseudo{Method: "GET"})
	w.SetWriteDeadline(time.Unix(1, 0))
	if _, err := w.WriteString(large); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	r.err = nil
	w.SetWriteDeadline(time.Unix(2, 0))
	if err := w.FlushError(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
	if _, err := w.WriteString("x"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	w.Finish()
	r.want(t, "write until 1", "send: i/o timeout", "write until 2", "abort")
}

func TestInvalidStatus(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var w Response
	w.Init(new(recorder), fields.Pseudo{Method: "GET"})
	w.WriteHeader(1000)
}
