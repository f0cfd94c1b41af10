package probe

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"

	"github.com/weftws/weft/internal/netdial"
)

// strayName offers alpn once more over TLS 1.2, where the server's choice is not encrypted, and returns what it chose without
// being offered it. "": not to be found out.
func (x *exchange) strayName(alpn ...string) string {
	var hello recordedConn
	d := &netdial.Dialer{TLSConfig: x.p.dialer.TLSConfig.Clone(), NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dial := x.p.dialer.NetDial
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		nc, err := dial(ctx, network, addr)
		hello.Conn = nc
		return &hello, err
	}}
	if d.TLSConfig == nil {
		d.TLSConfig = new(tls.Config)
	}
	d.TLSConfig.MaxVersion = tls.VersionTLS12
	x.remark("a new connection: the same in TLS 1.2, to see what it chooses")
	if nc, err := x.dialWith(d, alpn); err == nil {
		nc.Close()
	}
	return printable(parseServerALPN(hello.read))
}

// A recordedConn keeps the first bytes that it reads.
type recordedConn struct {
	net.Conn
	read []byte
}

func (c *recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if len(c.read) < maxHello {
		c.read = append(c.read, p[:n]...)
	}
	return n, err
}

const maxHello = 4096

// parseServerALPN finds the protocol in the ServerHello of a TLS 1.2 record. RFC 5246, Section 7.4.1.3; RFC 7301, Section 3.1.
func parseServerALPN(record []byte) string {
	const recordHeader, handshakeHeader, versionAndRandom = 5, 4, 2 + 32
	r := reader{b: record}
	r.skip(recordHeader + handshakeHeader + versionAndRandom)
	r.skip(r.number(1)) // session
	r.skip(2 + 1)       // cipher suite, compression
	extensions := reader{b: r.take(r.number(2))}
	for len(extensions.b) > 0 {
		kind := extensions.number(2)
		body := reader{b: extensions.take(extensions.number(2))}
		if kind == extensionALPN {
			body.skip(2)
			return string(body.take(body.number(1)))
		}
	}
	return ""
}

const extensionALPN = 16

// A reader reads fields off the front; behind the end everything is empty.
type reader struct{ b []byte }

func (r *reader) take(n int) []byte {
	n = min(n, len(r.b))
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) number(size int) int {
	var wide [4]byte
	copy(wide[4-size:], r.take(size))
	return int(binary.BigEndian.Uint32(wide[:]))
}
