package handshake

import (
	"strings"

	"github.com/weftws/weft/internal/deflate"
)

// An Extension is one element of Sec-WebSocket-Extensions. RFC 6455, Section 9.1.
type Extension struct {
	Name   string
	Params []Param
}

// A Param is one parameter of an Extension; Value is a token, unquoted.
type Param = deflate.Param

// String is the element as it stands in the field. A value needs no quotes, since it is a token.
func (e Extension) String() string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, p := range e.Params {
		b.WriteString("; " + p.Name)
		if p.HasValue {
			b.WriteString("=" + p.Value)
		}
	}
	return b.String()
}

// How much of Sec-WebSocket-Extensions is read. Browsers send one extension with one parameter.
const (
	maxExtensions      = 32
	maxExtensionParams = 32
)

// ParseExtensions parses all the field lines of Sec-WebSocket-Extensions; quoted values are unquoted and must be tokens
// inside. At most 32 extensions with at most 32 parameters each are taken. No lines: no extensions. The error is an *Error with Status 400.
func ParseExtensions(lines []string) ([]Extension, error) {
	extensions, err := parseExtensions("peer", lines)
	if err != nil {
		return nil, err
	}
	return extensions, nil
}

func parseExtensions(side string, lines []string) (extensions []Extension, err *Error) {
	for _, line := range lines {
		s := extensionScanner{side: side, line: line}
		for s.next(); s.pos < len(line); s.next() {
			if line[s.pos] == ',' {
				s.pos++ // an empty element, or the end of one
				continue
			}
			extension, err := s.extension()
			if err != nil {
				return nil, err
			}
			if len(extensions) == maxExtensions {
				return nil, violation(400, "too-many-extensions", sectionExtensions, "%s sent more than %d extensions", side, maxExtensions)
			}
			extensions = append(extensions, extension)
		}
	}
	// "extension-list = 1#extension"
	if len(lines) > 0 && len(extensions) == 0 {
		return nil, violation(400, "malformed-extensions", sectionExtensions, "%s sent an empty Sec-WebSocket-Extensions", side)
	}
	return extensions, nil
}

const sectionExtensions = "RFC 6455, Section 9.1"

// An extensionScanner reads one line of Sec-WebSocket-Extensions.
type extensionScanner struct {
	side, line string
	pos        int
}

// extension reads "extension-token *( ";" extension-param )" and stops at a comma or the end.
func (s *extensionScanner) extension() (e Extension, err *Error) {
	if e.Name = s.token(); e.Name == "" {
		return e, s.malformed("an extension's name")
	}
	for s.next(); s.pos < len(s.line) && s.line[s.pos] != ','; s.next() {
		if s.line[s.pos] != ';' {
			return e, s.malformed("';' or ','")
		}
		s.pos++
		p, err := s.param()
		if err != nil {
			return e, err
		}
		if len(e.Params) == maxExtensionParams {
			return e, violation(400, "too-many-extension-parameters", sectionExtensions,
				"%s sent more than %d parameters of extension %s", s.side, maxExtensionParams, quote(e.Name))
		}
		e.Params = append(e.Params, p)
	}
	return e, nil
}

// param reads "token [ "=" (token | quoted-string) ]". The implied *LWS rule of RFC 6455, Section 9.1 lets whitespace
// stand around the equals sign too.
func (s *extensionScanner) param() (p Param, err *Error) {
	s.next()
	if p.Name = s.token(); p.Name == "" {
		return p, s.malformed("a parameter's name")
	}
	s.next()
	if s.pos == len(s.line) || s.line[s.pos] != '=' {
		return p, nil
	}
	s.pos++
	s.next()
	p.HasValue = true
	if s.pos < len(s.line) && s.line[s.pos] == '"' {
		p.Value, err = s.quotedToken()
		return p, err
	}
	if p.Value = s.token(); p.Value == "" {
		return p, s.malformed("a parameter's value")
	}
	return p, nil
}

// quotedToken reads a quoted-string. "When using the quoted-string syntax variant, the value after quoted-string
// unescaping MUST conform to the 'token' ABNF."
func (s *extensionScanner) quotedToken() (string, *Error) {
	var b []byte
	for i := s.pos + 1; i < len(s.line); i++ {
		c := s.line[i]
		if c == '"' {
			if !isToken(string(b)) {
				return "", s.malformed("a token within the quotes")
			}
			s.pos = i + 1
			return string(b), nil
		}
		if c == '\\' && i+1 < len(s.line) {
			i++
			c = s.line[i]
		}
		b = append(b, c)
	}
	return "", s.malformed("closing quotes")
}

// token reads a token, "" where there is none.
func (s *extensionScanner) token() string {
	start := s.pos
	for s.pos < len(s.line) && isTchar(s.line[s.pos]) {
		s.pos++
	}
	return s.line[start:s.pos]
}

// next skips whitespace.
func (s *extensionScanner) next() {
	for s.pos < len(s.line) && (s.line[s.pos] == ' ' || s.line[s.pos] == '\t') {
		s.pos++
	}
}

// malformed: "If a value is received by either the client or the server during negotiation that does not conform to the
// ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_."
func (s *extensionScanner) malformed(want string) *Error {
	return violation(400, "malformed-extensions", sectionExtensions,
		"%s sent Sec-WebSocket-Extensions %s, which lacks %s at byte %d", s.side, quote(s.line), want, s.pos)
}
