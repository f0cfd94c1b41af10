package h2net

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/h2"
)

// headerFrom turns field lines into a Header, canonical names and all.
func headerFrom(fields []h2.Field) http.Header {
	h := make(http.Header, len(fields))
	fillHeader(h, fields, make([]string, len(fields)))
	return h
}

// fillHeader is headerFrom with the storage given.
func fillHeader(h http.Header, fields []h2.Field, values []string) {
	for i, f := range fields {
		name := canonicalName(f.Name)
		if have, ok := h[name]; ok {
			// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a
			// single octet string using the two-octet delimiter of 0x3B, 0x20." RFC 9113, Section 8.2.3.
			if name == "Cookie" {
				have[0] += "; " + f.Value
			} else {
				h[name] = append(have, f.Value)
			}
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
}

// setFields makes c.fields h's field lines, sorted by name, except what HTTP/2 does not carry and what names in skip. Called
// with the lock held.
func (c *conn) setFields(h http.Header, skip func(name string) bool) {
	names := c.names[:0]
	for name := range h {
		if skip == nil || !skip(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	c.fields = c.fields[:0]
	for _, name := range names {
		c.fields = appendField(c.fields, name, h[name])
	}
	clear(names)
	c.names = names
}

// sendHeaders sends a response with what of h is not in skip. Called with the lock held.
func (c *conn) sendHeaders(st *stream, status int, h http.Header, skip func(name string) bool, end bool) {
	c.setFields(h, skip)
	if c.altSvc != nil {
		c.fields = c.altSvc(c.fields, st, status, h)
	}
	c.eng.SendHeaders(&st.s, h2.Pseudo{Status: status}, c.fields, end)
	clear(c.fields)
}

func appendField(dst []h2.Field, name string, values []string) []h2.Field {
	lower := lowerName(name)
	if connectionSpecific(lower) || !httpguts.ValidHeaderFieldName(lower) {
		return dst
	}
	for _, v := range values {
		if lower == "te" && v != "trailers" || !httpguts.ValidHeaderFieldValue(v) {
			continue
		}
		// "A field value MUST NOT start or end with an ASCII whitespace character." RFC 9113, Section 8.2.1.
		dst = append(dst, h2.Field{Name: lower, Value: strings.Trim(v, " \t")})
	}
	return dst
}

// connectionSpecific: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields."
// RFC 9113, Section 8.2.2.
func connectionSpecific(lower string) bool {
	switch lower {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

func canonicalName(lower string) string {
	if name, ok := canonicalNames[lower]; ok {
		return name
	}
	return http.CanonicalHeaderKey(lower)
}

func lowerName(name string) string {
	if lower, ok := lowerNames[name]; ok {
		return lower
	}
	return strings.ToLower(name)
}

// canonicalNames and lowerNames spare the common names an allocation.
var canonicalNames, lowerNames = func() (c, l map[string]string) {
	c, l = make(map[string]string), make(map[string]string)
	for name := range strings.FieldsSeq(`
		Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Access-Control-Allow-Credentials
		Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin
		Access-Control-Expose-Headers Access-Control-Max-Age Access-Control-Request-Headers
		Access-Control-Request-Method Age Allow Alt-Svc Alt-Used Authorization Cache-Control Content-Disposition
		Content-Encoding Content-Language Content-Length Content-Location Content-Range Content-Security-Policy
		Content-Type Cookie Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy Date Dnt Early-Data Etag Expect
		Expires Forwarded From Host If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since
		Last-Modified Link Location Max-Forwards Origin Pragma Priority Proxy-Authenticate Proxy-Authorization
		Range Referer Referrer-Policy Retry-After Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Fetch-Dest
		Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Websocket-Accept Sec-Websocket-Extensions
		Sec-Websocket-Key Sec-Websocket-Protocol Sec-Websocket-Version Server Set-Cookie
		Strict-Transport-Security Te Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Vary Via
		Www-Authenticate X-Content-Type-Options X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Frame-Options
		X-Real-Ip X-Request-Id X-Requested-With X-Xss-Protection`) {
		c[strings.ToLower(name)] = name
		l[name] = strings.ToLower(name)
	}
	return c, l
}()
