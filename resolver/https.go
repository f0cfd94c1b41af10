package resolver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An HTTPS is an alternative endpoint of an origin: a ServiceMode record, or an alias where Priority is 0.
// RFC 9460, Section 9.
type HTTPS struct {
	Priority uint16 // smaller is preferred
	Target   string // the host to connect to, in lower case, without a dot at its end; not the name in certificates

	// ALPN are the protocols offered ("h2", "h3"), HTTP/1.1 besides unless NoDefaultALPN.
	ALPN          []string
	NoDefaultALPN bool

	Port uint16 // 0: the origin's

	// Addresses to use until those of Target are known.
	IPv4Hint, IPv6Hint []netip.Addr

	ECH []byte // an ECHConfigList, as tls.Config.EncryptedClientHelloConfigList takes it; nil: none

	TTL time.Duration // how long from now on the record may be used
}

func (h HTTPS) clone() HTTPS {
	h.ALPN = slices.Clone(h.ALPN)
	h.IPv4Hint = slices.Clone(h.IPv4Hint)
	h.IPv6Hint = slices.Clone(h.IPv6Hint)
	h.ECH = slices.Clone(h.ECH)
	return h
}

// parseService reads a ServiceMode record. usable is false where a client has to pass it over: it is not
// self-consistent, has a mandatory key that HTTPS does not hold, or names what cannot be connected to.
// The error means that it is malformed.
func parseService(owner string, r dnsmessage.SVCBResource) (h HTTPS, usable bool, err error) {
	h.Priority = r.Priority
	target := strings.ToLower(r.Target.String())
	// "if TargetName has the value ".", then the owner name of this record MUST be used as the effective TargetName."
	// RFC 9460, Section 2.5.2.
	if target == "." {
		target = owner
	}
	h.Target = hostOf(target)
	usable = isHostname(h.Target)
	for _, p := range r.Params {
		ok := true
		switch p.Key {
		case dnsmessage.SVCParamMandatory:
			var compatible bool
			compatible, ok = parseMandatory(p.Value, &r)
			usable = usable && compatible
		case dnsmessage.SVCParamALPN:
			h.ALPN, ok = parseALPN(p.Value)
		case dnsmessage.SVCParamNoDefaultALPN:
			h.NoDefaultALPN, ok = true, len(p.Value) == 0
		case dnsmessage.SVCParamPort:
			if ok = len(p.Value) == 2; ok {
				h.Port = binary.BigEndian.Uint16(p.Value)
				usable = usable && h.Port != 0
			}
		case dnsmessage.SVCParamIPv4Hint:
			h.IPv4Hint, ok = parseHint(p.Value, 4)
		case dnsmessage.SVCParamECH:
			h.ECH = p.Value
			ok = len(p.Value) > 2 && int(binary.BigEndian.Uint16(p.Value)) == len(p.Value)-2
		case dnsmessage.SVCParamIPv6Hint:
			h.IPv6Hint, ok = parseHint(p.Value, 16)
		}
		// "Unless specified otherwise by the protocol mapping, clients MUST ignore any SvcParam that they do not
		// recognize." RFC 9460, Section 2.4.3.
		if !ok {
			return HTTPS{}, false, fmt.Errorf("malformed SvcParam %d of %d bytes", p.Key, len(p.Value))
		}
	}
	// "Clients MUST reject any RR whose recognized SvcParams are not self-consistent and MAY reject the entire RRset."
	// RFC 9460, Section 2.4.3. "no-default-alpn" needs "alpn": Section 7.1.1.
	if h.NoDefaultALPN && h.ALPN == nil {
		usable = false
	}
	return h, usable, nil
}

// parseMandatory reads the list of mandatory keys, ascending numbers. compatible: all of them are there, and known.
// RFC 9460, Section 8.
func parseMandatory(v []byte, r *dnsmessage.SVCBResource) (compatible, ok bool) {
	if len(v) == 0 || len(v)%2 != 0 {
		return false, false
	}
	compatible = true
	previous := dnsmessage.SVCParamMandatory // which must not be in its own list
	for ; len(v) > 0; v = v[2:] {
		key := dnsmessage.SVCParamKey(binary.BigEndian.Uint16(v))
		if key <= previous {
			return false, false
		}
		previous = key
		if _, there := r.GetParam(key); !there || key > dnsmessage.SVCParamIPv6Hint {
			compatible = false
		}
	}
	return compatible, true
}

// parseALPN reads identifiers, each after a byte that is its length, at least one. RFC 9460, Section 7.1.1.
func parseALPN(v []byte) (ids []string, ok bool) {
	for len(v) > 0 {
		n := int(v[0])
		if n == 0 || n >= len(v) {
			return nil, false
		}
		ids = append(ids, string(v[1:1+n]))
		v = v[1+n:]
	}
	return ids, len(ids) > 0
}

// parseHint reads addresses, at least one. RFC 9460, Section 7.3.
func parseHint(v []byte, size int) (addrs []netip.Addr, ok bool) {
	if len(v) == 0 || len(v)%size != 0 {
		return nil, false
	}
	for a := range slices.Chunk(v, size) {
		addr, _ := netip.AddrFromSlice(a)
		addrs = append(addrs, addr)
	}
	return addrs, true
}
