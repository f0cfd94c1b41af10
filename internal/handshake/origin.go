package handshake

import (
	"net/url"
	"path"
	"strings"
)

// CheckOrigin checks where a browser's request comes from: the same origin as Host, or one that matches one of patterns. 403.
//
// Without Origin the client is no browser and allowed. Hosts are compared case-insensitively and without default ports. secure
// says that the connection runs over TLS; then a page of the same host that came without TLS is refused. patterns
// are those of path.Match, for "host" or "host:port", or, with a scheme, for "scheme://host"; default ports are left out. The opaque
// origin "null" is always refused. A malformed pattern is a 500.
func CheckOrigin(r Request, secure bool, patterns []string) *Error {
	lines := r.Header[fieldOrigin]
	// "A connection attempt lacking this header field SHOULD NOT be interpreted as coming from a browser client." RFC 6455,
	// Section 4.2.1.
	if len(lines) == 0 {
		return nil
	}
	if len(lines) > 1 {
		return violation(403, "duplicate-origin", sectionOrigin, "client sent Origin %d times", len(lines))
	}
	scheme, host, ok := parseOrigin(trim(lines[0]))
	if !ok {
		return violation(403, "malformed-origin", sectionOrigin, "client sent Origin %s, which names no host", quote(lines[0]))
	}
	if host == withoutDefaultPort(strings.ToLower(r.Host), secure) {
		// Choice: not the whole origin is compared, since TLS may end in front of us: https there goes with plain text here. The other
		// way round only somebody on the network path can have made the page, and would get at cookies meant for TLS.
		if !secure || scheme == "https" || scheme == "wss" {
			return nil
		}
	}
	for _, pattern := range patterns {
		ok, err := matchOrigin(strings.ToLower(pattern), scheme, host)
		if err != nil {
			return violation(500, "malformed-origin-pattern", sectionOrigin, "this server's origin pattern %s is malformed", quote(pattern))
		}
		if ok {
			return nil
		}
	}
	return violation(403, "foreign-origin", sectionOrigin, "client sent Origin %s to Host %s", quote(lines[0]), quote(r.Host))
}

const sectionOrigin = "RFC 6455, Section 4.2.2"

// parseOrigin splits "scheme://host[:port]", lower case and without a default port.
func parseOrigin(origin string) (scheme, host string, ok bool) {
	for i := range len(origin) {
		if c := origin[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "", "", false // "The origin is serialized to ASCII and converted to lowercase." RFC 6455, Section 4.2.2.
		}
	}
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery {
		return "", "", false
	}
	return u.Scheme, withoutDefaultPort(u.Host, u.Scheme == "https" || u.Scheme == "wss"), true
}

func withoutDefaultPort(host string, secure bool) string {
	port := ":80"
	if secure {
		port = ":443"
	}
	return strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
}

// matchOrigin: a pattern that is the host itself matches even where its brackets, of an IPv6 address, would mean a class.
func matchOrigin(pattern, scheme, host string) (bool, error) {
	if strings.Contains(pattern, "://") {
		host = scheme + "://" + host
	}
	if pattern == host {
		return true, nil
	}
	return path.Match(pattern, host)
}
