package altsvc

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Value is what an Alt-Svc field or an ALTSVC frame says. RFC 7838, Section 3.
type Value struct {
	Clear   bool // all alternatives are to be forgotten; there are no Offers then
	Offers  []Offer
	Dropped []Dropped
}

// A Dropped is a part of a field that could not be read.
type Dropped struct{ Text, Reason string }

// MaxOffers is how many alternatives of one field are kept; the rest is dropped.
const MaxOffers = 16

// Parse reads the lines of an Alt-Svc field, or the value of an ALTSVC frame. It never fails: an alternative that is malformed
// is dropped, and an unknown parameter ignored.
func Parse(lines ...string) Value {
	var v Value
	for _, line := range lines {
		for rest := line; rest != ""; {
			var text string
			text, rest = cutElement(rest)
			// "A recipient MUST parse and ignore a reasonable number of empty list elements." RFC 9110, Section 5.6.1.2.
			if text != "" {
				v.add(text)
			}
		}
	}
	// "A field value containing the special value "clear" indicates that the origin requests all alternatives for that
	// origin to be invalidated (including those specified in the same response [...])." RFC 7838, Section 3.
	if v.Clear {
		v.Offers = nil
	}
	return v
}

func (v *Value) add(text string) {
	if text == "clear" { // case-sensitive: RFC 7838, Section 3
		v.Clear = true
		return
	}
	o, reason := parseOffer(text)
	if reason == "" && len(v.Offers) == MaxOffers {
		reason = fmt.Sprintf("more than %d alternatives", MaxOffers)
	}
	switch {
	case reason == "":
		v.Offers = append(v.Offers, o)
	case len(v.Dropped) < MaxOffers:
		v.Dropped = append(v.Dropped, Dropped{text, reason})
	}
}

// String returns the value as it is sent, "" where it says nothing.
func (v Value) String() string {
	if v.Clear {
		return "clear"
	}
	var b strings.Builder
	for i, o := range v.Offers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.String())
	}
	return b.String()
}

// cutElement cuts the first list element off, without the whitespace around it.
func cutElement(s string) (element, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == ',':
			return strings.Trim(s[:i], " \t"), s[i+1:]
		}
	}
	return strings.Trim(s, " \t"), ""
}

// parseOffer reads one alternative and its parameters.
func parseOffer(text string) (o Offer, reason string) {
	id, rest := cutToken(text)
	if id == "" {
		return Offer{}, "no protocol"
	}
	if o.ALPN, reason = decodeALPN(id); reason != "" {
		return Offer{}, reason
	}
	rest, ok := strings.CutPrefix(rest, "=")
	if !ok {
		return Offer{}, `no "=" behind the protocol`
	}
	authority, rest, ok := cutQuoted(rest)
	if !ok {
		return Offer{}, "authority is no quoted string"
	}
	if o.Host, o.Port, reason = parseAuthority(authority); reason != "" {
		return Offer{}, reason
	}
	o.MaxAge = DefaultMaxAge
	if reason = o.parseParameters(rest); reason != "" {
		return Offer{}, reason
	}
	return o, ""
}

// parseParameters reads *( OWS ";" OWS [ parameter ] ). RFC 9110, Section 5.6.6. Of a parameter that comes twice the first
// counts.
func (o *Offer) parseParameters(s string) (reason string) {
	var seenAge, seenPersist bool
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return ""
		}
		if s[0] != ';' {
			return "something else than parameters behind the authority"
		}
		s = strings.TrimLeft(s[1:], " \t")
		if s == "" || s[0] == ';' {
			continue
		}
		name, rest := cutToken(s)
		rest, ok := strings.CutPrefix(rest, "=")
		if name == "" || !ok {
			return "parameter without a name or a value"
		}
		value, rest, ok := cutValue(rest)
		if !ok {
			return "parameter whose value is neither token nor quoted string"
		}
		s = rest
		switch {
		case strings.EqualFold(name, "ma") && !seenAge:
			seenAge = true
			if o.MaxAge, ok = ParseSeconds(value); !ok {
				return "ma is no number of seconds"
			}
		case strings.EqualFold(name, "persist") && !seenPersist:
			// "Clients MUST ignore "persist" parameters with values other than "1"." RFC 7838, Section 3.1.
			seenPersist = true
			o.Persist = value == "1"
		}
		// "Unknown parameters MUST be ignored." RFC 7838, Section 3.
	}
}

// ParseSeconds reads delta-seconds, of an Age field too: "If a cache receives a delta-seconds value greater than the greatest integer it can
// represent [...] the cache MUST consider the value to be 2147483648 (2^31)". RFC 9111, Section 1.2.2.
func ParseSeconds(s string) (time.Duration, bool) {
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > maxSeconds {
		n = maxSeconds
	}
	return time.Duration(n) * time.Second, true
}

const maxSeconds = 1 << 31

func cutToken(s string) (token, rest string) {
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// cutValue cuts a token or a quoted string off.
func cutValue(s string) (value, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
	}
	value, rest = cutToken(s)
	return value, rest, value != ""
}

// cutQuoted: RFC 9110, Section 5.6.4.
func cutQuoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return string(b), s[i+1:], true
		}
		if c == '\\' {
			if i++; i == len(s) {
				break
			}
			c = s[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			break
		}
		b = append(b, c)
	}
	return "", s, false
}
