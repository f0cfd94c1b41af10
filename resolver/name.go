package resolver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// queryName is the name, in lower case and with a dot at its end, at which the records of https://host:port are; "" where
// there can be none.
func queryName(host, port string) (string, error) {
	prefix := ""
	if port != "" && port != "443" {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil || p == 0 {
			return "", fmt.Errorf("port %q is no number from 1 to 65535", port)
		}
		// "_8443._https.example.com." RFC 9460, Sections 2.3 and 9.1.
		if p != 443 {
			prefix = "_" + strconv.FormatUint(p, 10) + "._https."
		}
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return "", nil
	}
	if !isHostname(name) {
		return "", fmt.Errorf("%q is no host name of DNS", host)
	}
	i := strings.LastIndexByte(name, '.')
	if last := name[i+1:]; i < 0 || last == "localhost" || last == "local" || last == "onion" {
		return "", nil
	}
	name = prefix + name + "."
	if len(name) > maxName {
		return "", fmt.Errorf("%q is longer than a name of DNS can be", host)
	}
	return name, nil
}

// isHostname reports whether name, without a dot at its end, can be looked up and printed without harm: letters, digits,
// hyphens and underscores.
func isHostname(name string) bool {
	if len(name) >= maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// maxName counts the dot at the end. RFC 1035, Section 2.3.4, in octets on the wire: 255.
const maxName = 254
