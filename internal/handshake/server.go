package handshake

import (
	"net/http"
	"slices"

	"github.com/weftws/weft/internal/deflate"
)

// A Request is what CheckRequest looks at. Over HTTP/2 and later it has no Upgrade semantics and no key.
type Request struct {
	Method     string // as the handler sees it: GET; over HTTP/2 and later also CONNECT
	ProtoMajor int
	ProtoMinor int
	Host       string
	Header     http.Header
}

// CheckRequest checks a client's request. Over HTTP/1.1: GET, HTTP/1.1 or later (405, 400), Host (400), Upgrade and Connection (426
// with Upgrade: websocket), Sec-WebSocket-Version 13 (426 with Sec-WebSocket-Version: 13), Sec-WebSocket-Key once, 16 bytes in
// base64 (400). Over HTTP/2 and HTTP/3: Sec-WebSocket-Version, if sent, is 13 (400, since 426 calls for Upgrade, which they lack).
func CheckRequest(r Request) *Error {
	if r.ProtoMajor >= 2 {
		return checkConnect(r)
	}
	const section = "RFC 6455, Section 4.2.1"
	if r.Method != http.MethodGet {
		return wrongMethod(r.Method, http.MethodGet, section)
	}
	if r.ProtoMajor < 1 || r.ProtoMajor == 1 && r.ProtoMinor < 1 {
		return violation(400, "wrong-http-version", section, "client speaks HTTP/%d.%d, a WebSocket needs HTTP/1.1", r.ProtoMajor, r.ProtoMinor)
	}
	if r.Host == "" {
		return violation(400, "missing-host", section, "client sent no Host")
	}
	if !hasElement(r.Header[fieldUpgrade], "websocket") {
		return upgradeRequired("not-an-upgrade", section, "client sent %s, this resource is a WebSocket", joined(r.Header, fieldUpgrade))
	}
	if !hasElement(r.Header[fieldConnection], "upgrade") {
		return upgradeRequired("not-an-upgrade", section, "client sent %s, which lacks Upgrade", joined(r.Header, fieldConnection))
	}
	if !isVersion(r.Header[fieldVersion]) {
		return upgradeRequired("wrong-version", "RFC 6455, Section 4.2.2", "client sent %s, this server speaks %s", joined(r.Header, fieldVersion), version)
	}
	return checkKey(r.Header[fieldKey], section)
}

// checkConnect checks an Extended CONNECT. "This request replaces the GET-based request in [RFC6455] and is used to process the
// WebSockets opening handshake." RFC 8441, Section 5.
func checkConnect(r Request) *Error {
	const section = "RFC 8441, Section 5"
	if r.Method != http.MethodGet && r.Method != http.MethodConnect {
		return wrongMethod(r.Method, http.MethodConnect, section)
	}
	// Choice: the field may be missing. RFC 8441 carries it over from RFC 6455, but nothing depends on it, and there are
	// clients that leave it out.
	if lines := r.Header[fieldVersion]; len(lines) > 0 && !isVersion(lines) {
		err := violation(400, "wrong-version", section, "client sent %s, this server speaks %s", joined(r.Header, fieldVersion), version)
		err.Header = http.Header{fieldVersion: {version}}
		return err
	}
	return nil
}

func wrongMethod(method, want, section string) *Error {
	err := violation(405, "wrong-method", section, "client sent the method %s, not %s", quote(method), want)
	err.Header = http.Header{fieldAllow: {http.MethodGet}}
	return err
}

// upgradeRequired: "The server MUST send an Upgrade header field in a 426 response to indicate the required protocol(s)." RFC 9110,
// Section 15.5.22. "A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field." RFC 9110,
// Section 7.8. The versions are told as well: RFC 6455, Section 4.4.
func upgradeRequired(name, section, format string, a ...any) *Error {
	err := violation(426, name, section, format, a...)
	err.Header = http.Header{fieldUpgrade: {"websocket"}, fieldConnection: {"Upgrade"}, fieldVersion: {version}}
	return err
}

