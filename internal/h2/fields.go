package h2

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// A fieldSection is what a field block decodes to: RFC 9113, Section 8. The first thing wrong with it is kept in sin and
// detail; the rest is decoded all the same.
type fieldSection struct {
	trailers bool
	server   bool // we are one: cookie crumbs are joined

	pseudo        Pseudo
	seen          pseudoSet
	regular       bool // a regular field line was seen
	start         int  // of its lines in Conn.fields
	count         int  // lines
	size          int  // RFC 9113, Section 6.5.2: name, value and 32 for each line
	contentLength int64
	host          string
	hasHost       bool
	crumbs        []string // the values of cookie lines
	cookieAt      int      // where the first of them stands in Conn.fields

	sin    *Violation
	detail string
}

// A pseudoSet says which pseudo-header fields were seen.
type pseudoSet uint8

const (
	seenMethod pseudoSet = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
	seenStatus
)

func (sec *fieldSection) begin(c *Conn, kind blockKind) {
	sec.trailers = kind == blockTrailers
	sec.server = c.cfg.Side == Server
	sec.start = len(c.fields)
	sec.contentLength = -1
	c.dec.SetEmitEnabled(kind != blockDiscard)
}

func (sec *fieldSection) fail(v *Violation, format string, args ...any) {
	if sec.sin == nil {
		sec.sin, sec.detail = v, fmt.Sprintf(format, args...)
	}
}

// recvField takes one field line from the decoder.
func (c *Conn) recvField(f hpack.HeaderField) {
	sec := &c.block.section
	sec.count++
	sec.size += len(f.Name) + len(f.Value) + 32
	if int64(sec.size) > int64(c.cfg.MaxHeaderListSize) {
		sec.fail(headerListTooLarge, "sent a field section of more than %d bytes", c.cfg.MaxHeaderListSize)
	} else if sec.count > c.cfg.MaxHeaderFields {
		sec.fail(headerListTooLarge, "sent a field section of more than %d lines", c.cfg.MaxHeaderFields)
	}
	if sec.sin != nil {
		c.dec.SetEmitEnabled(false)
		return
	}
	if !validFieldValue(f.Value) {
		sec.fail(fieldValueInvalid, "sent an invalid value of field %.40q", f.Name)
		return
	}
	if strings.HasPrefix(f.Name, ":") {
		sec.recvPseudo(f.Name, f.Value)
		return
	}
	sec.regular = true
	if !validFieldName(f.Name) {
		sec.fail(fieldNameInvalid, "sent the invalid field name %.40q", f.Name)
		return
	}
	if sec.recvRegular(f.Name, f.Value, len(c.fields)) {
		if len(c.fields) == cap(c.fields) {
			c.fields = grown(c.fields, 63, 255)
		}
		c.fields = append(c.fields, Field{f.Name, f.Value})
	}
}

// recvPseudo: RFC 9113, Section 8.3.
func (sec *fieldSection) recvPseudo(name, value string) {
	if sec.trailers {
		// "Trailers MUST NOT include pseudo-header fields (Section 8.3)." RFC 9113, Section 8.1.
		sec.fail(pseudoInTrailers, "sent %.40q in trailers", name)
		return
	}
	if sec.regular {
		// "All pseudo-header fields MUST appear in a field block before all regular field lines."
		sec.fail(pseudoAfterRegular, "sent %.40q after a regular field", name)
		return
	}
	var bit pseudoSet
	p := &sec.pseudo
	switch {
	case sec.server && name == ":method":
		bit, p.Method = seenMethod, value
	case sec.server && name == ":scheme":
		bit, p.Scheme = seenScheme, value
	case sec.server && name == ":authority":
		bit, p.Authority = seenAuthority, value
	case sec.server && name == ":path":
		bit, p.Path = seenPath, value
	case sec.server && name == ":protocol":
		bit, p.Protocol = seenProtocol, value
	case !sec.server && name == ":status":
		bit, p.Status = seenStatus, parseStatus(value)
		if p.Status == 0 {
			sec.fail(statusInvalid, "sent the invalid status %.10q", value)
		}
	default:
		// "Endpoints MUST treat a request or response that contains undefined or invalid pseudo-header fields as malformed".
		sec.fail(pseudoUnknown, "sent the pseudo-header field %.40q", name)
		return
	}
	if sec.seen&bit != 0 {
		// "The same pseudo-header field name MUST NOT appear more than once in a field block."
		sec.fail(pseudoRepeated, "sent %s twice", name)
	}
	sec.seen |= bit
}

