package h3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// A stalledSocket lets only so many packets of the client out, and none in.
type stalledSocket struct {
	net.PacketConn
	left atomic.Int32
}

// ReadFrom implements net.PacketConn.
func (s *stalledSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if _, from, err := s.PacketConn.ReadFrom(p); err != nil {
			return 0, from, err
		}
	}
}

// WriteTo implements net.PacketConn.
func (s *stalledSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	if s.left.Add(-1) < 0 {
		return len(p), nil
	}
	return s.PacketConn.WriteTo(p, to)
}

// Handshakes that do not come to their end are counted where time ran out while the client went on, and only there.
func TestHandshakeTimeout(t *testing.T) {
	const (
		timeout = 4 * time.Second
		slow    = "quic/handshake-timeout: client did not complete the QUIC handshake within 4s (RFC 9000, Section 10.1)"
	)
	for name, c := range map[string]struct {
		packets  int32         // that leave the client; 0: all, both ways
		patience time.Duration // of the client
		roots    *x509.CertPool
		alpn     string
		want     string
		after    time.Duration // it is over
	}{
		"a client that falls silent":    {packets: 1, patience: time.Minute, after: 2 * time.Second},
		"half of a ClientHello":         {packets: 1, patience: time.Minute, alpn: "long", after: 2 * time.Second},
		"a client that says it again":   {packets: 1000, patience: 5 * time.Second, want: slow, after: 4 * time.Second},
		"a client that does not trust":  {patience: time.Minute, roots: x509.NewCertPool()},
		"a client of another protocol":  {patience: time.Minute, alpn: "h2"},
		"a client that leaves us later": {patience: time.Minute, roots: testRoots},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			var mu sync.Mutex
			var begun, over []time.Time
			note := func(list *[]time.Time) {
				mu.Lock()
				defer mu.Unlock()
				*list = append(*list, time.Now())
			}
			inNetwork(t, func(t *testing.T, fx *fixture) {
				fx.serve(&Server{
					Handler: http.NotFoundHandler(), HandshakeTimeout: timeout, Violation: told.note, SilenceTimeout: 20 * time.Second,
					Begin: func(net.Addr, bool) func() {
						note(&begun)
						return func() { note(&over) }
					},
				})
				conf := clientTLS(c.roots)
				conf.NextProtos = []string{"h3"}
				switch c.alpn {
				case "":
				case "long": // more than one packet
					for range 60 {
						conf.NextProtos = append(conf.NextProtos, "a protocol of a long name, which nobody speaks")
					}
				default:
					conf.NextProtos = []string{c.alpn}
				}
				pc := fx.net.ListenPacket(":0")
				socket := &stalledSocket{PacketConn: pc}
				socket.left.Store(c.packets)
				tr := &quic.Transport{Conn: pc}
				if c.packets > 0 {
					tr.Conn = socket
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				q, err := tr.Dial(ctx, remote(), conf, &quic.Config{HandshakeIdleTimeout: time.Hour})
				if (err == nil) != (c.roots == testRoots) {
					t.Errorf("dial: %v", err)
				}
				if err == nil {
					time.Sleep(time.Second)
					// Nothing is said any more, and the server's idle timeout passes.
					pc.Close()
					time.Sleep(time.Minute)
					q.CloseWithError(0, "")
				}
				tr.Close()
				pc.Close()
				time.Sleep(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if len(begun) != 1 || len(over) != 1 || c.after != 0 && over[0].Sub(begun[0]) != c.after {
					t.Errorf("handshakes began at %v and were over at %v, want one of %v", begun, over, c.after)
				}
				if c.want == "" {
					told.want(t)
				} else {
					told.want(t, c.want)
				}
				fx.srv.Close()
				<-fx.served
			})
		})
	}
}

// A handshake that the server's end ends is none that took too long.
func TestHandshakeEndsWithServer(t *testing.T) {
	var told complaint
	inNetwork(t, func(t *testing.T, fx *fixture) {
		fx.serve(&Server{Handler: http.NotFoundHandler(), Violation: told.note})
		pc := fx.net.ListenPacket(":0")
		socket := &stalledSocket{PacketConn: pc}
		socket.left.Store(1)
		tr := &quic.Transport{Conn: socket}
		ctx, cancel := context.WithCancel(t.Context())
		dialed := make(chan struct{})
		go func() {
			defer close(dialed)
			tr.Dial(ctx, remote(), &tls.Config{ServerName: serverName, NextProtos: []string{"h3"}}, nil)
		}()
		time.Sleep(time.Second)
		fx.srv.Close()
		<-fx.served
		time.Sleep(time.Minute)
		told.want(t)
		cancel()
		<-dialed
		tr.Close()
		pc.Close()
	})
}
