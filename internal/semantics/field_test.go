package semantics

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/weftws/weft/internal/fields"
)

func TestAppendFields(t *testing.T) {
	h := http.Header{
		"X-B": {" b ", "\tc"}, "X-A": {"a"}, "Te": {"gzip", "trailers"}, "Connection": {"close"}, "X Bad": {"x"}, "": {"x"}, ":path": {"/"},
		"X-Cut": {"a\nb", "kept"}, "Host": {"a"}, "X-Empty": {""}, "X-None": nil, "x-raw": {"r"},
	}
	var names []string
	got := AppendFields([]field{{"first", "1"}}, &names, h, func(name string) bool { return name == "Host" })
	want := []field{{"first", "1"}, {"te", "trailers"}, {"x-a", "a"}, {"x-b", "b"}, {"x-b", "c"}, {"x-cut", "kept"}, {"x-empty", ""}, {"x-raw", "r"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestHeaderOf(t *testing.T) {
	got := HeaderOf([]field{{"te", "trailers"}, {"x-two", "a"}, {"sec-websocket-key", "k"}, {"x-two", "b"}})
	want := http.Header{"Te": {"trailers"}, "X-Two": {"a", "b"}, "Sec-Websocket-Key": {"k"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	// Values lie beside each other: one more must not get into the next one.
	got["Te"] = append(got["Te"], "x")
	if got.Get("X-Two") != "a" {
		t.Errorf("after append: %v", got)
	}
}

func TestNames(t *testing.T) {
	for lower, name := range canonicalNames {
		if http.CanonicalHeaderKey(lower) != name || lowerNames[name] != lower {
			t.Errorf("%s is %s, and back %s", lower, name, lowerNames[name])
		}
	}
}

// Who keeps the storage pays for field lines once, and for a Message nothing.
func TestAllocations(t *testing.T) {
	h := http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"1"}, "Date": {"then"}, http.TrailerPrefix + "Etag": {"e"}}
	var lines []field
	var names []string
	var w Response
	s := &discard{}
	w.Init(s, fields.Pseudo{Method: "GET"})
	w.Header()[http.TrailerPrefix+"Etag"] = []string{"e"}
	w.Flush()
	body := make([]byte, 2*responseBuffer)
	if n := testing.AllocsPerRun(100, func() {
		lines = AppendResponse(lines[:0], &names, 200, h)
		lines = AppendTrailers(lines, w.trailers())
		w.Write(body)
		w.Flush()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(lines) != 4 || s.size == 0 {
		t.Errorf("fields %v, %d bytes", lines, s.size)
	}
}

type discard struct {
	Stream
	size int
}

func (s *discard) Send(m Message) error {
	s.size += m.Size()
	return nil
}
