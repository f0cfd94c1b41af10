package altsvc

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Service is another place where an origin can be reached, and the protocol to be spoken there. RFC 7838, Section 2.
type Service struct {
	ALPN string // protocol name, any bytes
	Host string // lower case, an IPv6 address without brackets; "": the origin's
	Port uint16
}

// An Offer is a Service with the time for which it may be cached.
type Offer struct {
	Service
	MaxAge  time.Duration // whole seconds; 0 to 2^31 s. What has no "ma" has DefaultMaxAge
	Persist bool          // survives a change of the network
}

// DefaultMaxAge: "it is considered fresh for 24 hours from generation of the message." RFC 7838, Section 3.1.
const DefaultMaxAge = 24 * time.Hour

// Addr returns "host:port", with originHost where s names none: the value of Alt-Used (RFC 7838, Section 5), and where to
// connect.
func (s Service) Addr(originHost string) string {
	host := s.Host
	if host == "" {
		host = strings.Trim(originHost, "[]")
	}
	return joinHost(host) + ":" + strconv.Itoa(int(s.Port))
}

func joinHost(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// String returns the form of the field: h3="alt.example.com:443".
func (s Service) String() string {
	return encodeALPN(s.ALPN) + `="` + joinHost(s.Host) + ":" + strconv.Itoa(int(s.Port)) + `"`
}

// String returns the form of the field: h3=":443"; ma=60; persist=1.
func (o Offer) String() string {
	s := o.Service.String()
	if o.MaxAge != DefaultMaxAge {
		s += "; ma=" + strconv.FormatInt(int64(o.MaxAge/time.Second), 10)
	}
	if o.Persist {
		s += "; persist=1"
	}
	return s
}

// encodeALPN: "Octets not allowed in tokens MUST be percent-encoded as per Section 2.1 of [RFC3986]. Consequently, the octet
// representing the percent character "%" (hex 25) MUST be percent-encoded as well." RFC 7838, Section 3.
func encodeALPN(name string) string {
	plain := true
	for i := range len(name) {
		plain = plain && plainALPN(name[i])
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; plainALPN(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// decodeALPN returns a reason where id is not the one way to write a name: "Octets in the ALPN protocol name MUST NOT be
// percent-encoded if they are valid token characters except "%", and when using percent-encoding, uppercase hex digits MUST
// be used." RFC 7838, Section 3.
func decodeALPN(id string) (name, reason string) {
	if !strings.Contains(id, "%") {
		return id, ""
	}
	b := make([]byte, 0, len(id))
	for i := 0; i < len(id); i++ {
		if id[i] != '%' {
			b = append(b, id[i])
			continue
		}
		if i+2 >= len(id) {
			return "", "percent-encoding without two digits"
		}
		hi, lo := strings.IndexByte(upperHex, id[i+1]), strings.IndexByte(upperHex, id[i+2])
		if hi < 0 || lo < 0 {
			return "", "percent-encoding without two upper-case hexadecimal digits"
		}
		c := byte(hi<<4 | lo)
		if plainALPN(c) {
			return "", "percent-encoding of an octet that needs none"
		}
		b = append(b, c)
		i += 2
	}
	return string(b), ""
}

const upperHex = "0123456789ABCDEF"

func plainALPN(c byte) bool { return isToken(c) && c != '%' }

// isToken: RFC 9110, Section 5.6.2.
func isToken(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// parseAuthority reads [ uri-host ] ":" port.
func parseAuthority(s string) (host string, port uint16, reason string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", 0, "authority without a port"
	}
	if s[:i] != "" {
		var ok bool
		if host, ok = parseHost(s[:i]); !ok {
			return "", 0, "invalid host"
		}
	}
	port, ok := parsePort(s[i+1:])
	if !ok {
		return "", 0, "invalid port"
	}
	return host, port, ""
}

func parsePort(s string) (port uint16, ok bool) {
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// parseHost reads a uri-host: a name in ASCII, an IPv4 address, or an IPv6 address in brackets. Choice: of what RFC 3986,
// Section 3.2.2, allows in a name, what DNS has no use for is refused.
func parseHost(s string) (host string, ok bool) {
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return a.String(), bracketed && err == nil && a.Is6() && a.Zone() == ""
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_') {
			return "", false
		}
	}
	return strings.ToLower(s), s != "" && len(s) <= maxHost
}

const maxHost = 253
