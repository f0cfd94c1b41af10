package weft_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// Shutdown closes every WebSocket with 1001 and waits for it.
func TestServerShutdown(t *testing.T) {
	overEach(t, echoCallbacks, func(t *testing.T, e *env) {
		const n = 10
		var wg sync.WaitGroup
		for range n {
			c := e.dial("/", nil)
			wg.Go(func() {
				_, _, err := c.Read(context.Background())
				if weft.CloseStatus(err) != weft.StatusGoingAway {
					t.Errorf("Read: %v, want a Close frame with 1001", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := e.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		wg.Wait()
		if _, _, err := e.dialer.Dial(e.ctx, e.url, nil); err == nil {
			t.Error("Dial after Shutdown succeeded")
		}
	})
}

// A peer that does not answer the Close frame holds Shutdown up no longer than its context.
func TestServerShutdownWithDeafPeer(t *testing.T) {
	overEach(t, echoCallbacks, func(t *testing.T, e *env) {
		c := e.dial("/", nil) // nobody reads
		defer c.CloseNow()
		ctx, cancel := context.WithTimeout(e.ctx, time.Second)
		defer cancel()
		start := time.Now()
		if err := e.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		if err := e.server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// ConfigureServer works with an http.Server of the user's, its ServeMux with methods, and ordinary requests beside WebSockets.
func TestConfigureServer(t *testing.T) {
	for _, c := range []carrier{carriers[1], carriers[2]} {
		t.Run(c.name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				mux := http.NewServeMux()
				mux.HandleFunc("GET /ws", echo)
				mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
				cert, roots := simnet.Certificate("example.com")
				n.AddHost("example.com", "10.0.0.2")
				s := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
				if err := weft.ConfigureServer(s, nil); err != nil {
					t.Fatal(err)
				}
				if err := weft.ConfigureServer(s, nil); err == nil {
					t.Error("a second ConfigureServer succeeded")
				}
				l := n.Listen(serverAddr)
				served := make(chan error, 1)
				go func() { served <- s.ServeTLS(l, "", "") }()

				d := &weft.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, NetDial: n.DialContext, Policy: weft.Policy{Rungs: c.rungs}}
				defer d.Close()
				ws, _, err := d.Dial(t.Context(), "wss://example.com/ws", nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := ws.Write(t.Context(), weft.MessageText, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				if _, p, err := ws.Read(t.Context()); err != nil || string(p) != "hello" {
					t.Fatalf("%q, %v", p, err)
				}

				tr := &http.Transport{DialContext: n.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
				defer tr.CloseIdleConnections()
				res, err := (&http.Client{Transport: tr}).Get("https://example.com/page")
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if string(b) != "HTTP/2.0" {
					t.Errorf("an ordinary request came by %q", b)
				}
				tr.CloseIdleConnections()

				got := make(chan error, 1)
				go func() {
					_, _, err := ws.Read(t.Context())
					got <- err
				}()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if err := <-got; weft.CloseStatus(err) != weft.StatusGoingAway {
					t.Errorf("Read: %v, want a Close frame with 1001", err)
				}
				if err := <-served; err != http.ErrServerClosed {
					t.Error(err)
				}
			})
		})
	}
}

func TestSubprotocol(t *testing.T) {
	overEach(t, echoWith(&weft.AcceptOptions{Subprotocols: []string{"b", "a"}}), func(t *testing.T, e *env) {
		for _, tt := range []struct {
			offer []string
			want  string
		}{{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "b"}, "b"}, {[]string{"x"}, ""}} {
			c := e.dial("/", &weft.DialOptions{Subprotocols: tt.offer})
			if c.Subprotocol() != tt.want {
				t.Errorf("offer %q: %q, want %q", tt.offer, c.Subprotocol(), tt.want)
			}
			c.CloseNow()
		}
	})
}

func TestOrigin(t *testing.T) {
	overEach(t, echoWith(&weft.AcceptOptions{OriginPatterns: []string{"*.friend.example"}}), func(t *testing.T, e *env) {
		own := map[string]string{"ws": "http", "wss": "https"}[e.carrier.scheme] + "://example.com:443"
		for origin, ok := range map[string]bool{
			own: true, "https://a.friend.example": true, "https://evil.example": false, "null": false,
		} {
			c, res, err := e.dialer.Dial(e.ctx, e.url, &weft.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
			if (err == nil) != ok {
				t.Errorf("origin %s: %v", origin, err)
			}
			if c != nil {
				c.CloseNow()
			} else if res == nil || res.StatusCode != http.StatusForbidden {
				t.Errorf("origin %s: response %v", origin, res)
			} else {
				res.Body.Close()
			}
		}
	})
}

func TestCompression(t *testing.T) {
	text := []byte(strings.Repeat(`{"name":"weft","over":["HTTP/1.1","HTTP/2"]}`, 100))
	for _, server := range []weft.CompressionMode{weft.CompressionDisabled, weft.CompressionContextTakeover, weft.CompressionNoContextTakeover} {
		for _, client := range []weft.CompressionMode{weft.CompressionDisabled, weft.CompressionContextTakeover, weft.CompressionNoContextTakeover} {
			t.Run(fmt.Sprintf("server %d client %d", server, client), func(t *testing.T) {
				overEach(t, echoWith(&weft.AcceptOptions{CompressionMode: server}), func(t *testing.T, e *env) {
					c := e.dial("/", &weft.DialOptions{CompressionMode: client})
					defer c.CloseNow()
					if want := server != 0 && client != 0; (c.Trace().Compression != "") != want {
						t.Errorf("compression is %q", c.Trace().Compression)
					}
					for range 5 {
						if err := c.Write(e.ctx, weft.MessageText, text); err != nil {
							t.Fatal(err)
						}
						w, err := c.Writer(e.ctx, weft.MessageText)
						if err != nil {
							t.Fatal(err)
						}
						w.Write(text[:1000])
						w.Write(text[1000:])
						if err := w.Close(); err != nil {
							t.Fatal(err)
						}
						for range 2 {
							if _, p, err := c.Read(e.ctx); err != nil || string(p) != string(text) {
								t.Fatalf("%d bytes came back, want %d: %v", len(p), len(text), err)
							}
						}
					}
					if err := c.Close(weft.StatusNormalClosure, ""); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Requests that are no WebSocket's get an answer that says what would be right.
func TestAcceptRefuses(t *testing.T) {
	overEachOf(t, onTCP, func(w http.ResponseWriter, r *http.Request) {
		if c, err := weft.Accept(w, r, nil); err == nil {
			c.CloseNow()
		} else if he := (*weft.HandshakeError)(nil); !errors.As(err, &he) || he.StatusCode == 0 {
			t.Errorf("Accept: %#v", err)
		}
	}, func(t *testing.T, e *env) {
		tr := &http.Transport{DialContext: e.net.DialContext, TLSClientConfig: e.dialer.TLSConfig.Clone(), Protocols: new(http.Protocols)}
		defer tr.CloseIdleConnections()
		h2 := strings.HasPrefix(e.carrier.name, "h2")
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetHTTP2(h2)
		tr.Protocols.SetUnencryptedHTTP2(h2)
		url := strings.Replace(e.url, "ws", "http", 1)
		res, err := (&http.Client{Transport: tr}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusUpgradeRequired || len(b) == 0 {
			t.Errorf("a plain GET got %s: %s", res.Status, b)
		}
	})
}

// The listener's connection is found under the one that ConnContext gets, also where no address is counted.
func TestNetConnOfServer(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		found := make(chan net.Conn, 1)
		cert, _ := simnet.Certificate("example.com")
		s := &weft.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				for {
					u, ok := c.(interface{ NetConn() net.Conn })
					if !ok {
						break
					}
					c = u.NetConn()
				}
				found <- c
				return ctx
			},
		}
		l := n.Listen(serverAddr)
		served := make(chan error, 1)
		go func() { served <- s.ServeTLS(l, "", "") }()
		c, err := n.Dial(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		if nc, ok := (<-found).(*simnet.Conn); !ok {
			t.Errorf("found %T", nc)
		}
		c.Close()
		s.Close()
		<-served
	})
}
