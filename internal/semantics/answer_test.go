package semantics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnswer(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		resp          *http.Response
		end           bool
		err           error
		opened, ended bool
	}{
		"a tunnel":      {resp: NewResponse(200, nil), opened: true},
		"refused":       {resp: NewResponse(403, nil), end: true, ended: true},
		"an empty one":  {resp: NewResponse(204, nil), end: true, opened: true, ended: true},
		"not answered":  {err: lost},
		"a redirection": {resp: NewResponse(301, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			a := NewAnswer()
			if resp, err := a.Response(over); resp != nil || err != context.Canceled || a.Opened() || a.Ended() {
				t.Errorf("before: %v, %v, opened %v, ended %v", resp, err, a.Opened(), a.Ended())
			}
			a.Set(c.resp, c.end, c.err)
			for range 2 {
				if resp, err := a.Response(over); resp != c.resp || err != c.err {
					t.Errorf("%v, %v", resp, err)
				}
			}
			if a.Opened() != c.opened || a.Ended() != c.ended {
				t.Errorf("opened %v, ended %v", a.Opened(), a.Ended())
			}
		})
	}
}

func TestNewResponse(t *testing.T) {
	content := io.NopCloser(strings.NewReader("x"))
	length := func(s string) http.Header { return http.Header{"Content-Length": {s}} }
	for name, c := range map[string]struct {
		status  int
		header  http.Header
		content io.ReadCloser
		text    string
		length  int64
		body    io.ReadCloser
	}{
		"a tunnel has no length": {200, length("5"), nil, "200 OK", 0, http.NoBody},
		"refused":                {403, nil, content, "403 Forbidden", -1, content},
		"of a length":            {403, length("5"), content, "403 Forbidden", 5, content},
		"of no length":           {403, length("-5"), content, "403 Forbidden", -1, content},
		"ended":                  {404, nil, nil, "404 Not Found", 0, http.NoBody},
		"unknown":                {599, nil, nil, "599 ", 0, http.NoBody},
	} {
		resp := NewResponse(c.status, c.header)
		if c.content != nil {
			SetContent(resp, c.content)
		}
		if resp.StatusCode != c.status || resp.Status != c.text || resp.ContentLength != c.length || resp.Body != c.body {
			t.Errorf("%s: %q, length %d, %v", name, resp.Status, resp.ContentLength, resp.Body)
		}
	}
}
