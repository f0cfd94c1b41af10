package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

var request = UpgradeRequest{
	Host: "origin.test",
	Path: "/chat?room=1",
	Header: http.Header{
		"Upgrade":               {"websocket"},
		"Connection":            {"Upgrade"},
		"Sec-Websocket-Version": {"13"},
		"Host":                  {"ignored"},
	},
}

const wantRequest = "GET /chat?room=1 HTTP/1.1\r\nHost: origin.test\r\n" +
	"Connection: Upgrade\r\nSec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

// answer reads the request on peer and writes response.
func answer(t *testing.T, peer net.Conn, response string) {
	t.Helper()
	wantRead(t, peer, wantRequest)
	write(t, peer, response)
}

func TestUpgrade(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		defer peer.Close()
		writes := n.Stats().Writes
		start := time.Now()
		go answer(t, peer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+switching+"first bytes")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		res, s, err := Upgrade(ctx, ours, request, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Abort()
		if d := time.Since(start); d != rtt {
			t.Errorf("took %v, want one round trip", d)
		}
		if w := n.Stats().Writes - writes; w != 2 {
			t.Errorf("%d Writes, want one of ours and one of the server's", w)
		}
		if res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" {
			t.Errorf("response %v", res)
		}
		// The context bounded the handshake alone.
		cancel()
		time.Sleep(2 * time.Second)
		wantReceive(t, s.(*Stream), "first bytes")
		write(t, peer, "more")
		wantReceive(t, s.(*Stream), "more")
		wantSend(t, s.(*Stream), "", "hello")
		wantRead(t, peer, "hello")
	})
}

func TestUpgradeRefused(t *testing.T) {
	for name, body := range map[string]string{
		"length":  "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nno way!",
		"chunked": "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n4\r\nway!\r\n0\r\n\r\n",
		"end":     "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno way!",
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				ours, peer := dialPair(t, n, false)
				defer peer.Close()
				go func() {
					answer(t, peer, body)
					if name == "end" {
						closeWrite(t, peer)
					}
				}()
				res, s, err := Upgrade(t.Context(), ours, request, Options{})
				if err != nil || s != nil || res.StatusCode != 403 {
					t.Fatalf("Upgrade: %v, %v, %v", res, s, err)
				}
				if p, err := io.ReadAll(res.Body); string(p) != "no way!" || err != nil {
					t.Errorf("body %q, %v", p, err)
				}
				res.Body.Close()
				wantOpen(t, n, 1)
			})
		})
	}
}

// A body that does not end is cut at 1 MiB, or after 30 s.
func TestUpgradeRefusedAtLength(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ours, peer := dialPair(t, n, false)
		defer peer.Close()
		go answer(t, peer, "HTTP/1.1 403 Forbidden\r\n\r\n"+strings.Repeat("x", maxResponseBody+1))
		res, _, err := Upgrade(t.Context(), ours, request, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(res.Body); len(p) != maxResponseBody || err != nil {
			t.Errorf("body of %d bytes, %v", len(p), err)
		}
		res.Body.Close()
	})
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ours, peer := dialPair(t, n, false)
		defer peer.Close()
		go answer(t, peer, "HTTP/1.1 403 Forbidden\r\n\r\nx")
		res, _, err := Upgrade(t.Context(), ours, request, Options{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if p, err := io.ReadAll(res.Body); string(p) != "x" || err == nil {
			t.Errorf("body %q, %v", p, err)
		}
		if d := time.Since(start); d != bodyTimeout {
			t.Errorf("after %v", d)
		}
		res.Body.Close()
	})
}

func TestUpgradeFails(t *testing.T) {
	long := "X-Long: " + strings.Repeat("x", 1000) + "\r\n"
	for name, c := range map[string]struct{ response, want string }{
		"nothing":       {"", "server closed the connection before its response"},
		"half":          {"HTTP/1.1 101 Swi", "server closed the connection before its response"},
		"a letter":      {"H", "server closed the connection before its response"},
		"half a field":  {"HTTP/1.1 101 Switching Protocols\r\nUpgr", "server closed the connection before its response"},
		"no http":       {"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "no valid response"},
		"no status":     {"HTTP/1.1 abc\r\n\r\n", "no valid response"},
		"bad field":     {"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n", "no valid response"},
		"long header":   {"HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat(long, 100) + "\r\n", "exceeds 65536 bytes"},
		"long line":     {"HTTP/1.1 101 " + strings.Repeat("x", 100_000), "exceeds 65536 bytes"},
		"only interims": {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), "16 interim responses"},
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				ours, peer := dialPair(t, n, false)
				go func() {
					answer(t, peer, c.response)
					peer.Close()
				}()
				_, s, err := Upgrade(t.Context(), ours, request, Options{})
				if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Upgrade: %v, %v; want an error with %q", s, err, c.want)
				}
				ours.Close()
			})
		})
	}
}

