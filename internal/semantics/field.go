package semantics

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/fields"
)

// A Field is a field line, its name in lower case.
type Field interface {
	~struct{ Name, Value string }
}

type line = struct{ Name, Value string }

// HeaderOf turns field lines into a Header, canonical names and all.
func HeaderOf[F Field](fields []F) http.Header {
	h := make(http.Header, len(fields))
	fillHeader(h, fields, make([]string, len(fields)))
	return h
}

// fillHeader is HeaderOf with the storage given.
func fillHeader[F Field](h http.Header, fields []F, values []string) {
	for i := range fields {
		f := line(fields[i])
		name := canonicalName(f.Name)
		if have, ok := h[name]; ok {
			// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet string
			// using the two-octet delimiter of 0x3B, 0x20." RFC 9113, Section 8.2.3; RFC 9114, Section 4.2.1.
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

// AppendFields appends h's field lines to dst, sorted by name, except what HTTP/2 and HTTP/3 do not carry and what names in skip (which may
// be nil). names is used for sorting, and keeps its storage.
func AppendFields[F Field](dst []F, names *[]string, h http.Header, skip func(name string) bool) []F {
	sorted := (*names)[:0]
	for name := range h {
		if skip == nil || !skip(name) {
			sorted = append(sorted, name)
		}
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		dst = appendLines(dst, name, h[name])
	}
	clear(sorted)
	*names = sorted
	return dst
}

// AppendResponse is AppendFields for a response: Message.Header, or what Stream.Interim gets.
func AppendResponse[F Field](dst []F, names *[]string, status int, h http.Header) []F {
	skip := isTrailerPrefixed
	if status < 200 {
		skip = isFinal
	}
	return AppendFields(dst, names, h, skip)
}

// isFinal names what an interim response does not have.
func isFinal(name string) bool { return name == "Content-Length" || isTrailerPrefixed(name) }

func isTrailerPrefixed(name string) bool { return strings.HasPrefix(name, http.TrailerPrefix) }

// AppendTrailers appends t's field lines to dst: those that were declared before, and then those that were named with http.TrailerPrefix.
func AppendTrailers[F Field](dst []F, t Trailers) []F {
	for _, name := range t.declared {
		dst = appendLines(dst, name, t.header[name])
	}
	for name, values := range t.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			dst = appendLines(dst, rest, values)
		}
	}
	return dst
}

func appendLines[F Field](dst []F, name string, values []string) []F {
	lower, ok := carriedName(name)
	if !ok {
		return dst
	}
	for _, v := range values {
		if carriedValue(lower, v) {
			// "A field value MUST NOT start or end with an ASCII whitespace character." RFC 9113, Section 8.2.1.
			dst = append(dst, F(line{lower, strings.Trim(v, " \t")}))
		}
	}
	return dst
}

func hasLine(name string, values []string) bool {
	if len(values) == 0 {
		return false
	}
	lower, ok := carriedName(name)
	return ok && slices.ContainsFunc(values, func(v string) bool { return carriedValue(lower, v) })
}

func carriedName(name string) (lower string, ok bool) {
	lower = lowerName(name)
	return lower, !fields.ConnectionSpecific(lower) && httpguts.ValidHeaderFieldName(lower)
}

func carriedValue(lower, value string) bool {
	return (lower != "te" || value == "trailers") && httpguts.ValidHeaderFieldValue(value)
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
