package h3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

const (
	serverAddr = "10.0.0.2:443"
	serverName = "origin.test"
	rtt        = 100 * time.Millisecond
)

var testCert, testRoots = simnet.Certificate(serverName)

// A fixture is a Server on a simulated network, in fake time.
type fixture struct {
	t        *testing.T
	net      *simnet.Network
	srv      *Server
	sessions Sessions
	served   chan error
}

// inFakeTime runs f with a server that serves handler.
func inFakeTime(t *testing.T, srv *Server, handler http.Handler, f func(*testing.T, *fixture)) {
	t.Helper()
	srv.Handler, srv.ConnectProtocol = handler, true
	withServer(t, srv, f)
}

// withServer runs f with a server.
func withServer(t *testing.T, srv *Server, f func(*testing.T, *fixture)) {
	t.Helper()
	inNetwork(t, func(t *testing.T, fx *fixture) {
		fx.serve(srv)
		f(t, fx)
		fx.srv.Close()
		<-fx.served
		synctest.Wait()
	})
}

// inNetwork runs f without a server.
func inNetwork(t *testing.T, f func(*testing.T, *fixture)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		f(t, &fixture{t: t, net: n})
	})
}

func (fx *fixture) serve(srv *Server) {
	if srv.TLSConfig == nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCert}}
	}
	fx.srv = srv
	fx.served = make(chan error, 1)
	pc := fx.net.ListenPacket(serverAddr)
	go func() { fx.served <- srv.Serve(pc) }()
}

// pass lets so much of a bubble's time pass.
func pass(d time.Duration) { time.Sleep(d) }

func remote() net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)) }

func clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{ServerName: serverName, RootCAs: roots}
}

// dial is Dial to the fixture's server, with its sessions.
func (fx *fixture) dial(opt DialOptions) *ClientConn {
	fx.t.Helper()
	opt.TLS = clientTLS(testRoots)
	opt.Sessions, opt.SessionKey = &fx.sessions, "key"
	cc, err := Dial(fx.t.Context(), fx.net.ListenPacket(":0"), remote(), opt)
	if err != nil {
		fx.t.Fatal(err)
	}
	fx.t.Cleanup(func() { cc.Close() })
	return cc
}

// connect dials and waits for SETTINGS.
func (fx *fixture) connect(opt DialOptions) *ClientConn {
	fx.t.Helper()
	cc := fx.dial(opt)
	<-cc.Settings()
	return cc
}

func connectTo(path string) transport.ConnectRequest {
	return transport.ConnectRequest{
		Scheme: "https", Authority: serverName, Path: path, Header: http.Header{"Sec-Websocket-Version": {"13"}},
	}
}

func (fx *fixture) call(cc *ClientConn, path string) *Call {
	fx.t.Helper()
	call, err := cc.OpenConnect(connectTo(path))
	if err != nil {
		fx.t.Fatal(err)
	}
	return call
}

// open opens a WebSocket's stream.
func (fx *fixture) open(cc *ClientConn, path string) transport.Stream {
	fx.t.Helper()
	call := fx.call(cc, path)
	fx.want(call, 200)
	return call.Stream()
}

// want waits for call's response.
func (fx *fixture) want(call *Call, status int) *http.Response {
	fx.t.Helper()
	resp, err := call.Response(fx.t.Context())
	if err != nil {
		fx.t.Fatal(err)
	}
	if resp.StatusCode != status {
		fx.t.Fatalf("status = %d, want %d", resp.StatusCode, status)
	}
	return resp
}

func (fx *fixture) wantRoundTrips(start time.Time, want float64) {
	fx.t.Helper()
	if got := fx.net.RoundTrips(start); got != want {
		fx.t.Errorf("%.2f round trips, want %.2f", got, want)
	}
}

// takeStream takes the WebSocket that r asks for.
func takeStream(t testing.TB, r *http.Request) transport.Stream {
	a := transport.AcceptorFrom(r.Context())
	if a == nil {
		t.Errorf("no acceptor in the context of %s %s", r.Method, r.URL)
		return nil
	}
	s, err := a.Accept(nil)
	if err != nil {
		t.Errorf("accept: %v", err)
		return nil
	}
	return s
}

// echoCallbacks is a handler that echoes by callbacks and leaves.
func echoCallbacks(t testing.TB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := takeStream(t, r)
		if s == nil {
			return
		}
		s.Handle(func(p []byte, err error) {
			if err != nil {
				s.Close(time.Second)
				return
			}
			s.Send(p, nil)
		})
	})
}

// echoBlocking is a handler that echoes until the client ends its side.
func echoBlocking(t testing.TB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := takeStream(t, r); s != nil {
			echo(s)
		}
	})
}

func echo(s transport.Stream) {
	defer s.Close(time.Second)
	for {
		p, err := s.Receive()
		if err != nil {
			return
		}
		if _, err := s.Send(p, nil); err != nil {
			return
		}
	}
}

// handing is a handler that hands accepted streams over.
func handing(t testing.TB) (http.Handler, <-chan transport.Stream) {
	streams := make(chan transport.Stream, 16)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := takeStream(t, r); s != nil {
			streams <- s
		}
	}), streams
}

func send(t *testing.T, s transport.Stream, text string) {
	t.Helper()
	if _, err := s.Send([]byte(text), nil); err != nil {
		t.Fatal(err)
	}
}

// receiveAll receives n bytes.
func receiveAll(t *testing.T, s transport.Stream, n int) []byte {
	t.Helper()
	var all []byte
	for len(all) < n {
		p, err := s.Receive()
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(all), err)
		}
		all = append(all, p...)
	}
	return all
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
