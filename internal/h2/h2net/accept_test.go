package h2net

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/transport"
)

// What a handler sees of an Extended CONNECT, and what the client sees of its answer. The client is golang.org/x/net's.
func TestExtendedConnect(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := fmt.Sprint(r.Method, r.URL, r.Proto, r.Host, r.Header["Upgrade"], r.Header["Connection"], r.ContentLength,
			r.Header["Sec-Websocket-Protocol"])
		if want := "GET/chat?x=1HTTP/2.0example.com[websocket] [Upgrade] 0 [a, b]"; got != want {
			t.Errorf("request %s, want %s", got, want)
		}
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("Body.Read = %d, %v", n, err)
		}
		s, err := transport.AcceptorFrom(r.Context()).Accept(http.Header{"Sec-Websocket-Protocol": {"b"}, "Upgrade": {"websocket"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transport.AcceptorFrom(r.Context()).Accept(nil); err == nil {
			t.Error("accepted twice")
		}
		if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
			t.Errorf("Write after Accept: %v", err)
		}
		w.WriteHeader(500)
		s.Handle(func(p []byte, err error) {
			if err == io.EOF {
				s.Send([]byte("bye"), nil)
				s.Close(time.Second)
			} else if err == nil {
				s.Send([]byte("<"), append(p, '>'))
			}
		})
	}), func(fx *fixture) {
		pr, pw := io.Pipe()
		r := request("CONNECT", "/chat?x=1", pr)
		r.Header[":protocol"] = []string{"websocket"}
		r.Header.Set("Sec-WebSocket-Protocol", "a, b")
		go pw.Write([]byte("early "))
		resp, err := fx.xnetClient().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Sec-WebSocket-Protocol") != "b" || resp.Header.Get("Upgrade") != "" {
			t.Errorf("response: %v %v", resp.Status, resp.Header)
		}
		read := func(want string) {
			t.Helper()
			b := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, b); string(b) != want {
				t.Errorf("read %q, %v, want %q", b, err, want)
			}
		}
		read("<early >")
		pw.Write([]byte("hello"))
		read("<hello>")
		pw.Close()
		read("bye")
		if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
	})
}

// Handlers that do not take the WebSocket.
func TestNotAccepted(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/403":
			http.Error(w, "not you", 403)
		case "/302":
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(302)
		case "/200":
			io.WriteString(w, "<html>")
		case "/101":
			w.WriteHeader(101)
		case "/late":
			w.WriteHeader(404)
			if _, err := transport.AcceptorFrom(r.Context()).Accept(nil); err == nil {
				t.Error("accepted after WriteHeader")
			}
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/large":
			w.WriteHeader(400)
			w.Write(pattern(100_000))
		}
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{Config: h2.Config{InitialWindowSize: 65535}})
		open := func(path string) (*Call, *http.Response, error) {
			call, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: path})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := call.Response(fx.ctx)
			return call, resp, err
		}
		for path, want := range map[string]struct {
			status int
			body   string
		}{
			"/403":   {403, "not you\n"},
			"/302":   {302, ""},
			"/200":   {501, ""},
			"/101":   {501, ""},
			"/empty": {501, ""},
			"/late":  {404, ""},
			"/large": {400, string(pattern(100_000))},
		} {
			call, resp, err := open(path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != want.status || string(body) != want.body || err != nil {
				t.Errorf("%s: %v %.30q, %v", path, resp.Status, body, err)
			}
			if call.Stream() != nil {
				t.Errorf("%s: there is a stream", path)
			}
			resp.Body.Close()
		}
		_, resp, err := open("/panic")
		var se *StreamError
		if !errors.As(err, &se) || se.Code != wire.InternalError || se.Initiator != h2.Peer || se.Unprocessed {
			t.Errorf("panic: %v, %v", resp, err)
		}
		time.Sleep(time.Second)
		if s := cc.State(); s.Streams != 0 || s.Slots == 0 {
			t.Errorf("at the end: %+v", s)
		}

		// A body that is closed early cancels the stream.
		_, resp, err = open("/large")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
			t.Error("read after Close")
		}
		if s := cc.State(); s.Streams != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
}

func TestUnknownProtocol(t *testing.T) {
	var told []string
	srv := &Server{UnknownProtocol: func(r *http.Request, protocol string) {
		told = append(told, r.Method+" "+r.URL.Path+" "+r.Proto+" "+protocol)
	}}
	inFakeTime(t, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "CONNECT" && r.URL.Host == "target:443" && r.RequestURI == "target:443" {
			w.WriteHeader(405)
			return
		}
		t.Errorf("the handler sees %s %s", r.Method, r.URL)
	}), func(fx *fixture) {
		c := fx.xnetClient()
		r := request("CONNECT", "/", nil)
		r.Header[":protocol"] = []string{"connect-udp"}
		if resp, body := fx.do(c, r); resp.StatusCode != 501 || !strings.Contains(body, "connect-udp") {
			t.Errorf("%v %q", resp.Status, body)
		}
		// A :path that is malformed as well is 400.
		r = request("CONNECT", "/", nil)
		r.Header[":protocol"], r.URL.Opaque = []string{"connect-udp"}, "/%zz"
		if resp, _ := fx.do(c, r); resp.StatusCode != 400 {
			t.Errorf("malformed :path: %v", resp.Status)
		}
		if want := []string{"CONNECT / HTTP/2.0 connect-udp"}; !slices.Equal(told, want) {
			t.Errorf("UnknownProtocol was told %q, want %q", told, want)
		}
		// Plain CONNECT is the handler's.
		r = request("CONNECT", "/", nil)
		r.URL.Path, r.URL.Host, r.Host = "", "target:443", "target:443"
		if resp, _ := fx.do(c, r); resp.StatusCode != 405 {
			t.Errorf("CONNECT: %v", resp.Status)
		}
	})
}

// An open WebSocket keeps neither its request nor its context.
func TestNothingPinned(t *testing.T) {
	var req weak.Pointer[http.Request]
	var header weak.Pointer[string]
	var stream transport.Stream
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req = weak.Make(r)
		header = weak.Make(&r.Header["X-Large"][0])
		stream = accept(t, r)
		stream.Handle(func([]byte, error) {})
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		call, err := cc.OpenConnect(ConnectRequest{
			Scheme: "https", Authority: "example.com", Path: "/", Header: http.Header{"X-Large": {strings.Repeat("x", 1000)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		call.Response(fx.ctx)
		synctest.Wait()
		for range 3 {
			runtime.GC()
		}
		if req.Value() != nil || header.Value() != nil {
			t.Error("the request is still there")
		}
		stream.Abort()
	})
}
