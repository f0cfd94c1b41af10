package negotiate

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// String is a stable form of k: wss://host:port?alpn=h2,http/1.1 with the other parts as further parameters where they are set.
// ParseKey reads it.
func (k Key) String() string {
	host := k.Host
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
	u, err := url.Parse(s)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", errors.Unwrap(err))
	}
	k := Key{Scheme: u.Scheme, Host: u.Hostname(), Port: u.Port()}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	for _, p := range k.parts() {
		*p.value = query.Get(p.name)
	}
	if k.String() != s {
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
