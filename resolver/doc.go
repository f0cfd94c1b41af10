// Package resolver looks up HTTPS resource records, in which an origin says before the first connection which protocols it
// speaks, where, and with which keys (RFC 9460). The standard library's resolver does not know them.
//
//	r := &resolver.Resolver{}
//	records, err := r.LookupHTTPS(ctx, "example.com", "443")
//
// It is a stub resolver: it asks recursive resolvers over UDP and TCP, believes them, and does not validate DNSSEC. What it
// returns may point a client anywhere, so the server's certificate is still to be checked against the origin's name.
package resolver