// recvRegular looks at the fields that mean something to framing; at is where the line would stand. It reports whether the
// line is kept.
func (sec *fieldSection) recvRegular(name, value string, at int) (keep bool) {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		// "Any message containing connection-specific header fields MUST be treated as malformed". RFC 9113, Section 8.2.2.
		sec.fail(connectionField, "sent the connection-specific field %s", name)
	case "te":
		// "The only exception to this is the TE header field, which MAY be present in an HTTP/2 request; when it is, it MUST
		// NOT contain any value other than "trailers"." RFC 9113, Section 8.2.2.
		if !strings.EqualFold(value, "trailers") {
			sec.fail(connectionField, "sent te: %.40q", value)
		}
	case "content-length":
		n := parseContentLength(value)
		if n < 0 || sec.contentLength >= 0 && sec.contentLength != n {
			sec.fail(contentLengthInvalid, "sent content-length: %.40q", value)
		}
		sec.contentLength = n
	case "host":
		if sec.hasHost && sec.host != value {
			sec.fail(hostMismatch, "sent two host fields")
		}
		sec.host, sec.hasHost = value, true
	case "cookie":
		if !sec.server {
			return true
		}
		sec.crumbs = append(sec.crumbs, value)
		if len(sec.crumbs) > 1 {
			return false
		}
		sec.cookieAt = at
	}
	return true
}

// finish checks the section as a whole.
func (sec *fieldSection) finish(c *Conn, b *fieldBlock) {
	if sec.sin != nil {
		return
	}
	switch b.kind {
	case blockRequest:
		sec.checkRequest(c.cfg.ConnectProtocol || b.plain)
		if b.plain && sec.seen&seenProtocol == 0 {
			sec.fail(connectForm, "sent WS_OPEN without :protocol")
		}
	case blockResponse:
		// "This pseudo-header field MUST be included in all responses, including interim responses; otherwise, the response
		// is malformed". RFC 9113, Section 8.3.2.
		if sec.seen != seenStatus {
			sec.fail(pseudoMissing, "sent a response without :status")
		}
	}
	if len(sec.crumbs) > 1 {
		// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet
		// string using the two-octet delimiter of 0x3b, 0x20". RFC 9113, Section 8.2.3.
		c.fields[sec.cookieAt].Value = strings.Join(sec.crumbs, "; ")
	}
	clear(sec.crumbs)
}

// checkRequest: RFC 9113, Sections 8.3.1 and 8.5; RFC 8441, Section 4.
func (sec *fieldSection) checkRequest(connectProtocol bool) {
	p := &sec.pseudo
	switch {
	case sec.seen&seenMethod == 0:
		sec.fail(pseudoMissing, "sent a request without :method")
	case !validToken(p.Method):
		sec.fail(pseudoInvalid, "sent the invalid method %.40q", p.Method)
	case sec.seen&seenProtocol != 0 && !connectProtocol:
		sec.fail(protocolNotEnabled, "sent :protocol, which is not enabled")
	case sec.seen&seenProtocol != 0 && p.Method != "CONNECT":
		sec.fail(connectForm, "sent :protocol with method %.40q", p.Method)
	case sec.seen&seenProtocol != 0 && !validToken(p.Protocol):
		sec.fail(pseudoInvalid, "sent the invalid protocol %.40q", p.Protocol)
	case sec.seen&seenProtocol != 0 && sec.seen&seenAuthority == 0:
		sec.fail(pseudoMissing, "sent :protocol without :authority")
	case p.Method == "CONNECT" && sec.seen&seenProtocol == 0:
		// "The ":scheme" and ":path" pseudo-header fields MUST be omitted." RFC 9113, Section 8.5.
		if sec.seen != seenMethod|seenAuthority || p.Authority == "" {
			sec.fail(connectForm, "sent CONNECT that does not consist of :method and :authority")
		}
	default:
		sec.checkTarget()
	}
}

