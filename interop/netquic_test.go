package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/quic"

	"github.com/weftws/weft"
)

// The QUIC of golang.org/x/net has nothing in common with quic-go's. Its HTTP/3 is what stands here: a control stream, HEADERS, DATA in pieces
// of all sizes, and frames of unknown types between them ("Implementations MUST discard frames that have unknown or unsupported
// types." RFC 9114, Section 9).

func TestNetQUICClient(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeftHTTP3(t, cert, nil)
	cfg := &quic.Config{TLSConfig: &tls.Config{RootCAs: cert.roots, ServerName: "localhost", NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}}
	q, err := netQUIC(t, nil).Dial(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", srv.port), cfg)
	if err != nil {
		t.Fatal(err)
	}
	sendSettings(t, q, nil)
	if settings := recvSettings(t, q); settings[settingConnectProtocol] != 1 {
		t.Fatalf("SETTINGS %v", settings)
	}
	k := talk{
		dial: func(t *testing.T, rawURL string, o offer) socket {
			u, err := url.Parse(rawURL)
			if err != nil {
				t.Fatal(err)
			}
			s, err := q.NewStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			nc := &netQUICConn{s: s, q: q}
			fields := []string{
				":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", u.Host, ":path", u.RequestURI(),
				"sec-websocket-version", "13",
			}
			if len(o.subprotocols) > 0 {
				fields = append(fields, "sec-websocket-protocol", strings.Join(o.subprotocols, ", "))
			}
			nc.sendHeaders(fields...)
			got, err := nc.recvHeaders()
			if err != nil || got[":status"] != "200" {
				t.Fatalf("%v, %v", got, err)
			}
			return gobwasOn(t, nc, got["sec-websocket-protocol"], ws.StateClientSide)
		},
		url: fmt.Sprintf("wss://localhost:%d", srv.port), server: srv.record, carried: "version=HTTP/3.0",
	}
	k.run(t)
}

func TestNetQUICServer(t *testing.T) {
	cert := newCertificate(t)
	rec := newRecord()
	l := library{name: "x/net/quic", accept: func(w http.ResponseWriter, r *http.Request, _ string) (socket, error) {
		nc := w.(*netQUICConn)
		answer := []string{":status", "200"}
		protocol, _, _ := strings.Cut(r.Header.Get("Sec-Websocket-Protocol"), ", ")
		if protocol == "unknown" {
			protocol = "second"
		}
		if protocol != "" {
			answer = append(answer, "sec-websocket-protocol", protocol)
		}
		nc.sendHeaders(answer...)
		return gobwasOn(nil, nc, protocol, ws.StateServerSide), nil
	}}
	e := netQUIC(t, &quic.Config{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert.Certificate}, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}})
	go serveNetQUIC(t, e, l.echo(rec))
	k := talk{
		dial: dialWith(newDialer(t, cert, weft.H3), overHTTP3), url: fmt.Sprintf("wss://127.0.0.1:%d", e.LocalAddr().Port()),
		server: rec, carried: "library=x/net/quic",
	}
	k.run(t)
}

// netQUIC returns an endpoint that ends with the test.
func netQUIC(t *testing.T, cfg *quic.Config) *quic.Endpoint {
	t.Helper()
	e, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		e.Close(ctx)
	})
	return e
}

// serveNetQUIC serves connections until e is closed. The handler's ResponseWriter is only a *netQUICConn.
func serveNetQUIC(t *testing.T, e *quic.Endpoint, h http.Handler) {
	for {
		q, err := e.Accept(context.Background())
		if err != nil {
			return
		}
		sendSettings(t, q, []uint64{settingConnectProtocol, 1})
		go func() {
			for {
				s, err := q.AcceptStream(context.Background())
				if err != nil {
					return
				}
				if s.IsReadOnly() {
					go io.Copy(io.Discard, s)
					continue
				}
				nc := &netQUICConn{s: s, q: q}
				go func() {
					fields, err := nc.recvHeaders()
					u, perr := url.ParseRequestURI(fields[":path"])
					if err != nil || perr != nil || fields[":protocol"] != "websocket" {
						s.Reset(0x10e) // H3_MESSAGE_ERROR
						return
					}
					r := &http.Request{URL: u, Header: make(http.Header)}
					for name, value := range fields {
						r.Header.Set(name, value)
					}
					h.ServeHTTP(nc, r)
				}()
			}
		}()
	}
}

const (
	frameData, frameHeaders, frameSettings = 0, 1, 4
	frameUnknown                           = 0x21
	settingConnectProtocol                 = 8
)

