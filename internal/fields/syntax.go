package fields

import "strconv"

// ConnectionSpecific: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields." RFC 9113, Section 8.2.2.
// RFC 9114, Section 4.2, says so of HTTP/3.
func ConnectionSpecific(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// ValidName: a token without upper-case letters. RFC 9110, Section 5.1; RFC 9113, Section 8.2.1; RFC 9114, Section 4.2.
func ValidName(s string) bool {
	for i := range len(s) {
		if tokenByte[s[i]]&lowerToken == 0 {
			return false
		}
	}
	return s != ""
}

// ValidValue: "A field value MUST NOT contain the zero value (ASCII NUL, 0x00), line feed (ASCII LF, 0x0a), or carriage return (ASCII CR,
// 0x0d) at any position." "A field value MUST NOT start or end with an ASCII whitespace character". RFC 9113, Section 8.2.1. Other control
// characters are no field-vchar either: RFC 9110, Section 5.5.
func ValidValue(s string) bool {
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
	if err != nil {
		return -1
	}
	return int64(n)
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
