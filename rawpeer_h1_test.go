package weft_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/simnet"
)

// The example of RFC 6455, Section 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// acceptFor is the Sec-WebSocket-Accept for key. RFC 6455, Section 4.2.2.
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A rawH1 is an HTTP/1.1 connection, driven line by line, and then its WebSocket.
type rawH1 struct {
	net.Conn          // TLS or not
	tcp      net.Conn // below
	br       *bufio.Reader
}

func newRawH1(nc, tcp net.Conn) *rawH1 { return &rawH1{nc, tcp, bufio.NewReader(nc)} }

func (c *rawH1) Read(p []byte) (int, error) {
	n, err := c.br.Read(p)
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &resetError{"the connection was reset or cut: " + err.Error()}
	}
	return n, err
}

func (c *rawH1) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func (c *rawH1) Reset() { c.tcp.(*simnet.Conn).Reset() }

// head reads a start line and the field lines after it, up to the empty line; field names are as they came.
func (c *rawH1) head() (string, http.Header, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var lines []string
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return "", nil, fmt.Errorf("head breaks off after %q: %w", strings.Join(lines, "\r\n"), err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok {
			return "", nil, fmt.Errorf("line %q does not end with CRLF", line)
		}
		if line == "" {
			break
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "", nil, errors.New("empty head")
	}
	h := make(http.Header)
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name != strings.TrimSpace(name) {
			return "", nil, fmt.Errorf("field line %q", line)
		}
		h[name] = append(h[name], strings.TrimSpace(value))
	}
	return lines[0], h, nil
}

// secure makes c a TLS connection of the client that offers protocols.
func secure(t *testing.T, c net.Conn, cfg *tls.Config, protocols ...string) *tls.Conn {
	cfg = cfg.Clone()
	cfg.ServerName, cfg.NextProtos = "example.com", protocols
	tc := tls.Client(c, cfg)
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatalf("TLS: %v", err)
	}
	return tc
}

// connectH1 opens a connection for HTTP/1.1 to e's server.
func connectH1(t *testing.T, e *env) *rawH1 {
	tcp, err := e.net.Dial(serverAddr)
	if err != nil {
		t.Fatal(err)
	}
	nc := tcp
	if e.carrier.scheme == "wss" {
		nc = secure(t, tcp, e.dialer.TLSConfig, "http/1.1")
	}
	return newRawH1(nc, tcp)
}

// dialRaw opens a WebSocket to e's server by hand. Fields are "name: value".
func dialRaw(t *testing.T, e *env, fields ...string) rawConn {
	if strings.HasPrefix(e.carrier.name, "h2") {
		c := connectH2(t, e)
		st := c.open(websocketFields(e.carrier, fields...)...)
		if status := st.status(); status != "200" {
			t.Fatalf("the answer is %s", status)
		}
		return st
	}
	c := connectH1(t, e)
	request := "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " +
		sampleKey + "\r\nSec-WebSocket-Version: 13\r\n"
	for _, f := range fields {
		request += f + "\r\n"
	}
	io.WriteString(c, request+"\r\n")
	status, h, err := c.head()
	if err != nil || status != "HTTP/1.1 101 Switching Protocols" || h["Sec-Websocket-Accept"][0] != sampleAccept {
		t.Fatalf("the answer is %q, %v, %v", status, h, err)
	}
	return c
}

// A rawListener is a server that is driven by hand, and a Dialer that knows it.
type rawListener struct {
	t       *testing.T
	carrier carrier
	l       net.Listener
	cert    tls.Certificate
	dialer  *weft.Dialer
	url     string
}

// rawCertificate is for all: making one takes longer than a test.
var rawCertificate = sync.OnceValue(func() (c struct {
	tls.Certificate
	client *tls.Config
}) {
	cert, roots := simnet.Certificate("example.com")
	c.Certificate, c.client = cert, &tls.Config{RootCAs: roots}
	return c
})

func listenRaw(t *testing.T, n *simnet.Network, c carrier) *rawListener {
	cert := rawCertificate()
	n.AddHost("example.com", "10.0.0.2")
	l := &rawListener{t: t, carrier: c, l: n.Listen(serverAddr), cert: cert.Certificate, url: c.scheme + "://example.com:443"}
	l.dialer = &weft.Dialer{
		TLSConfig: cert.client.Clone(), Policy: weft.Policy{Rungs: c.rungs}, NetDial: n.DialContext, PriorKnowledge: c.h2c,
	}
	t.Cleanup(func() { l.dialer.Close() })
	return l
}

// connection accepts a connection.
func (l *rawListener) connection() (nc, tcp net.Conn) {
	tcp, err := l.l.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	if l.carrier.scheme != "wss" {
		return tcp, tcp
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{l.cert}, NextProtos: []string{"http/1.1"}}
	if strings.HasPrefix(l.carrier.name, "h2") {
		cfg.NextProtos = []string{"h2"}
	}
	tc := tls.Server(tcp, cfg)
	if err := tc.HandshakeContext(l.t.Context()); err != nil {
		l.t.Fatalf("TLS: %v", err)
	}
	return tc, tcp
}

// acceptRaw accepts a WebSocket by hand.
func (l *rawListener) acceptRaw(fields ...string) rawConn {
	nc, tcp := l.connection()
	if strings.HasPrefix(l.carrier.name, "h2") {
		c := serveH2(l.t, nc, connectProtocol)
		st := c.accept()
		st.respond(false, append([]string{":status: 200"}, fields...)...)
		return st
	}
	c := newRawH1(nc, tcp)
	_, h, err := c.head()
	if err != nil {
		l.t.Fatal(err)
	}
	response := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptFor(h.Get("Sec-Websocket-Key")) + "\r\n"
	for _, f := range fields {
		response += f + "\r\n"
	}
	io.WriteString(c, response+"\r\n")
	return c
}
