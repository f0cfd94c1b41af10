package semantics

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/weftws/weft/internal/fields"
)

// Kind is what becomes of a request.
type Kind uint8

const (
	Ordinary  Kind = iota // the handler's
	WebSocket             // the handler's; shown as a GET with Upgrade, and the stream may be taken over
	Unknown               // an Extended CONNECT for another protocol: see RefuseProtocol
	Malformed             // :path cannot be parsed: 400
)

// A Request is a request with what belongs to every one of them, in one piece: what is garbage soon must not lie between what is not.
type Request struct {
	http.Request
	url    url.URL
	values [12]string // of the header's fields, if there are no more
}

// NewRequest returns the request as net/http would show it, without content: see Body.Init. Proto, ProtoMajor, TLS, RemoteAddr and
// the context are the caller's to set. The lines are those of a request that is not malformed; they are not kept.
func NewRequest[F Field](p fields.Pseudo, lines []F) (*Request, Kind) {
	n := len(lines)
	r := new(Request)
	h, values := make(http.Header, n+4), r.values[:]
	if n+2 > len(values) {
		values = make([]string, n+2)
	}
	fillHeader(h, lines, values)
	host := p.Authority
	if host == "" {
		host = h.Get("Host")
	}
	delete(h, "Host")
	r.Method, r.Header, r.Host, r.RequestURI, r.Body = p.Method, h, host, p.Path, http.NoBody
	kind := Ordinary
	switch {
	case p.Method == http.MethodConnect && p.Protocol == "":
		// "The ":scheme" and ":path" pseudo-header fields MUST be omitted." RFC 9113, Section 8.5; RFC 9114, Section 4.4.
		r.url = url.URL{Host: host}
		r.URL, r.RequestURI = &r.url, host
		return r, kind
	case p.Protocol == "websocket":
		kind = WebSocket
		r.Method = http.MethodGet
		values[n], values[n+1] = "websocket", "Upgrade"
		h["Upgrade"], h["Connection"] = values[n:n+1:n+1], values[n+1:n+2:n+2]
	case p.Protocol != "":
		kind = Unknown
	}
	r.URL = &r.url
	if !r.parsePath(p.Path) {
		r.url = url.URL{Path: p.Path}
		return r, Malformed
	}
	return r, kind
}

// SetContext sets the request's context.
func (r *Request) SetContext(ctx context.Context) { r.Request = *r.Request.WithContext(ctx) }

// parsePath sets the url to path; false: it is malformed.
func (r *Request) parsePath(path string) bool {
	p, query, asks := strings.Cut(path, "?")
	if strings.HasPrefix(p, "/") && isPlain(p) && isPlain(query) && asks == (query != "") {
		r.url = url.URL{Path: p, RawQuery: query}
		return true
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return false
	}
	r.url = *u
	return true
}

// isPlain reports whether s has only characters that mean the same in a path and a query, escaped or not.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/', c == '-', c == '.', c == '_', c == '~', c == '=', c == '&':
		default:
			return false
		}
	}
	return true
}

// Refuse is a handler that answers status.
func Refuse(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, status) })
}

// RefuseProtocol is the handler of an Extended CONNECT for something else than a WebSocket. told, which may be nil, is called when it
// has answered.
//
// "If a server advertises support for Extended CONNECT but receives an Extended CONNECT request with a ":protocol" value that is unknown
// or is not supported, the server SHOULD respond to the request with a 501 (Not Implemented) status code." RFC 9220, Section 3, says so of
// HTTP/3; in HTTP/2 as well.
func RefuseProtocol(protocol string, told func(r *http.Request, protocol string)) http.Handler {
	answer := Refuse(http.StatusNotImplemented, fmt.Sprintf("no protocol %q here", protocol))
	if told == nil {
		return answer
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer.ServeHTTP(w, r)
		told(r, protocol)
	})
}
