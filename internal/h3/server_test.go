package h3

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// stockClient is quic-go's own client.
func (fx *fixture) stockClient() (*http3.ClientConn, *quic.Conn) {
	fx.t.Helper()
	pc := fx.net.ListenPacket(":0")
	tr := &quic.Transport{Conn: pc}
	conf := clientTLS(testRoots)
	conf.NextProtos = []string{"h3"}
	fx.t.Cleanup(func() {
		tr.Close()
		pc.Close()
	})
	q, err := tr.Dial(fx.t.Context(), remote(), conf, nil)
	if err != nil {
		fx.t.Fatal(err)
	}
	cc := (&http3.Transport{}).NewClientConn(q)
	<-cc.ReceivedSettings()
	return cc, q
}

func newRequest(method, proto, path, body string) *http.Request {
	r := &http.Request{
		Method: method, Proto: proto, Host: serverName, Header: http.Header{}, URL: &url.URL{Scheme: "https", Host: serverName, Path: path},
	}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return r
}

func (fx *fixture) roundTrip(cc *http3.ClientConn, r *http.Request) (*http.Response, string) {
	fx.t.Helper()
	resp, err := cc.RoundTrip(r)
	if err != nil {
		fx.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fx.t.Fatal(err)
	}
	return resp, string(body)
}

// connectBy opens a WebSocket's stream with quic-go's own client.
func (fx *fixture) connectBy(cc *http3.ClientConn, r *http.Request) (*http3.RequestStream, *http.Response) {
	fx.t.Helper()
	s, err := cc.OpenRequestStream(fx.t.Context())
	if err == nil {
		err = s.SendRequestHeader(r)
	}
	if err != nil {
		fx.t.Fatal(err)
	}
	resp, err := s.ReadResponse()
	if err != nil {
		fx.t.Fatal(err)
	}
	return s, resp
}

func TestOrdinaryRequests(t *testing.T) {
	type key struct{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Proto != "HTTP/3.0" || transport.AcceptorFrom(r.Context()) != nil || r.Context().Value(key{}) != "v" {
			t.Errorf("%s %s, acceptor %v, value %v", r.Method, r.Proto, transport.AcceptorFrom(r.Context()), r.Context().Value(key{}))
		}
		w.Write([]byte(r.Method + " " + r.URL.Path + " " + string(body)))
	})
	srv := &Server{BaseContext: func(net.Addr) context.Context { return context.WithValue(context.Background(), key{}, "v") }}
	inFakeTime(t, srv, handler, func(t *testing.T, fx *fixture) {
		cc, _ := fx.stockClient()
		if resp, body := fx.roundTrip(cc, newRequest("GET", "", "/a", "")); resp.StatusCode != 200 || body != "GET /a " {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
		if _, body := fx.roundTrip(cc, newRequest("POST", "", "/b", "content")); body != "POST /b content" {
			t.Errorf("%q", body)
		}
	})
}

// What a handler sees of an Extended CONNECT.
func TestConnectShownAsUpgrade(t *testing.T) {
	var seen *http.Request
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		a := transport.AcceptorFrom(r.Context())
		s, err := a.Accept(http.Header{"Sec-Websocket-Protocol": {"chat"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := a.Accept(nil); err == nil {
			t.Error("accepted twice")
		}
		if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
			t.Errorf("Write after Accept: %v", err)
		}
		go echo(s)
	})
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		cc, _ := fx.stockClient()
		r := newRequest("CONNECT", "websocket", "/chat", "")
		r.URL.RawQuery = "room=1"
		r.Header.Set("Origin", "https://origin.test")
		s, resp := fx.connectBy(cc, r)
		if resp.StatusCode != 200 || resp.Header.Get("Sec-Websocket-Protocol") != "chat" || len(resp.Header) != 1 {
			t.Errorf("%d, %v", resp.StatusCode, resp.Header)
		}
		io.WriteString(s, "hi")
		got := make([]byte, 2)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "hi" {
			t.Errorf("%q, %v", got, err)
		}
		s.Close()
		if _, err := s.Read(got); err != io.EOF {
			t.Errorf("%v", err)
		}
		h := seen.Header
		if seen.Method != "GET" || seen.Proto != "HTTP/3.0" || seen.ProtoMajor != 3 || seen.RequestURI != "/chat?room=1" || seen.Host != serverName ||
			h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("Origin") != "https://origin.test" || seen.TLS == nil {
			t.Errorf("%+v", seen)
		}
	})
}

func TestConnectAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		proto   string
		off     bool
		handler func(w http.ResponseWriter, r *http.Request)
		status  int
	}{
		"nothing":            {handler: func(http.ResponseWriter, *http.Request) {}, status: 501},
		"200":                {handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }, status: 501},
		"101":                {handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101) }, status: 501},
		"content":            {handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, status: 501},
		"Flush":              {handler: func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, status: 501},
		"403":                {handler: func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 403) }, status: 403},
		"another protocol":   {proto: "connect-udp", status: 501},
		"switched off":       {off: true, status: 501},
		"103 and a redirect": {handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); http.Redirect(w, r, "/b", 307) }, status: 307},
	} {
		t.Run(name, func(t *testing.T) {
			handler := func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }
			if c.handler != nil {
				handler = c.handler
			}
			withServer(t, &Server{Handler: http.HandlerFunc(handler), ConnectProtocol: !c.off}, func(t *testing.T, fx *fixture) {
				cc, q := fx.stockClient()
				proto := "websocket"
				if c.proto != "" {
					proto = c.proto
				}
				s, resp := fx.connectBy(cc, newRequest("CONNECT", proto, "/", ""))
				if resp.StatusCode == 103 {
					resp, _ = s.ReadResponse()
				}
				if resp.StatusCode != c.status {
					t.Errorf("status = %d, want %d", resp.StatusCode, c.status)
				}
				if _, err := io.Copy(io.Discard, s); err != nil || q.Context().Err() != nil {
					t.Errorf("%v; %v", err, q.Context().Err())
				}
				s.Close()
			})
		})
	}
}

