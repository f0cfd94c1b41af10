package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

// A Resolver looks up HTTPS records. The zero value is ready; fields must not change once it is in use. All methods are
// safe for concurrent use.
type Resolver struct {
	// Servers are recursive resolvers, host:port, asked in this order. nil: those of /etc/resolv.conf, which is read
	// again for every lookup that the cache does not answer; a system without that file needs Servers.
	Servers []string

	// Dial connects to a server; network is "udp" or "tcp". nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Timeout bounds one lookup, with all its servers, attempts and aliases. 0: 2 seconds.
	Timeout time.Duration

	cache cache
}

// LookupHTTPS returns the ServiceMode records of the origin https://host:port that a client may use, those to prefer
// first, records of the same priority in random order. An empty port is 443. Where aliases (AliasMode records) were
// followed, the last one is returned too, as the last record: Priority 0, the name that they led to, and nothing else.
//
// No records is no error: names without them, addresses, and names that DNS does not know (localhost, .local, .onion, a
// single label: search lists are not applied). An error means that it is unknown whether there are any, and is a
// *net.DNSError; records of which one is malformed are an error too. Either way the client connects as if there were none.
//
// It blocks until an answer, ctx or Timeout. Answers are cached as long as their TTL allows, at most a day; that there is nothing at most an
// hour (RFC 2308, Section 5); that no server has given a good answer for five seconds (RFC 9520). What ctx has ended is not cached.
// RFC 9460, Sections 2 and 3.
func (r *Resolver) LookupHTTPS(ctx context.Context, host, port string) ([]HTTPS, error) {
	name, err := queryName(host, port)
	if err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: host}
	}
	if name == "" {
		return nil, nil
	}
	records, failed, ok := r.cache.get(name, time.Now())
	switch {
	case failed != nil:
		return nil, dnsError(name, failed)
	case !ok:
		found, err := r.resolve(ctx, name)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, errNoServer) {
				r.cache.putFailure(name, err, time.Now())
			}
			return nil, dnsError(name, err)
		}
		records = r.cache.put(name, found.records, found.ttl, time.Now())
	}
	// "When receiving an RRset containing multiple SVCB records with the same SvcPriority value, clients SHOULD apply a
	// random shuffle within a priority level to the records before using them". RFC 9460, Section 2.4.1.
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b HTTPS) int {
		return cmp.Compare(a.Priority-1, b.Priority-1) // 0, an alias, is last
	})
	return records, nil
}

// resolve asks for name and for what it is an alias of.
func (r *Resolver) resolve(ctx context.Context, name string) (*answer, error) {
	servers := r.Servers
	if servers == nil {
		var err error
		if servers, err = systemServers(); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoServer, err)
		}
	}
	if len(servers) == 0 {
		return nil, errNoServer
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	// "To avoid unbounded alias chains, clients and recursive resolvers MUST impose a limit on the total number of SVCB
	// aliases they will follow for each resolution request." RFC 9460, Section 2.4.2.
	seen := []string{name}
	ttl := maxTTL
	for {
		a, err := r.ask(ctx, servers, name)
		if err != nil {
			return nil, err
		}
		a.ttl = min(a.ttl, ttl)
		ttl = a.ttl
		if len(a.aliases) == 0 {
			// The alias may have addresses, if nothing else. RFC 9460, Section 3.
			if len(seen) > 1 {
				a.records = append(a.records, HTTPS{Target: hostOf(name)})
			}
			return a, nil
		}
		// "clients or recursive resolvers SHOULD pick one at random". RFC 9460, Section 2.4.2.
		name = a.aliases[rand.IntN(len(a.aliases))]
		switch {
		case name == ".":
			// The service is said not to exist. RFC 9460, Section 2.5.1.
			return &answer{ttl: ttl}, nil
		case slices.Contains(seen, name):
			return nil, fmt.Errorf("the aliases of %s lead back to %s", seen[0], name)
		case len(seen) > maxAliases:
			return nil, fmt.Errorf("%s has a chain of more than %d aliases", seen[0], maxAliases)
		}
		seen = append(seen, name)
	}
}

func (r *Resolver) timeout() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return 2 * time.Second
}

func dnsError(name string, err error) error {
	e := &net.DNSError{Err: err.Error(), Name: hostOf(name), UnwrapErr: err}
	var s *serverError
	if errors.As(err, &s) {
		e.Err, e.Server = s.err.Error(), s.server
		e.IsTemporary = true
	}
	var timeout net.Error
	e.IsTimeout = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
	return e
}

// errNoServer costs no query, so it is not cached.
var errNoServer = errors.New("no DNS server is known")

// hostOf is name without the dot at its end.
func hostOf(name string) string { return strings.TrimSuffix(name, ".") }

// maxAliases is what RFC 9460 finds NOT RECOMMENDED to exceed, in Section 10.2.
const maxAliases = 8
