package negotiate

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// String is a stable form of k: wss://host:port?alpn=h2,http/1.1 with the other parts as further parameters where they are set.
// ParseKey reads it; Scheme is letters and Port digits, the others may be any bytes.
func (k Key) String() string {
	host := escapeHost(k.Host)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s://%s:%s", k.Scheme, host, k.Port)
	sep := byte('?')
	for _, p := range k.parts() {
		if *p.value != "" {
			b.WriteByte(sep)
			b.WriteString(p.name + "=" + escape(*p.value))
			sep = '&'
		}
	}
	return b.String()
}

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	origin, rawQuery, _ := strings.Cut(s, "?")
	scheme, hostPort, _ := strings.Cut(origin, "://")
	host, port := hostPort, ""
	if i := strings.LastIndexByte(hostPort, ':'); i >= 0 {
		host, port = hostPort[:i], hostPort[i+1:]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	host, err := url.PathUnescape(host)
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", s, err)
	}
	k := Key{Scheme: scheme, Host: host, Port: port}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", s, err)
	}
	for _, p := range k.parts() {
		*p.value = query.Get(p.name)
	}
	if k.String() != s || !isScheme(scheme) || strings.Trim(port, "0123456789") != "" {
		return Key{}, fmt.Errorf("key %q is not of the form %q", s, k)
	}
	return k, nil
}

// MarshalText and UnmarshalText make the String the form in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k *Key) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKey(string(text))
	return err
}

type keyPart struct {
	name  string
	value *string
}

func (k *Key) parts() []keyPart {
	return []keyPart{
		{"alpn", &k.ALPNSet}, {"proxy", &k.Proxy}, {"network", &k.Network}, {"tls", &k.TLSIdentity}, {"partition", &k.Partition},
	}
}

// escape leaves readable what ALPN sets are made of.
func escape(s string) string {
	return strings.NewReplacer("%2C", ",", "%2F", "/", "%3A", ":").Replace(url.QueryEscape(s))
}

// escapeHost leaves a host as it is but for what would not be read back: in a URL a zone may have any character.
func escapeHost(host string) string {
	var b strings.Builder
	valid := utf8.ValidString(host)
	for i := range len(host) {
		switch c := host[i]; {
		case c > ' ' && c < 0x7f && !strings.ContainsRune(`%[]/?#"\`, rune(c)), c >= 0x80 && valid:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isScheme(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}