func TestAcceptAfterHandler(t *testing.T) {
	acceptors := make(chan transport.Acceptor, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { acceptors <- transport.AcceptorFrom(r.Context()) })
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		fx.want(fx.call(fx.connect(DialOptions{}), "/"), 501)
		if _, err := (<-acceptors).Accept(nil); err == nil {
			t.Error("accepted after the handler had returned")
		}
	})
}

// In early data an ordinary request with a method that is not safe gets 425, and others are served.
func TestTooEarlyForPOST(t *testing.T) {
	var methods []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { methods = append(methods, r.Method) })
	inFakeTime(t, &Server{}, handler, func(t *testing.T, fx *fixture) {
		pc := fx.net.ListenPacket(":0")
		defer pc.Close()
		tr := &quic.Transport{Conn: pc}
		defer tr.Close()
		conf := clientTLS(testRoots)
		conf.NextProtos = []string{"h3"}
		conf.ClientSessionCache = &connSessions{all: &fx.sessions, key: "key"}
		dial := func() (*quic.Conn, *http3.ClientConn) {
			q, err := tr.DialEarly(t.Context(), remote(), conf, nil)
			if err != nil {
				t.Fatal(err)
			}
			return q, (&http3.Transport{}).NewClientConn(q)
		}
		q, _ := dial()
		time.Sleep(time.Second)
		q.CloseWithError(0x100, "")
		_, cc := dial()
		get, post := fx.startRequest(cc, "GET"), fx.startRequest(cc, "POST")
		got := []int{get(), post()}
		if !slices.Equal(got, []int{200, 425}) || !slices.Equal(methods, []string{"GET"}) {
			t.Errorf("statuses %v, handled %v", got, methods)
		}
	})
}

// startRequest sends a request without waiting for anything.
func (fx *fixture) startRequest(cc *http3.ClientConn, method string) (status func() int) {
	s, err := cc.OpenRequestStream(fx.t.Context())
	if err != nil {
		fx.t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- s.SendRequestHeader(newRequest(method, "", "/", "")) }()
	synctest.Wait() // in the same flight
	return func() int {
		if err := <-sent; err != nil {
			fx.t.Fatal(err)
		}
		resp, err := s.ReadResponse()
		if err != nil {
			fx.t.Fatal(err)
		}
		return resp.StatusCode
	}
}

func TestHandlerPanics(t *testing.T) {
	var logged bytes.Buffer
	srv := &Server{ErrorLog: log.New(&logged, "", 0)}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oh")
	})
	inFakeTime(t, srv, handler, func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		for _, path := range []string{"/abort", "/panic"} {
			_, err := fx.call(cc, path).Response(t.Context())
			wantStreamError(t, err, false, uint64(http3.ErrCodeInternalError))
		}
		if text := logged.String(); strings.Count(text, "panic serving") != 1 || !strings.Contains(text, "oh") {
			t.Errorf("logged %q", text)
		}
	})
}

func TestConnectedAndClosed(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, what)
	}
	srv := &Server{
		Connected: func(net.Addr) { note("connected") },
		Closed:    func(_ net.Addr, err error) { note(err.Error()) },
	}
	inFakeTime(t, srv, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{})
		time.Sleep(time.Second) // until the handshake is confirmed: QUIC does not show the code before
		cc.Close()
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(events, []string{"connected", "peer closed the connection (H3_NO_ERROR)"}) {
			t.Errorf("%q", events)
		}
	})
}

// On a server that is quic-go's own.
func TestAcceptOnStockServer(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !IsConnect(r) {
				t.Errorf("%s %s is no CONNECT", r.Method, r.Proto)
			}
			s, err := Accept(wrapped{w}, r, http.Header{"Sec-Websocket-Protocol": {"chat"}})
			if err != nil {
				t.Error(err)
				return
			}
			if info := s.Info(); info.Proto != "HTTP/3.0" || info.RemoteAddr == nil || info.LocalAddr == nil {
				t.Errorf("%+v", info)
			}
			go echo(s)
		})
		pc := fx.net.ListenPacket(serverAddr)
		conf := clientTLS(nil)
		conf.Certificates = append(conf.Certificates, testCert)
		srv := &http3.Server{Handler: handler, TLSConfig: conf}
		served := make(chan struct{})
		go func() {
			srv.Serve(pc)
			close(served)
		}()
		cc := fx.connect(DialOptions{})
		call := fx.call(cc, "/")
		if resp := fx.want(call, 200); resp.Header.Get("Sec-Websocket-Protocol") != "chat" {
			t.Errorf("%v", resp.Header)
		}
		s := call.Stream()
		big := bytes.Repeat([]byte("0123456789"), 30_000)
		go s.Send(big, nil)
		if got := receiveAll(t, s, len(big)); !bytes.Equal(got, big) {
			t.Error("the echo differs")
		}
		s.Close(time.Second)
		<-s.Done()
		aborted := fx.open(cc, "/")
		aborted.Abort()
		cc.Close()
		srv.Close()
		<-served
		pc.Close()
	})
}

// wrapped is what middleware puts around a response writer.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }
