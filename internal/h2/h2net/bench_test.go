package h2net

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

// benchPair connects a client to a server of h over loopback.
func benchPair(b *testing.B, useTLS bool, h http.Handler) *ClientConn {
	b.Helper()
	var serverConf, clientConf *tls.Config
	if useTLS {
		cert, roots := simnet.Certificate("127.0.0.1")
		serverConf = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}
		clientConf = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &Server{Config: h2.Config{ConnectProtocol: true}}
	go serveListener(ln, serverConf, srv, h)
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	if useTLS {
		t := tls.Client(nc, clientConf)
		if err := t.Handshake(); err != nil {
			b.Fatal(err)
		}
		nc = t
	}
	cc := NewClientConn(nc, ClientOptions{})
	b.Cleanup(func() {
		cc.Close()
		<-cc.Done()
		srv.Close()
		ln.Close()
	})
	return cc
}

func benchOpen(b *testing.B, cc *ClientConn) transport.Stream {
	call, err := cc.OpenConnect(ConnectRequest{Scheme: "http", Authority: "127.0.0.1", Path: "/"})
	if err != nil {
		b.Fatal(err)
	}
	resp, err := call.Response(b.Context())
	if err != nil || resp.StatusCode != 200 {
		b.Fatal(resp, err)
	}
	return call.Stream()
}

// BenchmarkEcho: 100 streams, messages of 125 bytes, server and client in one process, so that a message is counted on
// both ends. The client uses callbacks.
func BenchmarkEcho(b *testing.B) {
	handlers := []struct {
		name string
		h    func(http.ResponseWriter, *http.Request)
	}{{"callbacks", benchCallbacks}, {"blocking", benchBlocking}}
	for _, useTLS := range []bool{false, true} {
		for _, h := range handlers {
			for _, inFlight := range []int{1, 16} {
				name := h.name + "/" + map[bool]string{false: "h2c", true: "TLS"}[useTLS] + "/inflight=" + map[int]string{1: "1", 16: "16"}[inFlight]
				b.Run(name, func(b *testing.B) { benchEcho(b, useTLS, http.HandlerFunc(h.h), inFlight) })
			}
		}
	}
}

func benchCallbacks(w http.ResponseWriter, r *http.Request) {
	s, err := transport.AcceptorFrom(r.Context()).Accept(nil)
	if err != nil {
		return
	}
	s.Handle(func(p []byte, err error) {
		if err != nil {
			s.Close(time.Second)
		} else {
			s.Send(p, nil)
		}
	})
}

func benchBlocking(w http.ResponseWriter, r *http.Request) {
	s, err := transport.AcceptorFrom(r.Context()).Accept(nil)
	if err != nil {
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
}

func benchEcho(b *testing.B, useTLS bool, h http.Handler, inFlight int) {
	const streams, size = 100, 125
	cc := benchPair(b, useTLS, h)
	var left atomic.Int64
	left.Store(int64(b.N) * size)
	done := make(chan struct{})
	msg := make([]byte, size)
	all := make([]transport.Stream, streams)
	for i := range all {
		s := benchOpen(b, cc)
		all[i] = s
		s.Handle(func(p []byte, err error) {
			if err != nil {
				return
			}
			if n := left.Add(-int64(len(p))); n <= 0 && n+int64(len(p)) > 0 {
				close(done)
			} else if n > 0 {
				s.Send(p, nil)
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range inFlight {
		for _, s := range all {
			s.Send(msg, nil)
		}
	}
	<-done
	b.StopTimer()
	for _, s := range all {
		s.Abort()
	}
}

// BenchmarkOpen opens and closes a WebSocket on a live connection, both ends counted.
func BenchmarkOpen(b *testing.B) {
	idle := make(chan struct{}, 1)
	cc := benchPair(b, false, http.HandlerFunc(benchCallbacks))
	cc.opt.Idle = func(*ClientConn) { idle <- struct{}{} }
	b.ReportAllocs()
	for b.Loop() {
		s := benchOpen(b, cc)
		s.Close(time.Second)
		<-idle
	}
}

// BenchmarkResponse: a request and its small answer, both ends counted.
func BenchmarkResponse(b *testing.B) {
	cc := benchPair(b, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	b.ReportAllocs()
	for b.Loop() {
		call, err := cc.OpenConnect(ConnectRequest{Scheme: "http", Authority: "127.0.0.1", Path: "/"})
		if err != nil {
			b.Fatal(err)
		}
		resp, err := call.Response(b.Context())
		if err != nil || resp.StatusCode != http.StatusForbidden {
			b.Fatal(resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBulk sends 1 MiB to and fro, ns per byte of one direction, both ends counted.
func BenchmarkBulk(b *testing.B) {
	for _, useTLS := range []bool{false, true} {
		b.Run(map[bool]string{false: "h2c", true: "TLS"}[useTLS], func(b *testing.B) {
			cc := benchPair(b, useTLS, http.HandlerFunc(benchCallbacks))
			s := benchOpen(b, cc)
			msg := make([]byte, 1<<20)
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				go s.Send(msg, nil)
				for n := 0; n < len(msg); {
					p, err := s.Receive()
					if err != nil {
						b.Fatal(err)
					}
					n += len(p)
				}
			}
			s.Abort()
		})
	}
}

// BenchmarkMemory reports what an open, idle WebSocket that has echoed once holds on both ends.
func BenchmarkMemory(b *testing.B) {
	cc := benchPair(b, false, http.HandlerFunc(benchCallbacks))
	const streams = 900
	var before, after runtime.MemStats
	warm := benchOpen(b, cc)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	all := make([]transport.Stream, streams)
	for i := range all {
		all[i] = benchOpen(b, cc)
		all[i].Send(make([]byte, 125), nil)
		all[i].Receive()
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapInuse+after.StackInuse)-int64(before.HeapInuse+before.StackInuse))/streams, "bytes/pair")
	warm.Abort()
	for _, s := range all {
		s.Abort()
	}
}
