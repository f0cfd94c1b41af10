package h2

import (
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/h2/wire"
)

// A blockBuffer collects what the encoder writes.
type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// appendFieldBlock encodes a field section and appends it as HEADERS and CONTINUATION frames. What it appends must be
// written before whatever is encoded next: the compression state follows the order of the calls.
func (c *Conn) appendFieldBlock(dst []byte, s *Stream, p Pseudo, fields []Field, end bool) []byte {
	c.encoded = c.encoded[:0]
	if p.Status != 0 {
		c.encode(":status", statusText(p.Status))
	}
	if p.Method != "" {
		c.encode(":method", p.Method)
		if p.Protocol != "" {
			c.encode(":protocol", p.Protocol)
		}
		if p.Scheme != "" {
			c.encode(":scheme", p.Scheme)
		}
		if p.Authority != "" {
			c.encode(":authority", p.Authority)
		}
		if p.Path != "" {
			c.encode(":path", p.Path)
		}
	}
	for _, f := range fields {
		if sendable(f) {
			c.encode(f.Name, f.Value)
		}
	}
	dst = wire.AppendHeaders(dst, s.ID, c.encoded, end, maxPayload)
	if cap(c.encoded) > largeBlockCap {
		c.encoded = nil
	}
	return dst
}

const largeBlockCap = 4096

func (c *Conn) encode(name, value string) {
	// The error is the buffer's, which has none.
	_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: neverIndexed(name)})
}

// neverIndexed: secrets stay out of the compression table. RFC 7541, Section 7.1.3.
func neverIndexed(name string) bool {
	return name == "authorization" || name == "proxy-authorization"
}

// sendable reports whether the peer would not call the message malformed because of f: "An endpoint MUST NOT generate an
// HTTP/2 message containing connection-specific header fields." RFC 9113, Section 8.2.2.
func sendable(f Field) bool {
	return !fields.ConnectionSpecific(f.Name) && fields.ValidName(f.Name) && fields.ValidValue(f.Value)
}

func statusText(status int) string {
	switch status {
	case 200:
		return "200"
	case 404:
		return "404"
	}
	return strconv.Itoa(status)
}
