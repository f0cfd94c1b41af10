package h2net

//lint:file-ignore SA1019 x/net's own HTTP/2 is deprecated for users, and just right as an independent peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftws/weft/internal/h2"
)

// xnetClient is golang.org/x/net's client, as an independent peer.
func (fx *fixture) xnetClient() *http.Client {
	tr := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) {
			return fx.net.Dial(serverAddr)
		},
	}
	fx.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (fx *fixture) do(c *http.Client, req *http.Request) (*http.Response, string) {
	fx.t.Helper()
	resp, err := c.Do(req.WithContext(fx.ctx))
	if err != nil {
		fx.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fx.t.Fatalf("%s %s: body: %v", req.Method, req.URL, err)
	}
	resp.Body.Close()
	return resp, string(body)
}

func request(method, path string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, "http://example.com"+path, body)
	if err != nil {
		panic(err)
	}
	return r
}

func TestRequest(t *testing.T) {
	var mux http.ServeMux
	mux.HandleFunc("/what", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, r.ContentLength, r.RequestURI, r.TLS == nil)
		fmt.Fprintln(w, r.RemoteAddr != "", r.Header["X-Two"], r.Header.Get("Cookie"))
	})
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>small") })
	mux.HandleFunc("GET /typed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x-weft")
		w.Header().Set("Connection", "close")
		w.Header().Set("X-Bad", "a\nb")
		w.Header()["Date"] = []string{"then"}
		w.Write([]byte("typed"))
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			t.Errorf("Write after 204: %v", err)
		}
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(pattern(300_000)) })
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		if _, err := w.Write([]byte("four")); err != http.ErrContentLength {
			t.Errorf("Write of more than Content-Length: %v", err)
		}
		io.WriteString(w, "")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(w, r.Body)
		if err != nil {
			t.Errorf("echo: after %d bytes: %v", n, err)
		}
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("as told") })

	inFakeTime(t, &Server{Config: h2.Config{InitialWindowSize: 65535}}, &mux, func(fx *fixture) {
		fx.srv.ErrorLog = log.New(io.Discard, "", 0)
		c := fx.xnetClient()

		r := request("POST", "/what?q=1", strings.NewReader("body"))
		r.Header["X-Two"] = []string{"a", "b"}
		r.Header["Cookie"] = []string{"a=1; b=2"}
		_, body := fx.do(c, r)
		if want := "POST /what?q=1 HTTP/2.0 2 0 example.com 4 /what?q=1 true\ntrue [a b] a=1; b=2\n"; body != want {
			t.Errorf("request:\n%swant\n%s", body, want)
		}

		resp, body := fx.do(c, request("GET", "/small", nil))
		if body != "<html>small" || resp.ContentLength != 11 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			resp.Header.Get("Date") != time.Now().Add(-rtt/2).UTC().Format(http.TimeFormat) {
			t.Errorf("small: %q %v", body, resp.Header)
		}
		resp, body = fx.do(c, request("HEAD", "/small", nil))
		if body != "" || resp.ContentLength != 11 {
			t.Errorf("HEAD: %q %v", body, resp.Header)
		}
		resp, body = fx.do(c, request("GET", "/typed", nil))
		if body != "typed" || resp.Header.Get("Content-Type") != "text/x-weft" || resp.Header.Get("Date") != "then" ||
			resp.Header.Get("X-Bad") != "" {
			t.Errorf("typed: %q %v", body, resp.Header)
		}
		resp, body = fx.do(c, request("DELETE", "/empty", nil))
		if body != "" || resp.StatusCode != 200 || resp.ContentLength != 0 {
			t.Errorf("empty: %v %v", resp.Status, resp.Header)
		}
		resp, _ = fx.do(c, request("GET", "/204", nil))
		if resp.StatusCode != 204 || resp.Header["Content-Length"] != nil || resp.Header["Content-Type"] != nil {
			t.Errorf("204: %v %v", resp.Status, resp.Header)
		}
		resp, body = fx.do(c, request("GET", "/large", nil))
		if body != string(pattern(300_000)) || resp.ContentLength != -1 {
			t.Errorf("large: %d bytes, %v", len(body), resp.Header)
		}
		resp, _ = fx.do(c, request("OPTIONS", "/empty", nil))
		if resp.StatusCode != 200 {
			t.Errorf("OPTIONS: %v", resp.Status)
		}
		resp, _ = fx.do(c, request("GET", "/none", nil))
		if resp.StatusCode != 404 {
			t.Errorf("none: %v", resp.Status)
		}

		sent := pattern(400_000)
		_, body = fx.do(c, request("PUT", "/echo", bytes.NewReader(sent)))
		if body != string(sent) {
			t.Errorf("echo: %d bytes", len(body))
		}

		for _, path := range []string{"/panic", "/length"} {
			_, err := c.Do(request("GET", path, nil))
			var se http2.StreamError
			if !errors.As(err, &se) || se.Code != http2.ErrCodeInternal {
				t.Errorf("%s: %v", path, err)
			}
		}
		if n := fx.net.Stats().Dials; n != 1 {
			t.Errorf("%d connections for all that", n)
		}
	})
}

func TestOptionsStar(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RequestURI, " ", r.URL.Path)
	}), func(fx *fixture) {
		r := request("OPTIONS", "/", nil)
		r.URL.Path, r.URL.Opaque = "", "*"
		if _, body := fx.do(fx.xnetClient(), r); body != "* *" {
			t.Errorf("OPTIONS *: %q", body)
		}
	})
}

