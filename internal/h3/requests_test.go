package h3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// Large content both ways at once, in pieces and at once.
func TestLargeContent(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			io.Copy(w, r.Body)
		case "/at-once":
			all, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Write(all)
		case "/length":
			all, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Length", fmt.Sprint(len(all)))
			w.Write(all[:10])
			w.(http.Flusher).Flush()
			w.Write(all[10:])
		}
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		cc, _ := fx.stockClient()
		for _, path := range []string{"/echo", "/at-once", "/length"} {
			for _, announced := range []bool{true, false} {
				r := newRequest("POST", "", path, string(content))
				if !announced {
					r.ContentLength = -1
				}
				resp, body := fx.roundTrip(cc, r)
				if resp.StatusCode != 200 || body != string(content) {
					t.Errorf("%s, announced %v: status %d, %d bytes", path, announced, resp.StatusCode, len(body))
				}
			}
		}
	})
}

// Trailers both ways: those that were announced.
func TestTrailers(t *testing.T) {
	var announced, seen http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		announced = maps.Clone(r.Trailer)
		w.Header().Set("Trailer", "X-Sum, Content-Length")
		io.Copy(w, r.Body)
		seen = r.Trailer
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		for _, size := range []int{1, 100_000} {
			cc, q := fx.stockClient()
			r := newRequest("POST", "", "/", strings.Repeat("x", size))
			r.ContentLength = -1
			r.Trailer = http.Header{"X-A": {"b"}}
			resp, body := fx.roundTrip(cc, r)
			if len(body) != size || resp.Trailer.Get("X-Sum") != "1" || resp.Trailer.Get("X-Late") != "2" || len(resp.Trailer["Content-Length"]) != 0 {
				t.Errorf("%d bytes, trailers %v", len(body), resp.Trailer)
			}
			if _, ok := announced["X-A"]; !ok || len(announced) != 1 || len(seen["X-A"]) != 1 || seen["X-A"][0] != "b" {
				t.Errorf("the handler has seen %v announced, and %v", announced, seen)
			}
			q.CloseWithError(0x100, "")
		}
	})
}

// A client that waits for a 100 gets it when the handler reads, and not otherwise.
func TestContinue(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			t.Error("Expect is shown")
		}
		if r.URL.Path == "/" {
			io.Copy(io.Discard, r.Body)
		}
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		statusOf := func(r io.Reader) int {
			f, err := nextFrame(r)
			if err != nil || f.typ != frameHeaders {
				t.Fatalf("%+v, %v", f, err)
			}
			status, _, _ := parseResponse([]byte(f.payload))
			return status
		}
		s := q.request(requestOf("POST", "expect", "100-continue"))
		if status := statusOf(s); status != 100 {
			t.Errorf("status %d", status)
		}
		s.Write(frameOf(frameData, "content"))
		s.Close()
		if status := statusOf(s); status != 200 {
			t.Errorf("status %d", status)
		}
		s = q.request(headersOf(":method", "POST", ":scheme", "https", ":authority", serverName, ":path", "/refuse", "expect", "100-continue"))
		if status := statusOf(s); status != 200 {
			t.Errorf("status %d", status)
		}
		// "The error code H3_NO_ERROR SHOULD be used when requesting that the client stop sending on the request stream."
		pass(time.Second)
		if code := stopCode(s.Context()); code != http3.ErrCodeNoError {
			t.Errorf("stopped with %v", code)
		}
	})
}

func TestConcurrentRequests(t *testing.T) {
	const requests = 100
	var all *sync.WaitGroup
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait() // each has its goroutine
		io.Copy(w, r.Body)
	})
	inFakeTime(t, &Server{MaxStreams: requests}, handler, func(t *testing.T, fx *fixture) {
		all = new(sync.WaitGroup)
		all.Add(requests)
		cc, _ := fx.stockClient()
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() {
				text := strings.Repeat(fmt.Sprint(i, " "), 1000)
				resp, err := cc.RoundTrip(newRequest("POST", "", "/", text))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != text {
					t.Errorf("request %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		wg.Wait()
	})
}

// A request that its client gives up: the handler's context is done, and its writes fail.
func TestCancelledRequest(t *testing.T) {
	var ended chan error
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		if r.URL.Path == "/read" {
			_, err := r.Body.Read(make([]byte, 1))
			ended <- err
			return
		}
		_, err := w.Write(make([]byte, 10000))
		ended <- err
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		ended = make(chan error, 1)
		cc, _ := fx.stockClient()
		for _, path := range []string{"/read", "/write"} {
			ctx, cancel := context.WithCancel(t.Context())
			content, _ := io.Pipe()
			r := newRequest("POST", "", path, "x").WithContext(ctx)
			r.Body, r.ContentLength = content, -1
			resp, err := cc.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			content.Close()
			se, ok := errors.AsType[*StreamError](<-ended)
			if !ok || se.Local || se.Code != uint64(http3.ErrCodeRequestCanceled) {
				t.Errorf("%s: %+v", path, se)
			}
			resp.Body.Close()
		}
	})
}

// A handler that writes less than it has said cuts the response, and one that writes more is stopped.
func TestWrongLength(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, err := io.WriteString(w, r.URL.RawQuery)
		if long := len(r.URL.RawQuery) > 3; long != (err == http.ErrContentLength) {
			t.Errorf("%v", err)
		}
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		ask := func(query string) http3.ErrCode {
			s := q.request(headersOf(":method", "GET", ":scheme", "https", ":authority", serverName, ":path", "/?"+query))
			s.Close()
			return resetCode(s)
		}
		if got := []http3.ErrCode{ask("ab"), ask("abc")}; !slices.Equal(got, []http3.ErrCode{http3.ErrCodeInternalError, 0}) {
			t.Errorf("reset with %v", got)
		}
		ask("abcd")
	})
}

// What a handler sees of a request.
func TestRequestShown(t *testing.T) {
	var seen *http.Request
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r })
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		get := requestOf("GET", "cookie", "a=b", "x", "1", "cookie", "c=d", "x", "2", "priority", "u=1")
		if status := fx.ask(q.Conn, get); status != 200 {
			t.Fatalf("status %d", status)
		}
		local, _ := seen.Context().Value(http.LocalAddrContextKey).(interface{ String() string })
		if seen.Proto != "HTTP/3.0" || seen.ProtoMajor != 3 || seen.Host != serverName || seen.RequestURI != "/" || seen.RemoteAddr != q.LocalAddr().String() ||
			seen.TLS == nil || !seen.TLS.HandshakeComplete || seen.ContentLength != 0 || seen.Body != http.NoBody || local == nil || local.String() != serverAddr ||
			seen.Header.Get("Cookie") != "a=b; c=d" || !slices.Equal(seen.Header["X"], []string{"1", "2"}) || seen.Context().Err() == nil {
			t.Errorf("%+v, %v, %v", seen, local, seen.Context().Err())
		}
	})
}
