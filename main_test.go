package weft_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rtt is a round trip of the simulated network; a test that counts them divides by it.
const rtt = 100 * time.Millisecond

// A carrier is a way for a WebSocket to travel. The WebSocket tests run over each.
type carrier struct {
	name   string
	scheme string
	rungs  []weft.Rung
	h2c    bool
	quic   bool
}

// Those on TCP are tested with peers that are written by hand, too.
var onTCP = []carrier{
	{name: "h1", scheme: "ws", rungs: []weft.Rung{weft.Upgrade}},
	{name: "h1+tls", scheme: "wss", rungs: []weft.Rung{weft.Upgrade}},
	{name: "h2+tls", scheme: "wss", rungs: []weft.Rung{weft.Settings}},
	{name: "h2c", scheme: "ws", rungs: []weft.Rung{weft.Settings}, h2c: true},
}

var carriers = append(slices.Clone(onTCP), carrier{name: "h3", scheme: "wss", rungs: []weft.Rung{weft.H3}, quic: true})

// An env is a server and a dialer on a simulated network.
type env struct {
	t       *testing.T
	ctx     context.Context
	net     *simnet.Network
	server  *weft.Server
	dialer  *weft.Dialer
	url     string // of the server, without path
	carrier carrier
}

const serverAddr = "10.0.0.2:443"

// overEach runs f over every carrier in fake time. h handles every request.
func overEach(t *testing.T, h http.HandlerFunc, f func(t *testing.T, e *env)) {
	t.Helper()
	overEachOf(t, carriers, h, f)
}

func overEachOf(t *testing.T, carriers []carrier, h http.HandlerFunc, f func(t *testing.T, e *env)) {
	t.Helper()
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) { over(t, c, h, f) })
	}
}

func over(t *testing.T, c carrier, h http.Handler, f func(t *testing.T, e *env)) {
	t.Helper()
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		f(t, newEnv(t, n, c, h, nil))
	})
}

// newEnv starts a server for c on n; mod may change it first.
func newEnv(t *testing.T, n *simnet.Network, c carrier, h http.Handler, mod func(*weft.Server)) *env {
	wantBuffersBack(t, inFakeTime)
	cert, roots := simnet.Certificate("example.com")
	n.AddHost("example.com", "10.0.0.2")
	e := &env{t: t, net: n, carrier: c, url: c.scheme + "://example.com:443"}
	e.ctx = t.Context()
	e.server = &weft.Server{
		Handler:   h,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	if mod != nil {
		mod(e.server)
	}
	e.serve(e.server)
	e.dialer = &weft.Dialer{
		TLSConfig:      &tls.Config{RootCAs: roots},
		Policy:         weft.Policy{Rungs: c.rungs},
		NetDial:        n.DialContext,
		NetDialUDP:     n.DialUDP,
		PriorKnowledge: c.h2c,
	}
	t.Cleanup(func() { e.dialer.Close() })
	return e
}

// serve starts s, which is closed with the test.
func (e *env) serve(s *weft.Server) {
	var serve func() error
	if e.carrier.quic {
		pc := e.net.ListenPacket(serverAddr)
		serve = func() error { return s.ServeQUIC(pc) }
	} else {
		l := e.net.Listen(serverAddr)
		serve = func() error {
			if e.carrier.scheme == "wss" {
				return s.ServeTLS(l, "", "")
			}
			return s.Serve(l)
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve()
	}()
	e.t.Cleanup(func() {
		s.Close()
		<-served
	})
}

// dial opens a WebSocket that must open.
func (e *env) dial(path string, opts *weft.DialOptions) *weft.Conn {
	e.t.Helper()
	c, _, err := e.dialer.Dial(e.ctx, e.url+path, opts)
	if err != nil {
		e.t.Fatalf("Dial: %v", err)
	}
	return c
}

// echo is a handler that sends every message back, with Read and Write.
func echo(w http.ResponseWriter, r *http.Request) { echoWith(nil)(w, r) }

func echoWith(opts *weft.AcceptOptions) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, opts)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(64 << 20)
		for {
			typ, p, err := c.Read(context.Background())
			if err != nil {
				return
			}
			if err := c.Write(context.Background(), typ, p); err != nil {
				return
			}
		}
	}
}

// echoCallbacks is echo with a Handler.
func echoCallbacks(w http.ResponseWriter, r *http.Request) {
	c, err := weft.Accept(w, r, nil)
	if err != nil {
		return
	}
	c.SetReadLimit(64 << 20)
	c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
		c.Write(context.Background(), typ, p)
	}})
}
