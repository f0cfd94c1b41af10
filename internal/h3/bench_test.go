//go:build unix

package h3

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// BenchmarkEcho: 100 streams on one connection over loopback, messages of 125 bytes, server and client in one process, so that
// a message is counted on both ends. byhand is quic-go's http3 alone, on both ends; server is ours with that client.
func BenchmarkEcho(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		name := "inflight=" + strconv.Itoa(inFlight)
		b.Run("callbacks/"+name, func(b *testing.B) { benchEcho(b, benchOwn(b, echoCallbacks), inFlight) })
		b.Run("blocking/"+name, func(b *testing.B) { benchEcho(b, benchOwn(b, echoBlocking), inFlight) })
		b.Run("server/"+name, func(b *testing.B) { benchEcho(b, benchStock(b, benchServe(b, new(Server), echoBlocking)), inFlight) })
		b.Run("byhand/"+name, func(b *testing.B) { benchEcho(b, benchStock(b, benchServeStock(b)), inFlight) })
	}
}

// BenchmarkOpen: a WebSocket is opened and ended; get: an ordinary request. Both ends are in one process. observed: somebody is told violations.
func BenchmarkOpen(b *testing.B) {
	hello := func(testing.TB) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	}
	for _, name := range []string{"", "/observed"} {
		srv := func() *Server {
			s := new(Server)
			if name != "" {
				s.Violation = func(net.Addr, *Rule, string) {}
			}
			return s
		}
		b.Run("websocket"+name, func(b *testing.B) {
			open := benchDial(b, benchServe(b, srv(), echoBlocking))
			b.ReportAllocs()
			for b.Loop() {
				s := open().(ownStream)
				s.Close(time.Second)
				<-s.Done()
			}
		})
		b.Run("get"+name, func(b *testing.B) {
			cc := benchStockConn(b, benchServe(b, srv(), hello))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := cc.RoundTrip(newRequest("GET", "", "/", ""))
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

// A benchStream is what a benchmark needs of a client's stream.
type benchStream interface {
	send(p []byte)
	receive(take func(n int)) // until the stream ends
}

type ownStream struct{ transport.Stream }

func (s ownStream) send(p []byte) { s.Send(p, nil) }

func (s ownStream) receive(take func(n int)) {
	s.Handle(func(p []byte, err error) {
		if err == nil {
			take(len(p))
		}
	})
}

// A stockStream takes one Write at a time.
type stockStream struct {
	*http3.RequestStream
	mu *sync.Mutex
}

func (s stockStream) send(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Write(p)
}

func (s stockStream) receive(take func(n int)) {
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.Read(buf)
			if n > 0 {
				take(n)
			}
			if err != nil {
				return
			}
		}
	}()
}

func benchSocket(b *testing.B) *net.UDPConn {
	b.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	return pc
}

// benchServe starts srv and returns its address.
func benchServe(b *testing.B, srv *Server, handler func(testing.TB) http.Handler) net.Addr {
	pc := benchSocket(b)
	srv.Handler, srv.ConnectProtocol, srv.TLSConfig = handler(b), true, &tls.Config{Certificates: []tls.Certificate{testCert}}
	go srv.Serve(pc)
	b.Cleanup(func() { srv.Close() })
	return pc.LocalAddr()
}

// benchServeStock starts a server of quic-go's own.
func benchServeStock(b *testing.B) net.Addr {
	pc := benchSocket(b)
	srv := &http3.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{testCert}}, QUICConfig: &quic.Config{MaxIncomingStreams: defaultMaxStreams},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			s, err := w.(http3.HTTPStreamer).HTTPStream()
			if err != nil {
				return
			}
			io.Copy(s, s)
			s.Close()
		}),
	}
	go srv.Serve(pc)
	b.Cleanup(func() {
		srv.Close()
		pc.Close()
	})
	return pc.LocalAddr()
}

func benchOwn(b *testing.B, handler func(testing.TB) http.Handler) func() benchStream {
	return benchDial(b, benchServe(b, new(Server), handler))
}

func benchDial(b *testing.B, addr net.Addr) func() benchStream {
	cc, err := Dial(b.Context(), benchSocket(b), addr, DialOptions{TLS: clientTLS(testRoots)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cc.Close() })
	<-cc.Settings()
	return func() benchStream {
		call, err := cc.OpenConnect(connectTo("/"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := call.Response(b.Context()); err != nil {
			b.Fatal(err)
		}
		return ownStream{call.Stream()}
	}
}

func benchStockConn(b *testing.B, addr net.Addr) *http3.ClientConn {
	b.Helper()
	pc := benchSocket(b)
	tr := &quic.Transport{Conn: pc}
	conf := clientTLS(testRoots)
	conf.NextProtos = []string{"h3"}
	q, err := tr.Dial(b.Context(), addr, conf, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		q.CloseWithError(0x100, "")
		tr.Close()
		pc.Close()
	})
	cc := (&http3.Transport{}).NewClientConn(q)
	<-cc.ReceivedSettings()
	return cc
}

func benchStock(b *testing.B, addr net.Addr) func() benchStream {
	cc := benchStockConn(b, addr)
	return func() benchStream {
		s, err := cc.OpenRequestStream(b.Context())
		if err == nil {
			err = s.SendRequestHeader(newRequest("CONNECT", "websocket", "/", ""))
		}
		if err == nil {
			_, err = s.ReadResponse()
		}
		if err != nil {
			b.Fatal(err)
		}
		return stockStream{s, new(sync.Mutex)}
	}
}

func benchEcho(b *testing.B, open func() benchStream, inFlight int) {
	const streams, size = 100, 125
	msg := make([]byte, size)
	var toSend, left atomic.Int64
	toSend.Store(int64(b.N))
	left.Store(int64(b.N) * size)
	var done sync.WaitGroup
	done.Add(1)
	all := make([]benchStream, streams)
	for i := range all {
		s := open()
		all[i] = s
		rest := 0
		s.receive(func(n int) {
			for rest += n; rest >= size; rest -= size {
				if toSend.Add(-1) >= 0 {
					s.send(msg)
				}
			}
			if left.Add(-int64(n)) == 0 {
				done.Done()
			}
		})
	}
	b.ReportAllocs()
	start := cpuTime()
	b.ResetTimer()
	for range inFlight {
		for _, s := range all {
			if toSend.Add(-1) >= 0 {
				s.send(msg)
			}
		}
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