func TestUpgradeContext(t *testing.T) {
	gaveUp := errors.New("gave up")
	for name, c := range map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		want    error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		"cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(gaveUp) })
			return ctx, func() { cancel(nil) }
		}, gaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
				defer peer.Close()
				ctx, cancel := c.context(t.Context())
				defer cancel()
				start := time.Now()
				_, s, err := Upgrade(ctx, ours, request, Options{})
				if s != nil || !errors.Is(err, c.want) {
					t.Errorf("Upgrade: %v, %v; want %v", s, err, c.want)
				}
				if d := time.Since(start); d != time.Second {
					t.Errorf("after %v", d)
				}
				wantOpen(t, n, 2) // the connection is the caller's
				ours.Close()
			})
		})
	}
}

func TestUpgradeRequestIsChecked(t *testing.T) {
	for want, r := range map[string]UpgradeRequest{
		`host ""`:                           {Path: "/"},
		`host "a b"`:                        {Host: "a b", Path: "/"},
		`host "a\r\nX: y"`:                  {Host: "a\r\nX: y", Path: "/"},
		`path ""`:                           {Host: "a"},
		`path "x"`:                          {Host: "a", Path: "x"},
		`path "/ HTTP/1.1"`:                 {Host: "a", Path: "/ HTTP/1.1"},
		`path "/ä"`:                         {Host: "a", Path: "/ä"},
		`field name "X:"`:                   {Host: "a", Path: "/", Header: http.Header{"X:": {"y"}}},
		`field name ""`:                     {Host: "a", Path: "/", Header: http.Header{"": {"y"}}},
		"value of header field X has":       {Host: "a", Path: "/", Header: http.Header{"X": {"a", "y\r\nZ: z"}}},
		"field Content-Length has no place": {Host: "a", Path: "/", Header: http.Header{"Content-Length": {"3"}}},
	} {
		// Nothing is written: the connection is nil.
		if _, _, err := Upgrade(t.Context(), nil, r, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Upgrade: %v, want an error with %q", err, want)
		}
	}
}

// serve runs net/http's server over the simulated network.
func serve(t *testing.T, n *simnet.Network, secure bool, handler http.HandlerFunc) *tls.Config {
	ln := net.Listener(n.Listen(addr))
	cert, roots := simnet.Certificate("origin.test")
	if secure {
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	server := &http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return &tls.Config{RootCAs: roots, ServerName: "origin.test"}
}

// Both sides of ours through net/http's server: three round trips over TLS, and the server's timeouts are over.
func TestAccept(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				accepted := make(chan transport.Stream, 1)
				config := serve(t, n, secure, func(w http.ResponseWriter, r *http.Request) {
					s, err := Accept(w, r, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
					if err != nil {
						t.Error(err)
					}
					accepted <- s // outlives the handler
				})
				start := time.Now()
				nc, err := n.Dial(addr)
				if err != nil {
					t.Fatal(err)
				}
				want := 2 * rtt
				if secure {
					nc = tls.Client(nc, config)
					want = 3 * rtt
				}
				res, client, err := Upgrade(t.Context(), nc, request, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != want {
					t.Errorf("the WebSocket is open after %v, want %v", d, want)
				}
				if len(res.Header) != 2 {
					t.Errorf("header of the 101: %v", res.Header)
				}
				server := <-accepted
				if server.Info().Secure != secure || client.Info().Secure != secure {
					t.Errorf("secure: %v and %v", server.Info(), client.Info())
				}
				time.Sleep(time.Minute)
				wantSend(t, client.(*Stream), "", "ping")
				wantReceive(t, server.(*Stream), "ping")
				wantSend(t, server.(*Stream), "", "pong")
				wantReceive(t, client.(*Stream), "pong")
				client.Close(time.Second)
				wantReceiveError(t, server.(*Stream), io.EOF)
				server.Close(time.Second)
				time.Sleep(rtt)
				synctest.Wait()
				if open := n.Stats().EndsOpen; open != 0 {
					t.Errorf("%d ends are open", open)
				}
			})
		})
	}
}

// What a client sends before the 101 is not lost.
func TestAcceptEarlyData(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		got := make(chan string, 1)
		serve(t, n, false, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
			if err != nil {
				t.Error(err)
				return
			}
			wantReceive(t, s.(*Stream), "early")
			got <- "early"
			s.Close(time.Second)
		})
		nc, err := n.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		write(t, nc, wantRequest+"early")
		<-got
		br := bufio.NewReader(nc)
		if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
			t.Errorf("response: %v, %v", res, err)
		}
		nc.Close()
	})
}

func TestAcceptFails(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	if _, err := Accept(w, r, nil); !errors.Is(err, http.ErrNotSupported) || !strings.Contains(err.Error(), "*httptest.ResponseRecorder (HTTP/1.1)") {
		t.Errorf("Accept on a recorder: %v", err)
	}
	if _, err := Accept(w, r, http.Header{"Sec-Websocket-Protocol": {"a\r\nSet-Cookie: b"}}); err == nil || errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Accept with an injected field: %v", err)
	}
}
