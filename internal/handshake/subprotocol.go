package handshake

import "slices"

// maxSubprotocols is how many subprotocols are read from a client.
const maxSubprotocols = 64

// ParseSubprotocols parses Sec-WebSocket-Protocol lines: tokens, no duplicates, 64 at most. No lines: none. The error is an
// *Error with Status 400.
func ParseSubprotocols(lines []string) ([]string, error) {
	subprotocols, err := parseSubprotocols("peer", lines)
	if err != nil {
		return nil, err
	}
	return subprotocols, nil
}

func parseSubprotocols(side string, lines []string) (subprotocols []string, err *Error) {
	for element := range elements(lines) {
		if err := checkSubprotocol(side, element, subprotocols); err != nil {
			return nil, err
		}
		if len(subprotocols) == maxSubprotocols {
			return nil, violation(400, "too-many-subprotocols", sectionSubprotocol, "%s offers more than %d subprotocols", side, maxSubprotocols)
		}
		subprotocols = append(subprotocols, element)
	}
	// "The ABNF for the value of this header field is 1#token."
	if len(lines) > 0 && len(subprotocols) == 0 {
		return nil, violation(400, "malformed-subprotocols", sectionSubprotocol, "%s sent an empty Sec-WebSocket-Protocol", side)
	}
	return subprotocols, nil
}

const sectionSubprotocol = "RFC 6455, Section 4.1"

// checkSubprotocol: "The elements that comprise this value MUST be non-empty strings with characters in the range U+0021 to U+007E
// not including separator characters as defined in [RFC2616] and MUST all be unique strings." RFC 6455, Section 4.1.
func checkSubprotocol(side, s string, before []string) *Error {
	if !isToken(s) {
		return violation(400, "malformed-subprotocols", sectionSubprotocol, "%s offers the subprotocol %s, which is no token", side, quote(s))
	}
	if slices.Contains(before, s) {
		return violation(400, "duplicate-subprotocol", sectionSubprotocol, "%s offers the subprotocol %s twice", side, quote(s))
	}
	return nil
}
