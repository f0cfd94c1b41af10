package handshake

import (
	"net/http"
	"slices"
	"strings"

	"github.com/weftws/weft/internal/deflate"
)

// An Offer is what a client asks for beyond the connection itself.
type Offer struct {
	Subprotocols []string        // in order of preference
	Deflate      *deflate.Params // permessage-deflate, nil: not offered; window bits 0 or 15: the parameter is absent for the server's, valueless for the client's
}

// An Agreement is what both sides settled on.
type Agreement struct {
	Subprotocol string
	Deflate     *deflate.Params // nil: none
	// Extensions is the Sec-WebSocket-Extensions of the response, "" for none. RFC 6455, Section 4.1 calls it the
	// _Extensions In Use_. SetResponse prints Deflate where it is "".
	Extensions string
}

// SetRequest sets the header fields of a client's request: Sec-WebSocket-Version, -Protocol, -Extensions, and, for HTTP/1.1
// (key not ""), Upgrade, Connection and Sec-WebSocket-Key. It fails, with an *Error and h untouched, on a field in h that the
// handshake owns, on a subprotocol that is no token or stands twice, and on window bits out of range.
func SetRequest(h http.Header, o Offer, key string) error {
	for field := range h {
		switch canonical := http.CanonicalHeaderKey(field); canonical {
		case fieldKey, fieldAccept, fieldVersion, fieldProtocol, fieldExtensions, fieldUpgrade, fieldConnection:
			return violation(0, "reserved-field", "RFC 6455, Section 4.1", "this client's header already has %s, which the handshake sets", display(canonical))
		}
	}
	for i, s := range o.Subprotocols {
		if err := checkSubprotocol("this client", s, o.Subprotocols[:i]); err != nil {
			err.Status = 0
			return err
		}
	}
	if o.Deflate != nil {
		if err := o.Deflate.Validate(); err != nil {
			return deflateViolation(0, err)
		}
	}

	h[fieldVersion] = []string{version}
	if len(o.Subprotocols) > 0 {
		h[fieldProtocol] = []string{strings.Join(o.Subprotocols, ", ")}
	}
	if o.Deflate != nil {
		h[fieldExtensions] = []string{deflate.NewOffer(*o.Deflate).String()}
	}
	// "[RFC6455] requires the use of Connection and Upgrade header fields that are not part of HTTP/2. They MUST NOT be included
	// in the CONNECT request defined here." RFC 8441, Section 5.
	if key != "" {
		h[fieldUpgrade] = []string{"websocket"}
		h[fieldConnection] = []string{"Upgrade"}
		h[fieldKey] = []string{key}
	}
	return nil
}

// CheckResponse checks a server's answer: for HTTP/1.1 (key not "") status 101, Upgrade, Connection, Sec-WebSocket-Accept;
// otherwise any 2xx; then the subprotocol and extensions against the offer. Whatever was not offered is an error.
func CheckResponse(status int, h http.Header, o Offer, key string) (Agreement, *Error) {
	check := checkSwitch
	if key == "" {
		check = checkTunnel
	}
	if err := check(status, h, key); err != nil {
		return Agreement{}, err
	}
	subprotocol, err := checkSubprotocolChosen(h[fieldProtocol], o.Subprotocols)
	if err != nil {
		return Agreement{}, err
	}
	a := Agreement{Subprotocol: subprotocol, Extensions: strings.Join(h[fieldExtensions], ", ")}
	if a.Deflate, err = checkExtensionsChosen(h[fieldExtensions], o.Deflate); err != nil {
		return Agreement{}, err
	}
	return a, nil
}

