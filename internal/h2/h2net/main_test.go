package h2net

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

const (
	serverAddr = "10.0.0.2:443"
	rtt        = 100 * time.Millisecond
)

// A fixture is a Server on a simulated network, in fake time.
type fixture struct {
	t   *testing.T
	net *simnet.Network
	srv *Server
	ctx context.Context
	opt ConnOptions // of connections that are accepted from now on
}

// inFakeTime runs f with a server that serves handler.
func inFakeTime(t *testing.T, srv *Server, handler http.Handler, f func(*fixture)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		fx := &fixture{t: t, net: n, srv: srv, ctx: t.Context(), opt: ConnOptions{Handler: handler}}
		srv.Config.ConnectProtocol = true
		ln := n.Listen(serverAddr)
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				go srv.ServeConn(nc, fx.opt)
			}
		}()
		f(fx)
		srv.Close()
		synctest.Wait()
	})
}

func (fx *fixture) dial() net.Conn {
	fx.t.Helper()
	nc, err := fx.net.Dial(serverAddr)
	if err != nil {
		fx.t.Fatal(err)
	}
	return nc
}

// connect returns a client of ours, which is closed at the end of the test.
func (fx *fixture) connect(opt ClientOptions) *ClientConn {
	fx.t.Helper()
	cc := NewClientConn(fx.dial(), opt)
	fx.t.Cleanup(func() { cc.Close() })
	return cc
}

// open opens a WebSocket's stream, as far as h2net is concerned.
func (fx *fixture) open(cc *ClientConn, path string) transport.Stream {
	fx.t.Helper()
	call, err := cc.OpenConnect(ConnectRequest{Scheme: "https", Authority: "example.com", Path: path})
	if err != nil {
		fx.t.Fatal(err)
	}
	resp, err := call.Response(fx.ctx)
	if err != nil {
		fx.t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		fx.t.Fatalf("status = %d", resp.StatusCode)
	}
	return call.Stream()
}

// accept takes the WebSocket that r asks for.
func accept(t *testing.T, r *http.Request) transport.Stream {
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
func echoCallbacks(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
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
func echoBlocking(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := accept(t, r)
		if s == nil {
			return
		}
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
	})
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

func wantConfig(cfg h2.Config) *Server {
	return &Server{Config: cfg, ErrorLog: log.New(os.Stderr, "", 0)}
}