func appendFrame(b []byte, typ uint64, p []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(b, typ), uint64(len(p))), p...)
}

// sendSettings opens the control stream.
func sendSettings(t *testing.T, q *quic.Conn, settings []uint64) {
	s, err := q.NewSendOnlyStream(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	var p []byte
	for _, n := range append(settings, 0x21, 7) { // one that is unknown
		p = quicvarint.Append(p, n)
	}
	s.Write(appendFrame([]byte{0}, frameSettings, p))
	s.Flush()
}

// recvSettings awaits the peer's control stream.
func recvSettings(t *testing.T, q *quic.Conn) map[uint64]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s, err := q.AcceptStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if typ, err := quicvarint.Read(s); err != nil || typ != 0 {
			continue // QPACK's
		}
		typ, _ := quicvarint.Read(s)
		n, err := quicvarint.Read(s)
		if typ != frameSettings || err != nil {
			t.Fatalf("a frame of type %#x, %v", typ, err)
		}
		settings := make(map[uint64]uint64)
		for r := bytes.NewReader(mustRead(t, s, n)); r.Len() > 0; {
			id, _ := quicvarint.Read(r)
			settings[id], _ = quicvarint.Read(r)
		}
		return settings
	}
}

func mustRead(t *testing.T, r io.Reader, n uint64) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A netQUICConn is the tunnel on a request stream as a net.Conn.
type netQUICConn struct {
	s     *quic.Stream
	q     *quic.Conn
	left  uint64 // of the DATA frame being read
	sizes int    // makes the next piece
	stop  context.CancelFunc

	http.ResponseWriter // nil: serveNetQUIC passes the conn off as one
}

func (c *netQUICConn) sendHeaders(fields ...string) {
	var section bytes.Buffer
	enc := qpack.NewEncoder(&section)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	c.s.Write(appendFrame(appendFrame(nil, frameUnknown, []byte("before")), frameHeaders, section.Bytes()))
	c.s.Flush()
}

func (c *netQUICConn) recvHeaders() (map[string]string, error) {
	n, err := c.nextFrame(frameHeaders)
	if err != nil {
		return nil, err
	}
	section := make([]byte, n)
	if _, err := io.ReadFull(c.s, section); err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for decode := qpack.NewDecoder().Decode(section); ; {
		f, err := decode()
		if err == io.EOF {
			return fields, nil
		}
		if err != nil {
			return nil, err
		}
		fields[f.Name] = f.Value
	}
}

// nextFrame skips to the next frame of the type.
func (c *netQUICConn) nextFrame(want uint64) (n uint64, err error) {
	for {
		typ, err := quicvarint.Read(c.s)
		if err != nil {
			return 0, err
		}
		if n, err = quicvarint.Read(c.s); err != nil || typ == want {
			return n, err
		}
		if typ == frameData || typ == frameHeaders {
			return 0, fmt.Errorf("a frame of type %#x", typ)
		}
		if _, err := io.CopyN(io.Discard, c.s, int64(n)); err != nil {
			return 0, err
		}
	}
}

func (c *netQUICConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		n, err := c.nextFrame(frameData)
		if err != nil {
			return 0, err
		}
		c.left = n
	}
	n, err := c.s.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	return n, err
}

// Write sends p in pieces of 0 to 4 KiB, some with an unknown frame before them.
func (c *netQUICConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		c.sizes = (c.sizes*5 + 1) % 4096 // takes every value
		piece := p[n:min(len(p), n+c.sizes)]
		var b []byte
		if c.sizes%3 == 0 {
			b = appendFrame(b, frameUnknown+0x1f*uint64(c.sizes), []byte("between"))
		}
		if _, err := c.s.Write(appendFrame(b, frameData, piece)); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, c.s.Flush()
}

func (c *netQUICConn) Close() error {
	c.s.CloseWrite()
	c.s.CloseRead()
	return nil
}

func (c *netQUICConn) LocalAddr() net.Addr  { return net.UDPAddrFromAddrPort(c.q.LocalAddr()) }
func (c *netQUICConn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.q.RemoteAddr()) }

func (c *netQUICConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *netQUICConn) SetReadDeadline(t time.Time) error {
	ctx, stop := context.WithDeadline(context.Background(), t)
	c.s.SetReadContext(ctx)
	if c.stop != nil {
		c.stop()
	}
	c.stop = stop
	return nil
}

func (c *netQUICConn) SetWriteDeadline(time.Time) error { return nil }