// checkSwitch checks that an HTTP/1.1 server switches to our WebSocket.
func checkSwitch(status int, h http.Header, key string) *Error {
	const section = "RFC 6455, Section 4.1"
	if status != http.StatusSwitchingProtocols {
		return unexpectedStatus(status, h, "101", section)
	}
	// "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not an ASCII
	// case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_."
	if !isOnlyElement(h[fieldUpgrade], "websocket") {
		return violation(0, "wrong-upgrade", section, "server answered 101 with %s, not websocket", joined(h, fieldUpgrade))
	}
	// "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token that is an
	// ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the WebSocket Connection_."
	if !hasElement(h[fieldConnection], "upgrade") {
		return violation(0, "wrong-connection", section, "server answered 101 with %s, which lacks Upgrade", joined(h, fieldConnection))
	}
	// "If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value other than
	// the base64-encoded SHA-1 of the concatenation [...] but ignoring any leading and trailing whitespace, the client MUST
	// _Fail the WebSocket Connection_."
	if accept := h[fieldAccept]; len(accept) != 1 || trim(accept[0]) != AcceptKey(key) {
		return violation(0, "wrong-accept", section, "server answered 101 with %s, not %s", joined(h, fieldAccept), quote(AcceptKey(key)))
	}
	return nil
}

// checkTunnel checks the answer to an Extended CONNECT. "Implementations using this extended CONNECT to bootstrap WebSockets
// do not do the processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header fields of [RFC6455]." RFC 8441, Section 5.
func checkTunnel(status int, h http.Header, _ string) *Error {
	if status < 200 || status > 299 {
		return unexpectedStatus(status, h, "a 2xx", "RFC 8441, Section 5")
	}
	return nil
}

// unexpectedStatus also tells the versions that the server would speak. RFC 6455, Section 4.4.
func unexpectedStatus(status int, h http.Header, want, section string) *Error {
	err := violation(0, "unexpected-status", section, "server answered %d, not %s", status, want)
	if len(h[fieldVersion]) > 0 {
		err.Detail += "; it sent " + joined(h, fieldVersion)
	}
	return err
}

// checkSubprotocolChosen: "If [...] this header field indicates the use of a subprotocol that was not present in the client's
// handshake (the server has indicated a subprotocol not requested by the client), the client MUST _Fail the WebSocket
// Connection_." RFC 6455, Section 4.1.
func checkSubprotocolChosen(lines, offered []string) (string, *Error) {
	if len(lines) == 0 {
		return "", nil
	}
	// "The ABNF for the value of this header field is (token)." RFC 6455, Section 4.2.2.
	chosen := trim(lines[0])
	if len(lines) > 1 || !isToken(chosen) {
		return "", violation(0, "malformed-subprotocol", "RFC 6455, Section 4.2.2",
			"server chose the subprotocol %s, which is not one token", quote(strings.Join(lines, ", ")))
	}
	if !slices.Contains(offered, chosen) {
		return "", violation(0, "subprotocol-not-offered", "RFC 6455, Section 4.1",
			"server chose the subprotocol %s, the client offered %s", quote(chosen), quote(strings.Join(offered, ", ")))
	}
	return chosen, nil
}

// checkExtensionsChosen: "If [...] this header field indicates the use of an extension that was not present in the client's
// handshake (the server has indicated an extension not requested by the client), the client MUST _Fail the WebSocket
// Connection_." RFC 6455, Section 4.1.
func checkExtensionsChosen(lines []string, offered *deflate.Params) (agreed *deflate.Params, err *Error) {
	extensions, err := parseExtensions("server", lines)
	if err != nil {
		err.Status = 0
		return nil, err
	}
	for _, e := range extensions {
		if e.Name != deflate.Name || offered == nil {
			return nil, violation(0, "extension-not-offered", "RFC 6455, Section 4.1", "server chose the extension %s, which the client did not offer", quote(e.String()))
		}
		if agreed != nil {
			return nil, violation(0, "duplicate-extension", "RFC 7692, Section 5", "server chose %s twice", deflate.Name)
		}
		// "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer for this
		// extension with an extension negotiation response meeting any of the following conditions." RFC 7692, Section 7.
		response, err := deflate.ParseResponse(e.Params)
		if err != nil {
			return nil, deflateViolation(0, err)
		}
		params, err := deflate.NewOffer(*offered).Confirm(response)
		if err != nil {
			return nil, deflateViolation(0, err)
		}
		agreed = &params
	}
	return agreed, nil
}

// deflateViolation takes an error of package deflate's negotiation, all of which are *deflate.ParamError.
func deflateViolation(status int, err error) *Error {
	p := err.(*deflate.ParamError)
	return violation(status, p.Name, p.Section, "%s", p.Detail)
}
