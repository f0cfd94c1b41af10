package h2net

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/simnet"
)

func TestShutdown(t *testing.T) {
	var got struct {
		sync.Mutex
		goAways []uint32
	}
	inFakeTime(t, &Server{}, echoBlocking(t), func(fx *fixture) {
		idle, busy := fx.connect(ClientOptions{}), fx.connect(ClientOptions{})
		idle.Start()
		s := fx.open(busy, "/")
		time.Sleep(time.Second)
		fx.net.Tap(func(seg simnet.Segment) {
			got.Lock()
			defer got.Unlock()
			for b := seg.Data; !seg.Client && len(b) > 0; {
				h, _ := wire.ParseFrameHeader(b)
				if h.Type == wire.GoAway && seg.To == busy.nc.LocalAddr().String() {
					last, _, _, _ := wire.ParseGoAway(b[wire.HeaderLen:][:h.Length])
					got.goAways = append(got.goAways, last)
				}
				b = b[wire.HeaderLen+int(h.Length):]
			}
		})
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- fx.srv.Shutdown(fx.ctx) }()

		var ce *ConnError
		<-idle.Done()
		if err := idle.Err(); !errors.As(err, &ce) || !ce.GoAway || ce.Code != wire.NoError {
			t.Errorf("idle connection: %#v", err)
		}
		if d := time.Since(start); d != rtt/2 {
			t.Errorf("the idle connection was closed after %v", d)
		}
		time.Sleep(time.Second)
		if st := busy.State(); !st.Draining || st.Slots != 0 || st.Streams != 1 {
			t.Errorf("busy connection: %+v", st)
		}
		if _, err := busy.OpenConnect(ConnectRequest{}); !errors.Is(err, ErrNoSlot) {
			t.Errorf("OpenConnect = %v", err)
		}
		s.Send([]byte("still"), nil)
		receiveAll(t, s, 5)
		select {
		case err := <-done:
			t.Errorf("Shutdown returned %v with a stream open", err)
		default:
		}
		s.Close(time.Second)
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		got.Lock()
		defer got.Unlock()
		if !slices.Equal(got.goAways, []uint32{wire.MaxStreamID, 1}) {
			t.Errorf("last stream identifiers: %v", got.goAways)
		}
	})
}

func TestShutdownGivesUp(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		fx.open(fx.connect(ClientOptions{}), "/")
		ctx, cancel := context.WithTimeout(fx.ctx, 3*time.Second)
		defer cancel()
		if err := fx.srv.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

// A response that waits for the client's window is written whole before a drained connection closes.
func TestShutdownFinishesResponses(t *testing.T) {
	inFakeTime(t, &Server{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		w.Write(pattern(100_000))
	}), func(fx *fixture) {
		cc := fx.connect(ClientOptions{Config: h2.Config{InitialWindowSize: 65535}})
		call, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := call.Response(fx.ctx)
		if err != nil {
			t.Fatal(err)
		}
		go fx.srv.Shutdown(fx.ctx)
		time.Sleep(5 * time.Second)
		if body, err := io.ReadAll(resp.Body); string(body) != string(pattern(100_000)) || err != nil {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		<-cc.Done()
	})
}

func TestIdleTimeout(t *testing.T) {
	inFakeTime(t, &Server{IdleTimeout: 10 * time.Second}, echoCallbacks(t), func(fx *fixture) {
		cc := fx.connect(ClientOptions{})
		s := fx.open(cc, "/")
		time.Sleep(time.Minute)
		start := time.Now()
		s.Close(time.Second)
		<-cc.Done()
		if d := time.Since(start); d != 10*time.Second+rtt {
			t.Errorf("closed after %v", d)
		}
		var ce *ConnError
		if err := cc.Err(); !errors.As(err, &ce) || !ce.GoAway || ce.Initiator != h2.Peer {
			t.Errorf("Err = %#v", err)
		}
	})
}

func TestConnState(t *testing.T) {
	var mu sync.Mutex
	var states []string
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		client, server := net.Pipe()
		srv := &Server{Config: h2.Config{ConnectProtocol: true}}
		go srv.ServeConn(server, ConnOptions{Handler: echoCallbacks(t), State: func(nc net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s.String())
			if nc != server {
				t.Error("another connection")
			}
		}})
		fx := &fixture{t: t, net: n, srv: srv, ctx: t.Context()}
		cc := NewClientConn(client, ClientOptions{})
		a, b := fx.open(cc, "/"), fx.open(cc, "/")
		a.Close(time.Second)
		time.Sleep(time.Second)
		b.Close(time.Second)
		time.Sleep(time.Second)
		fx.open(cc, "/").Abort()
		time.Sleep(time.Second)
		cc.Close()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"active", "idle", "active", "idle"}; !slices.Equal(states, want) {
			t.Errorf("states: %v, want %v", states, want)
		}
	})
}

