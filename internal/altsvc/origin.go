package altsvc

import "strings"

// CanonicalOrigin reads an origin in ASCII (RFC 6454, Section 6.2): scheme, host, and a port that is not the scheme's. The
// schemes are http and https; those of WebSockets stand for them, as the servers are the same: "wss://Example.com:443" is
// "https://example.com".
func CanonicalOrigin(s string) (origin string, ok bool) {
	scheme, authority, found := strings.Cut(s, "://")
	var defaultPort uint16
	switch strings.ToLower(scheme) {
	case "http", "ws":
		scheme, defaultPort = "http", 80
	case "https", "wss":
		scheme, defaultPort = "https", 443
	default:
		return "", false
	}
	if !found {
		return "", false
	}
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i:]
	}
	host, ok := parseHost(name)
	if !ok {
		return "", false
	}
	origin = scheme + "://" + joinHost(host)
	if port == "" {
		return origin, true
	}
	n, ok := parsePort(port[1:])
	switch {
	case !ok:
		return "", false
	case n == defaultPort:
		return origin, true
	}
	return origin + ":" + strings.TrimLeft(port[1:], "0"), true
}
