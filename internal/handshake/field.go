package handshake

import (
	"net/http"
	"strings"
)

// The canonical keys of the header fields that belong to the handshake.
const (
	fieldKey        = "Sec-Websocket-Key"
	fieldAccept     = "Sec-Websocket-Accept"
	fieldVersion    = "Sec-Websocket-Version"
	fieldProtocol   = "Sec-Websocket-Protocol"
	fieldExtensions = "Sec-Websocket-Extensions"
	fieldUpgrade    = "Upgrade"
	fieldConnection = "Connection"
	fieldOrigin     = "Origin"
	fieldAllow      = "Allow"
)

// version is the only version of the WebSocket protocol there is. RFC 6455, Section 4.1.
const version = "13"

// elements calls yield with every element of the comma-separated lists in lines, without the empty ones and the whitespace
// around. "A recipient MUST parse and ignore a reasonable number of empty list elements." RFC 9110, Section 5.6.1.2.
// Not for fields that may hold quoted strings.
func elements(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for element := range strings.SplitSeq(line, ",") {
				if element = trim(element); element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// hasElement reports whether a list has an element that matches token case-insensitively.
func hasElement(lines []string, token string) bool {
	for element := range elements(lines) {
		if equalFold(element, token) {
			return true
		}
	}
	return false
}

// isOnlyElement reports whether a list consists of one element, which matches token case-insensitively.
func isOnlyElement(lines []string, token string) bool {
	n := 0
	for element := range elements(lines) {
		if n++; !equalFold(element, token) {
			return false
		}
	}
	return n == 1
}

// equalFold is an ASCII case-insensitive match, given that token is ASCII: strings.EqualFold alone would take the Kelvin sign
// for a k.
func equalFold(s, token string) bool { return len(s) == len(token) && strings.EqualFold(s, token) }

// trim takes optional whitespace off both ends. RFC 9110, Section 5.6.3.
func trim(s string) string { return strings.Trim(s, " \t") }

// joined shows a field's lines in an error as one value; missing says that there are none.
func joined(h http.Header, field string) string {
	lines := h[field]
	if len(lines) == 0 {
		return "no " + display(field)
	}
	return display(field) + " " + quote(strings.Join(lines, ", "))
}

// display is a field's name as the RFC writes it.
func display(field string) string { return strings.Replace(field, "Websocket", "WebSocket", 1) }

// isToken reports whether s is a token. RFC 9110, Section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTchar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTchar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