func TestPrefaceRead(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		client, server := net.Pipe()
		srv := &Server{Config: h2.Config{ConnectProtocol: true}}
		go func() {
			io.ReadFull(server, make([]byte, len(wire.ClientPreface)))
			srv.ServeConn(server, ConnOptions{Handler: echoCallbacks(t), PrefaceRead: true})
		}()
		fx := &fixture{t: t, net: n, srv: srv, ctx: t.Context()}
		cc := NewClientConn(client, ClientOptions{})
		s := fx.open(cc, "/")
		s.Send([]byte("x"), nil)
		receiveAll(t, s, 1)
		cc.Close()
	})
}

// What TLS must be like for HTTP/2, and close_notify at the end.
func TestTLS(t *testing.T) {
	cert, roots := simnet.Certificate("example.com")
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(serverAddr)
		srv := &Server{Config: h2.Config{ConnectProtocol: true}}
		go serveListener(ln, &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"},
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || r.TLS.NegotiatedProtocol != "h2" {
				t.Errorf("TLS state: %+v", r.TLS)
			}
			echoCallbacks(t).ServeHTTP(w, r)
		}))
		fx := &fixture{t: t, net: n, srv: srv, ctx: t.Context()}
		dial := func(conf *tls.Config) *tls.Conn {
			conf.RootCAs, conf.ServerName, conf.NextProtos = roots, "example.com", []string{"h2"}
			c := tls.Client(fx.dial(), conf)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			return c
		}
		cc := NewClientConn(dial(&tls.Config{}), ClientOptions{})
		s := fx.open(cc, "/")
		s.Send([]byte("x"), nil)
		receiveAll(t, s, 1)
		if !s.Info().Secure {
			t.Error("Info does not say that it is secure")
		}
		cc.Close()

		// TLS 1.2 with a suite of Appendix A: the server says so.
		c := dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}})
		fr := http2.NewFramer(c, c)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := f.(*http2.GoAwayFrame); ok {
				if f.ErrCode != http2.ErrCodeInadequateSecurity {
					t.Errorf("GOAWAY %v %q", f.ErrCode, f.DebugData())
				}
				break
			}
		}
		if _, err := fr.ReadFrame(); err != io.EOF {
			t.Errorf("after GOAWAY: %v, want close_notify", err)
		}
		c.Close()

		// And the client.
		cc = NewClientConn(dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}),
			ClientOptions{})
		cc.Start()
		<-cc.Done()
		var ce *ConnError
		if err := cc.Err(); !errors.As(err, &ce) || ce.Code != wire.InadequateSecurity {
			t.Errorf("client: %v", err)
		}
		srv.Close()
		synctest.Wait()
	})
}

// Violations are told, and the connection ends with GOAWAY.
func TestViolation(t *testing.T) {
	var mu sync.Mutex
	var names []string
	srv := &Server{Violation: func(remote net.Addr, v *h2.Violation, detail string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, v.Name)
	}}
	inFakeTime(t, srv, echoCallbacks(t), func(fx *fixture) {
		nc := fx.dial()
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		fr := http2.NewFramer(nc, nc)
		var last http2.Frame
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				if err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
				break
			}
			last = f
		}
		if f, ok := last.(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("last frame: %v", last)
		}
		nc.Close()
		mu.Lock()
		defer mu.Unlock()
		if len(names) != 1 {
			t.Errorf("violations: %v", names)
		}
	})
}

// A client that does not read costs the connection when WriteTimeout has passed.
func TestPeerDoesNotRead(t *testing.T) {
	srv := &Server{WriteTimeout: 5 * time.Second}
	inFakeTime(t, srv, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 10_000))
		}
		var ce *ConnError
		if !errors.As(err, &ce) || !errors.Is(err, os.ErrDeadlineExceeded) || r.Context().Err() == nil {
			t.Errorf("Write: %#v", err)
		}
		if d := time.Since(start); d < 2*time.Second || d > 6*time.Second {
			t.Errorf("Write failed after %v", d)
		}
	}), func(fx *fixture) {
		fx.net.SetLink(serverAddr, simnet.Link{SendBuffer: 20_000})
		nc := fx.dial()
		io.WriteString(nc, wire.ClientPreface)
		fr := http2.NewFramer(nc, nc)
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		fr.WriteWindowUpdate(0, 1<<30)
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
		time.Sleep(30 * time.Second)
		nc.Close()
	})
}

// A client that connects and says nothing is sent away by the engine's timeout.
func TestSilentClient(t *testing.T) {
	inFakeTime(t, &Server{}, echoCallbacks(t), func(fx *fixture) {
		nc := fx.dial()
		start := time.Now()
		io.Copy(io.Discard, nc)
		if d := time.Since(start); d != 10*time.Second+rtt { // from Accept on, and GOAWAY's way
			t.Errorf("the connection was closed after %v", d)
		}
		nc.Close()
	})
}
