package handshake

import "testing"

// "If the server does not wish to accept this connection, it MUST return an appropriate HTTP error code (e.g., 403 Forbidden)
// and abort the WebSocket handshake described in this section." RFC 6455, Section 4.2.2.
func TestRFC6455Section4_2_2_Origin(t *testing.T) {
	const secure, plain = true, false
	for _, tt := range []struct {
		name     string
		origin   []string // without the field's name
		host     string
		secure   bool
		patterns []string
		status   int
		want     string
	}{
		{`4.2.1: "A connection attempt lacking this header field SHOULD NOT be interpreted as coming from a browser client."`, nil, "example.com", secure, nil, 0, ""},
		{"same", []string{"https://example.com"}, "example.com", secure, nil, 0, ""},
		{"same, any case", []string{"HTTPS://Example.COM"}, "eXample.com", secure, nil, 0, ""},
		{"default port in Host", []string{"https://example.com"}, "example.com:443", secure, nil, 0, ""},
		{"default port in Origin", []string{"http://example.com:80"}, "example.com", plain, nil, 0, ""},
		{"the other default port in Host", []string{"http://example.com"}, "example.com:443", plain, nil, 403, "foreign-origin"},
		{"same port", []string{"http://example.com:8080"}, "example.com:8080", plain, nil, 0, ""},
		{"another port", []string{"http://example.com:8081"}, "example.com:8080", plain, nil, 403, "foreign-origin"},
		{"another host", []string{"https://evil.example"}, "example.com", secure, nil, 403, "foreign-origin"},
		{"a longer host", []string{"https://example.com.evil.example"}, "example.com", secure, nil, 403, "foreign-origin"},
		{"a subdomain", []string{"https://www.example.com"}, "example.com", secure, nil, 403, "foreign-origin"},
		{"IPv6", []string{"http://[::1]:8080"}, "[::1]:8080", plain, nil, 0, ""},
		{"IPv6 with default ports", []string{"https://[2001:DB8::80]"}, "[2001:db8::80]:443", secure, nil, 0, ""},
		{"TLS ends in front of us", []string{"https://example.com"}, "example.com", plain, nil, 0, ""},
		{"a page without TLS", []string{"http://example.com"}, "example.com", secure, nil, 403, "foreign-origin"},
		{"a page without TLS, allowed", []string{"http://example.com"}, "example.com", secure, []string{"http://example.com"}, 0, ""},
		{"null", []string{"null"}, "example.com", secure, []string{"*"}, 403, "malformed-origin"},
		{"null as host", []string{"null"}, "null", plain, nil, 403, "malformed-origin"},
		{"empty", []string{""}, "example.com", secure, []string{"*"}, 403, "malformed-origin"},
		{"empty, no Host either", []string{""}, "", plain, nil, 403, "malformed-origin"},
		{"file", []string{"file://"}, "example.com", plain, []string{"*"}, 403, "malformed-origin"},
		{"a path", []string{"https://example.com/"}, "example.com", secure, nil, 403, "malformed-origin"},
		{"a query", []string{"https://example.com?"}, "example.com", secure, nil, 403, "malformed-origin"},
		{"a fragment", []string{"https://example.com#"}, "example.com", secure, nil, 403, "malformed-origin"},
		{"not ASCII: Kelvin sign", []string{"https://\u212aexample.com"}, "kexample.com", secure, nil, 403, "malformed-origin"},
		{"a user", []string{"https://example.com@evil.example"}, "evil.example", secure, nil, 403, "malformed-origin"},
		{"a port alone", []string{"https://:443"}, "", secure, nil, 403, "malformed-origin"},
		{"two in one line", []string{"https://example.com https://example.com"}, "example.com", secure, nil, 403, "malformed-origin"},
		{"two lines", []string{"https://example.com", "https://example.com"}, "example.com", secure, nil, 403, "duplicate-origin"},
		{"pattern", []string{"https://app.example.com"}, "api.example.net", secure, []string{"*.example.com"}, 0, ""},
		{"pattern, any case", []string{"https://APP.example.com"}, "api.example.net", secure, []string{"*.EXAMPLE.com"}, 0, ""},
		{"pattern matches no more than asked", []string{"https://example.com"}, "api.example.net", secure, []string{"*.example.com"}, 403, "foreign-origin"},
		{"pattern with a port", []string{"http://localhost:3000"}, "localhost:8080", plain, []string{"localhost:*"}, 0, ""},
		{"pattern without the port", []string{"http://localhost:3000"}, "localhost:8080", plain, []string{"localhost"}, 403, "foreign-origin"},
		{"pattern with a scheme", []string{"https://app.example.com"}, "api.example.net", secure, []string{"https://*.example.com"}, 0, ""},
		{"pattern with another scheme", []string{"http://app.example.com"}, "api.example.net", plain, []string{"https://*.example.com"}, 403, "foreign-origin"},
		{"pattern of an IPv6 address", []string{"http://[::1]:3000"}, "localhost", plain, []string{"[::1]:3000"}, 0, ""},
		{"the second pattern", []string{"https://b.example"}, "a.example", secure, []string{"x", "b.example"}, 0, ""},
		{"malformed pattern", []string{"https://b.example"}, "a.example", secure, []string{"[a"}, 500, "malformed-origin-pattern"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := goodRequest()
			r.Host = tt.host
			for _, origin := range tt.origin {
				r.Header.Add("Origin", origin)
			}
			wantError(t, CheckOrigin(r, tt.secure, tt.patterns), tt.status, tt.want)
		})
	}
}
