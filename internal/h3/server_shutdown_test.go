package h3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/quic-go/quic-go"

	"github.com/weftws/weft/internal/simnet"
)

// Shutdown refuses new requests, lets the old ones end, and returns then.
func TestServerShutdown(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		h, served := handing(t)
		fx.serve(&Server{Handler: h, ConnectProtocol: true})
		idle, busy := fx.connect(DialOptions{KeepAlive: 10 * time.Second}), fx.connect(DialOptions{KeepAlive: 10 * time.Second})
		client, server := fx.pair(busy, served)
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- fx.srv.Shutdown(context.Background()) }()
		if err := <-fx.served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		<-idle.Done()
		if d := time.Since(start); d != rtt/2 {
			t.Errorf("the idle connection ended after %v", d)
		}
		synctest.Wait()
		if st := busy.State(); !st.Draining {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		send(t, client, "hi")
		receiveAll(t, server, 2)
		server.Close(time.Minute)
		if _, err := client.Receive(); err != io.EOF {
			t.Errorf("Receive: %v", err)
		}
		client.Close(time.Minute)
		start = time.Now()
		if err := <-done; err != nil || time.Since(start) > rtt {
			t.Errorf("Shutdown: %v, %v after the last stream", err, time.Since(start))
		}
		<-busy.Done()
	})
}

// A client that keeps its connection after GOAWAY loses it when nothing is left on it.
func TestServerShutdownIdleClient(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		release := make(chan struct{})
		fx.serve(&Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release })})
		pc := fx.net.ListenPacket(":0")
		tr := &quic.Transport{Conn: pc}
		conf := clientTLS(testRoots)
		conf.NextProtos = []string{"h3"}
		q, err := tr.Dial(t.Context(), remote(), conf, &quic.Config{KeepAlivePeriod: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		s, err := q.OpenStream() // of HTTP/3 it speaks a request, and never reads
		if err != nil {
			t.Fatal(err)
		}
		s.Write(headersOf(":method", "GET", ":scheme", "https", ":authority", serverName, ":path", "/"))
		s.Close()
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() { done <- fx.srv.Shutdown(context.Background()) }()
		time.Sleep(20 * time.Second)
		if q.Context().Err() != nil {
			t.Error("the connection was closed under a request")
		}
		close(release)
		start := time.Now()
		if err := <-done; err != nil || time.Since(start) != drainTimeout {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		<-q.Context().Done()
		if e, ok := errors.AsType[*quic.ApplicationError](context.Cause(q.Context())); !ok || e.ErrorCode != 0x100 {
			t.Errorf("%v", context.Cause(q.Context()))
		}
		tr.Close()
		pc.Close()
		<-fx.served
	})
}

func TestServerShutdownTimeout(t *testing.T) {
	inNetwork(t, func(t *testing.T, fx *fixture) {
		fx.serve(&Server{Handler: echoCallbacks(t), ConnectProtocol: true})
		cc := fx.connect(DialOptions{})
		s := fx.open(cc, "/")
		ctx, cancel := within(10 * time.Second)
		defer cancel()
		start := time.Now()
		if err := fx.srv.Shutdown(ctx); err != context.DeadlineExceeded || time.Since(start) != 10*time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		_, err := s.Receive()
		if ce := connErr(t, err); ce.Local || ce.Code != 0x100 {
			t.Errorf("%+v", ce)
		}
		<-fx.served
		if err := fx.srv.Serve(fx.net.ListenPacket(serverAddr)); err != http.ErrServerClosed {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestServerIdleTimeout(t *testing.T) {
	inFakeTime(t, &Server{IdleTimeout: time.Minute}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		cc := fx.connect(DialOptions{KeepAlive: 10 * time.Second})
		s := fx.open(cc, "/")
		time.Sleep(10 * time.Minute)
		if cc.Err() != nil {
			t.Fatalf("ended with a stream on it: %v", cc.Err())
		}
		s.Close(time.Second)
		<-s.Done()
		start := time.Now()
		<-cc.Done()
		if d := time.Since(start); d < time.Minute || d > time.Minute+rtt {
			t.Errorf("ended after %v: %v", d, cc.Err())
		}
	})
}

// A connection that is over, whose client has gone in the middle of the handshake for one, is not kept until it would have been idle for too long.
func TestServerForgetsConnections(t *testing.T) {
	inFakeTime(t, &Server{IdleTimeout: time.Hour}, echoCallbacks(t), func(t *testing.T, fx *fixture) {
		fx.open(fx.connect(DialOptions{}), "/")
		ctx, cancel := context.WithTimeout(t.Context(), rtt*3/4)
		defer cancel()
		if _, err := Dial(ctx, fx.net.ListenPacket(":0"), remote(), DialOptions{TLS: clientTLS(testRoots)}); err == nil {
			t.Error("the handshake was complete")
		}
		var conns []weak.Pointer[quic.Conn]
		fx.srv.mu.Lock()
		for sc := range fx.srv.conns {
			conns = append(conns, weak.Make(sc.q))
		}
		fx.srv.mu.Unlock()
		if len(conns) != 2 {
			t.Errorf("%d connections", len(conns))
		}
		fx.net.SetUDP("", simnet.UDP{Block: true}) // the other one goes in silence
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		runtime.GC()
		runtime.GC()
		for _, p := range conns {
			if p.Value() != nil {
				t.Error("a connection is kept")
			}
		}
		fx.net.SetUDP("", simnet.UDP{})
	})
}
