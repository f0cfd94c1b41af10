package h3

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
)

// A rawServer speaks QUIC, and HTTP/3 byte by byte.
type rawServer struct {
	t  *testing.T
	tr *quic.Transport
	ln *quic.EarlyListener
}

func (fx *fixture) rawServe(conf *quic.Config) *rawServer {
	fx.t.Helper()
	s := &rawServer{t: fx.t, tr: &quic.Transport{Conn: fx.net.ListenPacket(serverAddr)}}
	ln, err := s.tr.ListenEarly(&tls.Config{Certificates: []tls.Certificate{testCert}, NextProtos: []string{"h3"}}, conf)
	if err != nil {
		fx.t.Fatal(err)
	}
	s.ln = ln
	fx.t.Cleanup(func() {
		ln.Close()
		s.tr.Close()
	})
	return s
}

// serve calls f with the next connection, whose control stream begins with the bytes of control.
func (s *rawServer) serve(control []byte, f func(*rawConn)) {
	go func() {
		q, err := s.ln.Accept(context.Background())
		if err != nil {
			return
		}
		c := &rawConn{t: s.t, q: q}
		if control != nil {
			c.control, _ = q.OpenUniStream()
			c.control.Write(control)
		}
		f(c)
	}()
}

type rawConn struct {
	t       *testing.T
	q       *quic.Conn
	control *quic.SendStream
}

// request takes the next request, whose HEADERS it reads.
func (c *rawConn) request() *quic.Stream {
	s, err := c.q.AcceptStream(context.Background())
	if err != nil {
		return nil
	}
	if _, err := s.Read(make([]byte, 4096)); err != nil {
		c.t.Errorf("reading the request: %v", err)
	}
	return s
}

// controlStream are a control stream's type and its frames.
func controlStream(frames ...[]byte) []byte { return append([]byte{streamControl}, join(frames...)...) }

// connectOn are SETTINGS that allow Extended CONNECT.
func connectOn() []byte { return frameOf(frameSettings, string(settingsOf(8, 1))) }

// headersOf is a HEADERS frame.
func headersOf(fields ...string) []byte {
	var b bytes.Buffer
	enc := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return frameOf(frameHeaders, b.String())
}

// discard reads what still arrives, so that the stream can end.
func discard(s *quic.Stream) { io.Copy(io.Discard, s) }

// respond answers the next request with the bytes, and ends the stream if end is set.
func respond(end bool, bytes ...[]byte) func(*rawConn) {
	return func(c *rawConn) {
		if s := c.request(); s != nil {
			s.Write(join(bytes...))
			if end {
				s.Close()
			}
			discard(s)
		}
	}
}

// inRaw runs f with a connection to a raw server.
func inRaw(t *testing.T, control []byte, serve func(*rawConn), f func(t *testing.T, fx *fixture, cc *ClientConn)) {
	t.Helper()
	inNetwork(t, func(t *testing.T, fx *fixture) {
		fx.rawServe(nil).serve(control, serve)
		cc := fx.connect(DialOptions{})
		f(t, fx, cc)
		cc.Close()
		time.Sleep(time.Second)
	})
}