// checkTarget: "All HTTP/2 requests MUST include exactly one valid value for the ":method", ":scheme", and ":path"
// pseudo-header fields, unless they are CONNECT requests (Section 8.5)." RFC 9113, Section 8.3.1. "On requests that
// contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of the target URI (see Section 5)
// MUST also be included." RFC 8441, Section 4.
func (sec *fieldSection) checkTarget() {
	p := &sec.pseudo
	http := p.Scheme == "http" || p.Scheme == "https"
	switch {
	case sec.seen&seenScheme == 0:
		sec.fail(pseudoMissing, "sent a request without :scheme")
	case sec.seen&seenPath == 0:
		sec.fail(pseudoMissing, "sent a request without :path")
	case !validScheme(p.Scheme):
		sec.fail(pseudoInvalid, "sent the invalid scheme %.40q", p.Scheme)
	case http && p.Path == "":
		// "This pseudo-header field MUST NOT be empty for "http" or "https" URIs".
		sec.fail(pseudoInvalid, "sent an empty :path")
	case http && p.Path[0] != '/' && !(p.Path == "*" && p.Method == "OPTIONS"):
		path, _, _ := strings.Cut(p.Path, "?") // queries have secrets
		sec.fail(pseudoInvalid, "sent the invalid :path %.40q", path)
	case http && strings.Contains(p.Authority, "@"):
		// "":authority" MUST NOT include the deprecated userinfo subcomponent for "http" or "https" schemed URIs."
		sec.fail(pseudoInvalid, "sent :authority with userinfo")
	case sec.hasHost && sec.seen&seenAuthority != 0 && !sameHost(p.Scheme, sec.host, p.Authority):
		// "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that
		// differs from the entity in the ":authority" pseudo-header field."
		sec.fail(hostMismatch, "sent host: %.40q and :authority %.40q", sec.host, p.Authority)
	}
}

// sameHost compares after scheme-based normalization: case, and the default port. RFC 3986, Section 6.2.3.
func sameHost(scheme, a, b string) bool {
	if a == b {
		return true
	}
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}

// parseStatus returns 0 for what is not three digits from 100 on. RFC 9110, Section 15.
func parseStatus(s string) int {
	if len(s) != 3 || s[0] < '1' {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// parseContentLength returns -1 for what is not a number. RFC 9110, Section 8.6.
func parseContentLength(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || s[0] == '+' {
		return -1
	}
	return int64(n)
}

// validFieldName: a token without upper-case letters. RFC 9110, Section 5.1; RFC 9113, Section 8.2.1.
func validFieldName(s string) bool {
	for i := range len(s) {
		if tokenByte[s[i]]&lowerToken == 0 {
			return false
		}
	}
	return s != ""
}

// validFieldValue: "A field value MUST NOT contain the zero value (ASCII NUL, 0x00), line feed (ASCII LF, 0x0a), or
// carriage return (ASCII CR, 0x0d) at any position." "A field value MUST NOT start or end with an ASCII whitespace
// character". RFC 9113, Section 8.2.1. Other control characters are no field-vchar either: RFC 9110, Section 5.5.
func validFieldValue(s string) bool {
	if s == "" {
		return true
	}
	for i := range len(s) {
		if b := s[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	first, last := s[0], s[len(s)-1]
	return first != ' ' && first != '\t' && last != ' ' && last != '\t'
}

func validToken(s string) bool {
	for i := range len(s) {
		if tokenByte[s[i]] == 0 {
			return false
		}
	}
	return s != ""
}

// validScheme: RFC 3986, Section 3.1.
func validScheme(s string) bool {
	for i := range len(s) {
		b := s[i] | 0x20
		letter := 'a' <= b && b <= 'z'
		if !letter && (i == 0 || !('0' <= s[i] && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.')) {
			return false
		}
	}
	return s != ""
}

const (
	lowerToken = 1
	upperToken = 2
)

// tokenByte says which bytes a token is made of. RFC 9110, Section 5.6.2.
var tokenByte = func() (t [256]uint8) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		t[b] = lowerToken
	}
	for b := 'A'; b <= 'Z'; b++ {
		t[b] = upperToken
	}
	return t
}()
