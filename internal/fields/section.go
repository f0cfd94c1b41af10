// Package fields has the rules for what field sections consist of, which HTTP/2 and HTTP/3 share: RFC 9113, Section 8, RFC 9114, Section 4,
// and, for Extended CONNECT, RFC 8441 and RFC 9220. What encodes them is HPACK's and QPACK's, what a breach costs the versions'.
package fields

import "strings"

// Kind is what a section is.
type Kind uint8

const (
	Request Kind = iota + 1
	Response
	Trailers // of either
)

// Limits are those of a section.
type Limits struct {
	Size  int // bytes of names and values, and 32 for each line: RFC 9113, Section 6.5.2; RFC 9114, Section 4.2.2
	Lines int
}

// Pseudo are the pseudo-header fields of a request or response, "" or 0 where absent. RFC 9113, Section 8.3; RFC 9114, Section 4.3;
// RFC 8441, Section 4.
type Pseudo struct {
	Method, Scheme, Authority, Path, Protocol string
	Status                                    int
}

// A Section is a field section, line by line: Recv for each, and Check at the end. What is behind the first Breach means nothing.
type Section struct {
	Kind  Kind
	HTTP3 bool // RFC 9114 asks for more than RFC 9113

	Pseudo        Pseudo
	ContentLength int64 // -1: none

	seen    pseudoSet
	regular bool // a regular field line was seen
	lines   int
	size    int // as Limits counts
	host    string
	hasHost bool
}

// NewSection returns one of which nothing has come.
func NewSection(kind Kind) Section { return Section{Kind: kind, ContentLength: -1} }

// A pseudoSet says which pseudo-header fields were seen.
type pseudoSet uint8

const (
	seenMethod pseudoSet = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
	seenStatus
)

// HasProtocol reports whether :protocol was among them.
func (s *Section) HasProtocol() bool { return s.seen&seenProtocol != 0 }

// Recv takes one field line and reports whether it is a regular one.
func (s *Section) Recv(name, value string, limits Limits) (regular bool, b *Breach) {
	s.lines++
	s.size += len(name) + len(value) + 32
	if s.size > limits.Size {
		return false, TooManyBytes(limits.Size)
	}
	if s.lines > limits.Lines {
		return false, breaks(TooLarge, "sent a field section of more than %d lines", limits.Lines)
	}
	if !ValidValue(value) {
		return false, breaks(ValueInvalid, "sent an invalid value of field %.40q", name)
	}
	if strings.HasPrefix(name, ":") {
		return false, s.recvPseudo(name, value)
	}
	s.regular = true
	if !ValidName(name) {
		return true, breaks(NameInvalid, "sent the invalid field name %.40q", name)
	}
	return true, s.recvRegular(name, value)
}

// TooManyBytes is the Breach of a section that has more bytes than limit.
func TooManyBytes(limit int) *Breach {
	return breaks(TooLarge, "sent a field section of more than %d bytes", limit)
}

// recvPseudo: RFC 9113, Section 8.3; RFC 9114, Section 4.3.
func (s *Section) recvPseudo(name, value string) *Breach {
	if s.Kind == Trailers {
		// "Pseudo-header fields MUST NOT appear in trailer sections." RFC 9114, Section 4.3; RFC 9113, Section 8.1, says the same.
		return breaks(PseudoInTrailers, "sent %.40q in trailers", name)
	}
	if s.regular {
		// "All pseudo-header fields MUST appear in a field block before all regular field lines." RFC 9113, Section 8.3.
		return breaks(PseudoAfterRegular, "sent %.40q after a regular field", name)
	}
	var bit pseudoSet
	p, request := &s.Pseudo, s.Kind == Request
	switch {
	case request && name == ":method":
		bit, p.Method = seenMethod, value
	case request && name == ":scheme":
		bit, p.Scheme = seenScheme, value
	case request && name == ":authority":
		bit, p.Authority = seenAuthority, value
	case request && name == ":path":
		bit, p.Path = seenPath, value
	case request && name == ":protocol":
		bit, p.Protocol = seenProtocol, value
	case !request && name == ":status":
		bit, p.Status = seenStatus, parseStatus(value)
		if p.Status == 0 {
			return breaks(StatusInvalid, "sent the invalid status %.10q", value)
		}
	default:
		// "Endpoints MUST treat a request or response that contains undefined or invalid pseudo-header fields as malformed".
		return breaks(PseudoUnknown, "sent the pseudo-header field %.40q", name)
	}
	if s.seen&bit != 0 {
		// "The same pseudo-header field name MUST NOT appear more than once in a field block." RFC 9113, Section 8.3.
		return breaks(PseudoRepeated, "sent %s twice", name)
	}
	s.seen |= bit
	return nil
}

// recvRegular looks at the fields that mean something to framing.
func (s *Section) recvRegular(name, value string) *Breach {
	if ConnectionSpecific(name) {
		// "Any message containing connection-specific header fields MUST be treated as malformed". RFC 9113, Section 8.2.2; RFC 9114,
		// Section 4.2.
		return breaks(ConnectionField, "sent the connection-specific field %s", name)
	}
	switch name {
	case "te":
		// "The only exception to this is the TE header field, which MAY be present in an HTTP/2 request; when it is, it MUST NOT contain any
		// value other than "trailers"." RFC 9113, Section 8.2.2; RFC 9114, Section 4.2.
		if !strings.EqualFold(value, "trailers") {
			return breaks(ConnectionField, "sent te: %.40q", value)
		}
	case "content-length":
		if s.Kind == Trailers {
			return nil // it comes too late to mean anything
		}
		n := parseContentLength(value)
		if n < 0 || s.ContentLength >= 0 && s.ContentLength != n {
			return breaks(ContentLengthInvalid, "sent content-length: %.40q", value)
		}
		s.ContentLength = n
	case "host":
		if s.hasHost && s.host != value {
			return breaks(HostMismatch, "sent two host fields")
		}
		s.host, s.hasHost = value, true
	}
	return nil
}