func isVersion(lines []string) bool { return len(lines) == 1 && trim(lines[0]) == version }

func checkKey(lines []string, section string) *Error {
	switch {
	case len(lines) == 0:
		return violation(400, "missing-key", section, "client sent no Sec-WebSocket-Key")
	// "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request." RFC 6455, Section 11.3.1.
	case len(lines) > 1:
		return violation(400, "duplicate-key", "RFC 6455, Section 11.3.1", "client sent Sec-WebSocket-Key %d times", len(lines))
	case !isKey(trim(lines[0])):
		return violation(400, "malformed-key", section, "client sent Sec-WebSocket-Key %s, which is not 16 bytes in base64", quote(lines[0]))
	}
	return nil
}

// Support is what a server is willing to agree to.
type Support struct {
	Subprotocols []string        // in the server's order of preference; the first that the client offers wins
	Deflate      *deflate.Params // nil: permessage-deflate is declined. NoContextTakeover: insisted on. Window bits: upper bounds
}

// Agree picks subprotocol and extensions. A malformed Sec-WebSocket-Extensions or -Protocol field is a 400; an offer that
// is well formed but not acceptable is declined, and the next one is looked at (RFC 7692, Section 7). Without a common
// subprotocol there is none. Window bits of s out of range are a 500.
func Agree(h http.Header, s Support) (Agreement, *Error) {
	if s.Deflate != nil {
		if err := s.Deflate.Validate(); err != nil {
			return Agreement{}, deflateViolation(500, err)
		}
	}
	offered, err := parseSubprotocols("client", h[fieldProtocol])
	if err != nil {
		return Agreement{}, err
	}
	extensions, err := parseExtensions("client", h[fieldExtensions])
	if err != nil {
		return Agreement{}, err
	}
	var a Agreement
	for _, subprotocol := range s.Subprotocols {
		if slices.Contains(offered, subprotocol) {
			a.Subprotocol = subprotocol
			break
		}
	}
	if s.Deflate != nil {
		a.acceptDeflate(extensions, *s.Deflate)
	}
	return a, nil
}

// acceptDeflate accepts the first acceptable offer. "The order of elements is important as it specifies the client's
// preference." RFC 7692, Section 5.
func (a *Agreement) acceptDeflate(extensions []Extension, support deflate.Params) {
	for _, e := range extensions {
		if e.Name != deflate.Name {
			continue
		}
		// "A server MUST decline an extension negotiation offer for this extension if any of the following conditions are met."
		// RFC 7692, Section 7.
		offer, err := deflate.ParseOffer(e.Params)
		if err != nil {
			continue
		}
		response, err := offer.Accept(support)
		if err != nil {
			continue
		}
		params := response.Params()
		a.Deflate, a.Extensions = &params, response.String()
		return
	}
}

// SetResponse sets the response's header fields and removes those that were not agreed; key "" leaves out
// Sec-WebSocket-Accept, and upgrade adds Upgrade and Connection for a 101. A 2xx over HTTP/2 carries Sec-WebSocket-Accept
// where the client has sent a key all the same, so that code written for HTTP/1.1 finds it.
func SetResponse(h http.Header, a Agreement, key string, upgrade bool) {
	set := func(field, value string) {
		if value == "" {
			delete(h, field)
			return
		}
		h[field] = []string{value}
	}
	if upgrade {
		set(fieldUpgrade, "websocket")
		set(fieldConnection, "Upgrade")
	}
	accept := ""
	if key != "" {
		accept = AcceptKey(key)
	}
	set(fieldAccept, accept)
	// "If the server does not wish to agree to one of the suggested subprotocols, it MUST NOT send back a
	// |Sec-WebSocket-Protocol| header field in its response." RFC 6455, Section 4.2.2.
	set(fieldProtocol, a.Subprotocol)
	extensions := a.Extensions
	if extensions == "" && a.Deflate != nil {
		extensions = a.Deflate.String()
	}
	set(fieldExtensions, extensions)
}
