package h1

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// checkHeader reports a field that is no valid field line or that would change where the message ends. RFC 9110, Sections 5.1
// and 5.5; RFC 9112, Section 6.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if !isToken(name) {
			return fmt.Errorf("header field name %q is not a token", name)
		}
		switch strings.ToLower(name) {
		case "content-length", "transfer-encoding", "trailer":
			return fmt.Errorf("header field %s has no place in a WebSocket handshake", name)
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return fmt.Errorf("value of header field %s has a control character", name)
			}
		}
	}
	return nil
}

// appendHeader appends the field lines of h, in alphabetical order, and the empty line after them. h was checked.
func appendHeader(b *bytes.Buffer, h http.Header, exclude map[string]bool) {
	h.WriteSubset(b, exclude)
	b.WriteString("\r\n")
}

// RFC 9110, Section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// RFC 9110, Section 5.5.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isVisible reports whether s has no space, control or non-ASCII character, as in a request line or Host.
func isVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}