// Check looks at the section as a whole.
func (s *Section) Check() *Breach {
	switch s.Kind {
	case Request:
		return s.checkRequest()
	case Response:
		// "This pseudo-header field MUST be included in all responses, including interim responses; otherwise, the response is malformed".
		// RFC 9113, Section 8.3.2; RFC 9114, Section 4.3.2.
		if s.seen != seenStatus {
			return breaks(PseudoMissing, "sent a response without :status")
		}
	}
	return nil
}

// checkRequest: RFC 9113, Sections 8.3.1 and 8.5; RFC 9114, Sections 4.3.1 and 4.4; RFC 8441, Section 4.
func (s *Section) checkRequest() *Breach {
	p := &s.Pseudo
	switch {
	case s.seen&seenMethod == 0:
		return breaks(PseudoMissing, "sent a request without :method")
	case !validToken(p.Method):
		return breaks(PseudoInvalid, "sent the invalid method %.40q", p.Method)
	case s.HasProtocol() && p.Method != "CONNECT":
		return breaks(ConnectForm, "sent :protocol with method %.40q", p.Method)
	case s.HasProtocol() && !validToken(p.Protocol):
		return breaks(PseudoInvalid, "sent the invalid protocol %.40q", p.Protocol)
	case s.HasProtocol() && s.seen&seenAuthority == 0:
		return breaks(PseudoMissing, "sent :protocol without :authority")
	case p.Method == "CONNECT" && !s.HasProtocol():
		// "The ":scheme" and ":path" pseudo-header fields MUST be omitted." RFC 9113, Section 8.5; RFC 9114, Section 4.4.
		if s.seen != seenMethod|seenAuthority || p.Authority == "" {
			return breaks(ConnectForm, "sent CONNECT that does not consist of :method and :authority")
		}
		return nil
	}
	return s.checkTarget()
}

// checkTarget: "All HTTP/2 requests MUST include exactly one valid value for the ":method", ":scheme", and ":path" pseudo-header fields,
// unless they are CONNECT requests (Section 8.5)." RFC 9113, Section 8.3.1; RFC 9114, Section 4.3.1. "On requests that contain the :protocol
// pseudo-header field, the :scheme and :path pseudo-header fields of the target URI (see Section 5) MUST also be included." RFC 8441,
// Section 4.
func (s *Section) checkTarget() *Breach {
	p := &s.Pseudo
	switch {
	case s.seen&seenScheme == 0:
		return breaks(PseudoMissing, "sent a request without :scheme")
	case s.seen&seenPath == 0:
		return breaks(PseudoMissing, "sent a request without :path")
	case !validScheme(p.Scheme):
		return breaks(PseudoInvalid, "sent the invalid scheme %.40q", p.Scheme)
	case strings.EqualFold(p.Scheme, "http") || strings.EqualFold(p.Scheme, "https"):
		if b := s.checkHTTPTarget(); b != nil {
			return b
		}
	}
	if s.hasHost && s.seen&seenAuthority != 0 && !s.sameHost() {
		return breaks(HostMismatch, "sent host: %.40q and :authority %.40q", s.host, p.Authority)
	}
	return nil
}

// checkHTTPTarget is checkTarget for "http" and "https".
func (s *Section) checkHTTPTarget() *Breach {
	p := &s.Pseudo
	switch {
	case p.Path == "":
		// "This pseudo-header field MUST NOT be empty for "http" or "https" URIs". RFC 9113, Section 8.3.1; RFC 9114, Section 4.3.1.
		return breaks(PseudoInvalid, "sent an empty :path")
	case p.Path[0] != '/' && !(p.Path == "*" && p.Method == "OPTIONS"):
		path, _, _ := strings.Cut(p.Path, "?") // queries have secrets
		return breaks(PseudoInvalid, "sent the invalid :path %.40q", path)
	case strings.Contains(p.Authority, "@"):
		// "":authority" MUST NOT include the deprecated userinfo subcomponent for "http" or "https" schemed URIs." RFC 9113, Section 8.3.1;
		// RFC 9114, Section 4.3.1.
		return breaks(PseudoInvalid, "sent :authority with userinfo")
	case s.HTTP3 && s.seen&seenAuthority == 0 && !s.hasHost:
		// "If the :scheme pseudo-header field identifies a scheme that has a mandatory authority component (including "http" and "https"), the
		// request MUST contain either an :authority pseudo-header field or a Host header field." RFC 9114, Section 4.3.1.
		return breaks(PseudoMissing, "sent a request without :authority")
	case s.HTTP3 && (s.seen&seenAuthority != 0 && p.Authority == "" || s.hasHost && s.host == ""):
		// "If these fields are present, they MUST NOT be empty." RFC 9114, Section 4.3.1.
		return breaks(PseudoInvalid, "sent an empty :authority or host")
	}
	return nil
}

// sameHost: "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that differs from the
// entity in the ":authority" pseudo-header field." RFC 9113, Section 8.3.1. The entity is the same after scheme-based normalization: case, and
// the default port. RFC 3986, Section 6.2.3. "If both fields are present, they MUST contain the same value." RFC 9114, Section 4.3.1.
func (s *Section) sameHost() bool {
	a, b := s.host, s.Pseudo.Authority
	if a == b || s.HTTP3 {
		return a == b
	}
	port := ":80"
	if strings.EqualFold(s.Pseudo.Scheme, "https") {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}
