package interop

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What a client may do on HTTP/2 that no library does: weft and Node side by side. The client is x/net's
// framer. (Proxies answer DATA before the 200 with 200 or 500, as it happens: no client may count on it.)
func TestFalseStarts(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeft(t, cert, nil)
	for _, s := range []struct {
		name  string
		start func(t *testing.T) (port int)
		// accepts: a Sec-WebSocket-Key is answered. RFC 8441, Section 5, has no use for it, but some clients insist.
		accepts bool
	}{
		{"weft", func(*testing.T) int { return srv.port }, true},
		{"Node", func(t *testing.T) int {
			port := freePort(t)
			start(t, program(t, "node", "nodejs"), "testdata/server.js", fmt.Sprint(port), cert.keyFile, cert.certFile, "on").wait(t, port)
			return port
		}, false},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := dialRaw(t, s.start(t))
			t.Run("DATA before the 200", func(t *testing.T) {
				a := c.connect(1, "websocket", nil)
				c.data(1, maskedText("too early"))
				c.readUntil(t, func() bool { return bytes.Contains(a.body, []byte("too early")) })
				if a.status != "200" {
					t.Errorf("status %s, want 200", a.status)
				}
			})
			t.Run("Sec-WebSocket-Key", func(t *testing.T) {
				const key = "dGhlIHNhbXBsZSBub25jZQ=="
				a := c.connect(3, "websocket", []hpack.HeaderField{{Name: "sec-websocket-key", Value: key}})
				c.readUntil(t, func() bool { return a.status != "" })
				// RFC 6455, Section 4.2.2.
				sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
				want := ""
				if s.accepts {
					want = base64.StdEncoding.EncodeToString(sum[:])
				}
				if got := a.fields["sec-websocket-accept"]; a.status != "200" || got != want {
					t.Errorf("status %s, Sec-WebSocket-Accept %q, want 200 and %q", a.status, got, want)
				}
				c.data(3, maskedText("after the key"))
				c.readUntil(t, func() bool { return bytes.Contains(a.body, []byte("after the key")) })
			})
			t.Run("another protocol", func(t *testing.T) {
				a := c.connect(5, "connect-udp", nil)
				c.readUntil(t, func() bool { return a.status != "" || a.reset })
				if a.status != "501" {
					t.Errorf("status %q, reset %v; want status 501", a.status, a.reset)
				}
			})
			t.Run("and the connection works on", func(t *testing.T) {
				a := c.connect(7, "websocket", nil)
				c.readUntil(t, func() bool { return a.status == "200" })
				c.data(7, maskedText("still here"))
				c.readUntil(t, func() bool { return bytes.Contains(a.body, []byte("still here")) })
			})
		})
	}
}

// A rawClient is an HTTP/2 connection of which the test writes every frame.
type rawClient struct {
	conn    *tls.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	answers map[uint32]*rawAnswer
}

// A rawAnswer is what came on a stream.
type rawAnswer struct {
	status string
	fields map[string]string
	body   []byte
	reset  bool
}

func dialRaw(t *testing.T, port int) *rawClient {
	t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &rawClient{conn: conn, framer: http2.NewFramer(conn, conn), answers: map[uint32]*rawAnswer{}}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	c.framer.WriteSettings()
	return c
}

// connect sends an Extended CONNECT. What is wrong with the connection shows when it is read.
func (c *rawClient) connect(stream uint32, protocol string, more []hpack.HeaderField) *rawAnswer {
	c.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: protocol}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "localhost"}, {Name: ":path", Value: "/echo?id=raw"}, {Name: "sec-websocket-version", Value: "13"},
	}, more...) {
		c.encoder.WriteField(f)
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true})
	a := &rawAnswer{fields: map[string]string{}}
	c.answers[stream] = a
	return a
}

func (c *rawClient) data(stream uint32, p []byte) { c.framer.WriteData(stream, false, p) }

// readUntil reads frames until done is true.
func (c *rawClient) readUntil(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatalf("read: %v; so far: %+v", err, c.answers)
		}
		a := c.answers[f.Header().StreamID]
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			t.Fatalf("GOAWAY %v %q", f.ErrCode, f.DebugData())
		case *http2.MetaHeadersFrame:
			a.status = f.PseudoValue("status")
			for _, h := range f.RegularFields() {
				a.fields[h.Name] = h.Value
			}
		case *http2.DataFrame:
			a.body = append(a.body, f.Data()...)
		case *http2.RSTStreamFrame:
			a.reset = true
		}
	}
}

// maskedText is a text frame with the masking key 0, under which the payload is readable. RFC 6455, Section 5.3.
func maskedText(s string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(s)), 0, 0, 0, 0}, s...)
}
