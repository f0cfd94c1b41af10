package h2

import (
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/weftws/weft/internal/fields"
)

// A fieldSection is what a field block decodes to: RFC 9113, Section 8. The first thing wrong with it is kept in sin and
// detail; the rest is decoded all the same.
type fieldSection struct {
	fields.Section

	start    int      // of its lines in Conn.fields
	crumbs   []string // the values of cookie lines
	cookieAt int      // where the first of them stands in Conn.fields

	sin    *Violation
	detail string
}

func (sec *fieldSection) begin(c *Conn, kind blockKind) {
	sec.Section = fields.NewSection(sectionKinds[kind])
	sec.start = len(c.fields)
	c.dec.SetEmitEnabled(kind != blockDiscard)
}

var sectionKinds = [...]fields.Kind{blockRequest: fields.Request, blockResponse: fields.Response, blockTrailers: fields.Trailers, blockDiscard: 0 /* not looked at */}

func (sec *fieldSection) fail(b *fields.Breach) {
	if sec.sin == nil && b != nil {
		sec.sin, sec.detail = fieldViolations[b.Rule], b.Detail
	}
}

// recvField takes one field line from the decoder.
func (c *Conn) recvField(f hpack.HeaderField) {
	sec := &c.block.section
	regular, b := sec.Recv(f.Name, f.Value, fields.Limits{Size: int(c.cfg.MaxHeaderListSize), Lines: c.cfg.MaxHeaderFields})
	if b != nil {
		sec.fail(b)
		c.dec.SetEmitEnabled(false)
		return
	}
	if regular && (f.Name != "cookie" || sec.keepCookie(f.Value, len(c.fields))) {
		if len(c.fields) == cap(c.fields) {
			c.fields = grown(c.fields, 63, 255)
		}
		c.fields = append(c.fields, Field{f.Name, f.Value})
	}
}

// keepCookie reports whether a cookie line, which would stand at at, is kept: the first one of a request is, with the values of all.
func (sec *fieldSection) keepCookie(value string, at int) bool {
	if sec.Kind != fields.Request {
		return true
	}
	sec.crumbs = append(sec.crumbs, value)
	if len(sec.crumbs) > 1 {
		return false
	}
	sec.cookieAt = at
	return true
}

// finish checks the section as a whole.
func (sec *fieldSection) finish(c *Conn, b *fieldBlock) {
	if sec.sin != nil {
		return
	}
	if b.kind == blockRequest && sec.HasProtocol() && !c.cfg.ConnectProtocol && !b.plain {
		sec.sin, sec.detail = protocolNotEnabled, "sent :protocol, which is not enabled"
	}
	sec.fail(sec.Check())
	if b.plain && !sec.HasProtocol() {
		sec.fail(&fields.Breach{Rule: fields.ConnectForm, Detail: "sent WS_OPEN without :protocol"})
	}
	if len(sec.crumbs) > 1 {
		// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet
		// string using the two-octet delimiter of 0x3b, 0x20". RFC 9113, Section 8.2.3.
		c.fields[sec.cookieAt].Value = strings.Join(sec.crumbs, "; ")
	}
	clear(sec.crumbs)
}
