package h1

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/fuzzing"
)

// Whatever a server answers, in whatever pieces: the same response and the same bytes behind it, or the same error; and no more is
// read than a response may have.
func FuzzUpgrade(f *testing.F) {
	for _, answer := range []string{
		switching + "\x81\x05Hello",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switching,
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nno way!more",
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nrest",
		"HTTP/1.0 503 Unavailable\r\n\r\nuntil the end",
		"HTTP/1.1 301 Moved\r\nLocation: wss://b/\r\nContent-Length: 5, 5\r\n\r\nhello",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxResponses) + switching,
		"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\nx",
	} {
		f.Add([]byte(answer), uint8(0))
		f.Add([]byte(answer), uint8(4))
	}
	f.Fuzz(func(t *testing.T, answer []byte, step uint8) {
		whole := &fuzzing.Conn{In: answer}
		want := upgrade(whole)
		pieces := &fuzzing.Conn{In: answer, Step: int(step) + 1}
		if got := upgrade(pieces); got != want {
			t.Errorf("%q in pieces of %d: %s\nat once: %s", answer, step+1, got, want)
		}
		if limit := 2*maxResponseBody + 2*maxResponseHeader; len(answer)-len(whole.In) > limit {
			t.Errorf("%d bytes were read", len(answer)-len(whole.In))
		}
		if whole.Closed != strings.HasPrefix(want, "response") {
			t.Errorf("%s, closed: %v", want, whole.Closed)
		}
	})
}

// upgrade is what Upgrade makes of the answer on nc, in words.
func upgrade(nc net.Conn) string {
	res, s, err := Upgrade(context.Background(), nc, request, Options{})
	switch {
	case err != nil:
		return "error: " + err.Error()
	case s == nil:
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		return fmt.Sprintf("response %d %v %q %v", res.StatusCode, res.Header, body, err)
	}
	var received []byte
	for {
		p, err := s.Receive()
		received = append(received, p...)
		if err != nil {
			s.Abort()
			return fmt.Sprintf("response %d %v, stream %q %v", res.StatusCode, res.Header, received, err)
		}
	}
}

// What we write of a header is one message that says what it was made of, or nothing.
func FuzzHead(f *testing.F) {
	f.Add("origin.test:80", "/chat?room=1", "X-A", "b", "c")
	f.Add("a", "/%20", "Host", "b", "\t c ")
	f.Add("a\r\nX: y", "/ HTTP/1.1\r\nX: y", "Content-Length", "5", "\r\n\r\nGET / HTTP/1.1")
	f.Add("[::1]", "//", "Transfer-Encoding", "chunked", "a\nb")
	f.Fuzz(func(t *testing.T, host, path, name, first, second string) {
		h := http.Header{name: {first, second}}
		head, err := appendRequest(UpgradeRequest{Host: host, Path: path, Header: h})
		if err == nil {
			br := bufio.NewReader(bytes.NewReader(append(head, "tunnel"...)))
			req, err := http.ReadRequest(br)
			if err != nil {
				t.Logf("%q: a server of net/http's refuses: %v", head, err)
				return
			}
			if req.Method != "GET" || req.Host != host && !strings.Contains(path, "://") || req.RequestURI != path {
				t.Errorf("%q is read as %s %s at %s", head, req.Method, req.RequestURI, req.Host)
			}
			if !strings.EqualFold(name, "Host") {
				checkFields(t, head, req.Header, name, first, second)
			}
			checkRest(t, head, br)
		}
		if checkHeader(h) != nil {
			return
		}
		var b bytes.Buffer
		b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
		appendHeader(&b, h, nil)
		br := bufio.NewReader(io.MultiReader(bytes.NewReader(b.Bytes()), strings.NewReader("tunnel")))
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("%q: %v", b.Bytes(), err)
		}
		checkFields(t, b.Bytes(), res.Header, name, first, second)
		checkRest(t, b.Bytes(), br)
	})
}

// checkFields wants one field with two values, and nothing else.
func checkFields(t *testing.T, head []byte, got http.Header, name, first, second string) {
	name = http.CanonicalHeaderKey(name)
	values := got[name]
	if len(got) != 1 || len(values) != 2 || values[0] != strings.Trim(first, " \t") || values[1] != strings.Trim(second, " \t") {
		t.Errorf("%q is read as %q, want %s: %q and %q", head, got, name, first, second)
	}
}

func checkRest(t *testing.T, head []byte, br *bufio.Reader) {
	if rest, _ := io.ReadAll(br); string(rest) != "tunnel" {
		t.Errorf("%q ends before %q", head, rest)
	}
}
