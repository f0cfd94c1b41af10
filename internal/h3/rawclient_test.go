package h3

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// A rawClient speaks QUIC, and HTTP/3 byte by byte.
type rawClient struct {
	*quic.Conn
	t *testing.T
}

func (fx *fixture) rawDial(conf *quic.Config) *rawClient {
	fx.t.Helper()
	pc := fx.net.ListenPacket(":0")
	tr := &quic.Transport{Conn: pc}
	tlsConf := clientTLS(testRoots)
	tlsConf.NextProtos = []string{"h3"}
	fx.t.Cleanup(func() {
		tr.Close()
		pc.Close()
	})
	q, err := tr.Dial(fx.t.Context(), remote(), tlsConf, conf)
	if err != nil {
		fx.t.Fatal(err)
	}
	pass(time.Second) // until the handshake is confirmed: QUIC does not show codes before
	return &rawClient{q, fx.t}
}

// uni opens a unidirectional stream.
func (c *rawClient) uni(bytes ...[]byte) *quic.SendStream {
	c.t.Helper()
	s, err := c.OpenUniStream()
	if err != nil {
		c.t.Fatal(err)
	}
	s.Write(join(bytes...))
	return s
}

// request opens a stream.
func (c *rawClient) request(bytes ...[]byte) *quic.Stream {
	c.t.Helper()
	s, err := c.OpenStream()
	if err != nil {
		c.t.Fatal(err)
	}
	s.Write(join(bytes...))
	return s
}

// A frame is one of HTTP/3.
type frame struct {
	typ     uint64
	payload string
}

// nextFrame reads a frame.
func nextFrame(r io.Reader) (f frame, err error) {
	br := quicvarint.NewReader(r)
	if f.typ, err = quicvarint.Read(br); err != nil {
		return f, err
	}
	n, err := quicvarint.Read(br)
	if err != nil {
		return f, err
	}
	p := make([]byte, n)
	_, err = io.ReadFull(r, p)
	f.payload = string(p)
	return f, err
}

// control takes the server's control stream.
func (c *rawClient) control() io.Reader {
	c.t.Helper()
	s, err := c.AcceptUniStream(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if typ, err := quicvarint.Read(quicvarint.NewReader(s)); err != nil || typ != streamControl {
		c.t.Fatalf("a stream of type %d, %v", typ, err)
	}
	return s
}

// resetCode is the code with which the server has reset s; 0: it has not.
func resetCode(s *quic.Stream) http3.ErrCode {
	_, err := io.Copy(io.Discard, s)
	e, ok := errors.AsType[*quic.StreamError](err)
	if !ok || !e.Remote {
		return 0
	}
	return http3.ErrCode(e.ErrorCode)
}

// stopCode is the code with which the server has stopped s; 0: it has not.
func stopCode(ctx context.Context) http3.ErrCode {
	e, ok := errors.AsType[*quic.StreamError](context.Cause(ctx))
	if !ok || !e.Remote {
		return 0
	}
	return http3.ErrCode(e.ErrorCode)
}

// closeCode is the code with which the server has closed the connection; 0: it has not.
func (c *rawClient) closeCode() http3.ErrCode {
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.Context()))
	if !ok || !e.Remote {
		return 0
	}
	return http3.ErrCode(e.ErrorCode)
}

// requestOf is a HEADERS frame of a request for /, with more fields.
func requestOf(method string, fields ...string) []byte {
	return headersOf(append([]string{":method", method, ":scheme", "https", ":authority", serverName, ":path", "/"}, fields...)...)
}
