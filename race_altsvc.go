package weft

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/weftws/weft/internal/altsvc"
	"github.com/weftws/weft/negotiate"
)

// An altCache is a Dialer's knowledge of alternative services (RFC 7838). It is kept in the process.
type altCache struct {
	mu    sync.Mutex
	cache altsvc.Cache
	// broken are alternatives that did not do, and until when they are left alone though the origin goes on naming them.
	broken map[brokenAlt]time.Time
}

// networkChanged forgets what holds for one network only.
func (c *altCache) networkChanged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.NetworkChanged()
	c.broken = nil
}

type brokenAlt struct {
	origin string
	alt    negotiate.Alternative
}

const (
	brokenFor = 10 * time.Minute
	maxBroken = 1000
)

// usesAltSvc: a rung that goes there is allowed, and there is no proxy, behind which alternatives are ignored.
func (r *race) usesAltSvc() bool {
	return r.key.secure && r.proxy == nil && (r.policy.Allows(negotiate.AltSvc) || r.policy.Allows(negotiate.H3))
}

func (r *race) origin() string { return "https://" + r.key.addr }

// alternatives are what is fresh for the origin.
func (r *race) alternatives() (list []negotiate.Alternative) {
	if !r.usesAltSvc() {
		return nil
	}
	c := &r.d.alt
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.cache.Lookup(r.origin(), time.Now()) {
		host := e.Host
		if host == "" {
			host = r.url.Hostname()
		}
		alt := negotiate.Alternative{ALPN: e.ALPN, Host: host, Port: strconv.Itoa(int(e.Port))}
		if time.Now().After(c.broken[brokenAlt{r.origin(), alt}]) {
			list = append(list, alt)
		}
	}
	return list
}

// dropAlternative forgets an alternative that does not do.
func (r *race) dropAlternative(alt negotiate.Alternative) {
	port, _ := strconv.ParseUint(alt.Port, 10, 16)
	c := &r.d.alt
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil || len(c.broken) >= maxBroken {
		c.broken = make(map[brokenAlt]time.Time)
	}
	c.broken[brokenAlt{r.origin(), alt}] = time.Now().Add(brokenFor)
	for _, host := range []string{alt.Host, ""} {
		if host == "" && alt.Host != r.url.Hostname() {
			continue
		}
		c.cache.Remove(r.origin(), altsvc.Service{ALPN: alt.ALPN, Host: host, Port: uint16(port)})
	}
}

// recvAltSvcHeader takes the field of a response. "An Alt-Svc header field in a 421 (Misdirected Request) response MUST be
// ignored." RFC 7838, Section 6.
func (r *race) recvAltSvcHeader(res *http.Response) {
	if lines := res.Header.Values("Alt-Svc"); len(lines) > 0 && res.StatusCode != http.StatusMisdirectedRequest {
		age, _ := altsvc.ParseSeconds(res.Header.Get("Age"))
		r.applyAltSvc(r.origin(), age, lines...)
	}
}

// recvAltSvc takes an ALTSVC frame. A connection to one origin has no say about another.
func (r *race) recvAltSvc(origin, value string) {
	if o, ok := altsvc.CanonicalOrigin(origin); !ok || o != canonical(r.origin()) {
		return
	}
	r.applyAltSvc(r.origin(), 0, value)
}

func canonical(origin string) string {
	o, _ := altsvc.CanonicalOrigin(origin)
	return o
}

func (r *race) applyAltSvc(origin string, age time.Duration, lines ...string) {
	if !r.usesAltSvc() {
		return
	}
	c := &r.d.alt
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.Apply(origin, altsvc.Parse(lines...), time.Now(), age)
}