func TestTrailers(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Trailer["X-Sum"]; !ok {
			t.Errorf("announced trailers: %v", r.Trailer)
		}
		w.Header().Set("Trailer", "X-Announced")
		io.Copy(w, r.Body)
		w.Header().Set("X-Announced", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Other", "other")
	}), func(fx *fixture) {
		r := request("POST", "/", io.NopCloser(strings.NewReader("body")))
		r.Trailer = http.Header{"X-Sum": []string{"4"}}
		resp, body := fx.do(fx.xnetClient(), r)
		if body != "body" || resp.Trailer.Get("X-Announced") != "4" || resp.Trailer.Get("X-Other") != "other" {
			t.Errorf("%q, trailers %v", body, resp.Trailer)
		}
	})
}

func TestContinue(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Expect"] != nil {
			t.Error("Expect reached the handler")
		}
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		if r.URL.Path == "/read" {
			io.Copy(w, r.Body)
		}
	}), func(fx *fixture) {
		c := fx.xnetClient()
		for _, path := range []string{"/read", "/leave"} {
			var got []string
			ctx := httptrace.WithClientTrace(fx.ctx, &httptrace.ClientTrace{
				Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
					got = append(got, strconv.Itoa(code)+h.Get("Link"))
					return nil
				},
			})
			r := request("POST", path, strings.NewReader("body")).WithContext(ctx)
			r.Header.Set("Expect", "100-continue")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			want := "103</style.css>; rel=preload"
			wantBody := ""
			if path == "/read" {
				want += " 100"
				wantBody = "body"
			}
			if strings.Join(got, " ") != want || string(body) != wantBody {
				t.Errorf("%s: interim %q, body %q", path, got, body)
			}
		}
	})
}

// The handler answers before it has the body, and does not want the rest: RST_STREAM(NO_ERROR).
func TestUnreadBody(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(pattern(200_000))
	}), func(fx *fixture) {
		pr, pw := io.Pipe()
		defer pw.Close()
		resp, body := fx.do(fx.xnetClient(), request("POST", "/", pr))
		if resp.StatusCode != 200 || body != string(pattern(200_000)) {
			t.Errorf("%v, %d bytes", resp.Status, len(body))
		}
		time.Sleep(rtt)
		if _, err := pw.Write([]byte("x")); err == nil {
			t.Error("the client goes on sending")
		}
	})
}

func TestFlush(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 5 {
			fmt.Fprint(w, i)
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
	}), func(fx *fixture) {
		resp, err := fx.xnetClient().Do(request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		start := time.Now()
		for i := range 5 {
			var b [10]byte
			n, err := resp.Body.Read(b[:])
			if string(b[:n]) != strconv.Itoa(i) || err != nil {
				t.Fatalf("read %q, %v", b[:n], err)
			}
			if d := time.Since(start); d != time.Duration(i)*time.Second {
				t.Errorf("chunk %d after %v", i, d)
			}
		}
		io.Copy(io.Discard, resp.Body)
	})
}

func TestFullDuplex(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		rc.Flush()
		var b [100]byte
		for {
			n, err := r.Body.Read(b[:])
			if err != nil {
				return
			}
			w.Write(bytes.ToUpper(b[:n]))
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
		}
	}), func(fx *fixture) {
		pr, pw := io.Pipe()
		resp, err := fx.xnetClient().Do(request("POST", "/", pr))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			fmt.Fprintf(pw, "message %d", i)
			var b [100]byte
			n, _ := resp.Body.Read(b[:])
			if got, want := string(b[:n]), fmt.Sprintf("MESSAGE %d", i); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		}
		pw.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("rest %q, %v", rest, err)
		}
	})
}

func TestHandlerDeadlines(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		start := time.Now()
		rc.SetReadDeadline(start.Add(time.Second))
		if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		rc.SetWriteDeadline(start.Add(time.Second))
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 50_000))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Write: %v after %v", err, time.Since(start))
		}
	}), func(fx *fixture) {
		pr, pw := io.Pipe()
		defer pw.Close()
		resp, err := fx.xnetClient().Do(request("POST", "/", pr))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("a cut response ends well")
		}
	})
}

// The request's context ends when the client goes away, and when the handler returns.
func TestContext(t *testing.T) {
	type key struct{}
	var after context.Context
	var ended atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "base" {
			t.Error("the base context is missing")
		}
		after = r.Context()
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			ended.Add(1)
			if _, err := w.Write(make([]byte, 5000)); err == nil {
				t.Error("Write after the reset")
			}
		}
	})
	inFakeTime(t, &Server{}, handler, func(fx *fixture) {
		fx.opt.BaseContext = context.WithValue(context.Background(), key{}, "base")
		c := fx.xnetClient()
		fx.do(c, request("GET", "/", nil))
		synctest.Wait()
		if after.Err() == nil {
			t.Error("the context lives after the handler")
		}
		ctx, cancel := context.WithTimeout(fx.ctx, time.Second)
		defer cancel()
		if _, err := c.Do(request("GET", "/wait", nil).WithContext(ctx)); err == nil {
			t.Error("no error")
		}
		time.Sleep(rtt)
		if ended.Load() != 1 {
			t.Error("the handler does not know that the client has gone")
		}
		go c.Do(request("GET", "/wait", nil))
		time.Sleep(time.Second)
		fx.srv.Close()
		time.Sleep(rtt)
		if ended.Load() != 2 {
			t.Error("the handler does not know that the connection has gone")
		}
	})
}
