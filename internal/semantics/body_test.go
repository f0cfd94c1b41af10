package semantics

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/fields"
)

func bodyOf(r *recorder, lines ...field) (*Response, *Request) {
	var w Response
	p := fields.Pseudo{Method: "POST", Scheme: "https", Authority: "a", Path: "/"}
	w.Init(r, p)
	req, _ := NewRequest(p, lines)
	new(Body).Init(&w, req)
	return &w, req
}

func TestBody(t *testing.T) {
	r := &recorder{content: strings.NewReader("body"), trailers: http.Header{"X-Sum": {"4"}, "X-Not": {"announced"}}}
	_, req := bodyOf(r, field{"content-length", "4"}, field{"trailer", "x-sum, X-None,content-length"})
	if want := (http.Header{"X-Sum": nil, "X-None": nil}); req.ContentLength != 4 || !reflect.DeepEqual(req.Trailer, want) {
		t.Errorf("length %d, trailers %v, want %v", req.ContentLength, req.Trailer, want)
	}
	if _, ok := req.Header["Trailer"]; ok {
		t.Error("Trailer is left in the header")
	}
	got, err := io.ReadAll(req.Body)
	if want := (http.Header{"X-Sum": {"4"}, "X-None": nil}); string(got) != "body" || err != nil || !reflect.DeepEqual(req.Trailer, want) {
		t.Errorf("%q, %v, trailers %v, want %v", got, err, req.Trailer, want)
	}
	req.Body.Close()
	if _, err := req.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Errorf("Read after Close: %v", err)
	}
	r.want(t)
}

func TestContentLength(t *testing.T) {
	for _, c := range []struct {
		fields []field
		want   int64
	}{{nil, -1}, {[]field{{"content-length", "0"}}, 0}, {[]field{{"content-length", "x"}}, -1}} {
		if _, req := bodyOf(new(recorder), c.fields...); req.ContentLength != c.want {
			t.Errorf("%v: %d, want %d", c.fields, req.ContentLength, c.want)
		}
	}
}

// "A server that receives a 100-continue expectation ... MAY omit sending a 100 response if it has already received some or all of the
// content"; here it is the first Read that wants it. RFC 9110, Section 10.1.1.
func TestContinue(t *testing.T) {
	expect := field{"expect", "100-Continue"}
	t.Run("read", func(t *testing.T) {
		r := &recorder{content: strings.NewReader("body")}
		_, req := bodyOf(r, expect)
		if _, ok := req.Header["Expect"]; ok {
			t.Error("Expect is left in the header")
		}
		io.ReadAll(req.Body)
		r.want(t, "100")
	})
	t.Run("said by the handler", func(t *testing.T) {
		r := &recorder{content: strings.NewReader("body")}
		w, req := bodyOf(r, expect)
		w.Header().Set("X-Not", "in this one")
		w.WriteHeader(100)
		io.ReadAll(req.Body)
		r.want(t, "100")
	})
	t.Run("not read", func(t *testing.T) {
		r := new(recorder)
		w, req := bodyOf(r, expect)
		req.Body.Close()
		req.Body.Read(make([]byte, 1))
		w.Finish()
		r.want(t, `200 content-length="0" | end of header`)
	})
	t.Run("not expected", func(t *testing.T) {
		r := &recorder{content: strings.NewReader("body")}
		_, req := bodyOf(r)
		io.ReadAll(req.Body)
		r.want(t)
	})
}
