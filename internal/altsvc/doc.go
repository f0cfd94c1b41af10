// Package altsvc holds alternative services (RFC 7838): the value of the Alt-Svc field and of the ALTSVC frame, and a cache of
// what origins have said. It is pure: the time is an argument, and nothing is safe for concurrent use.
//
//	v := altsvc.Parse(resp.Header["Alt-Svc"]...)          // unless the status is 421: Section 6
//	cache.Apply("https://example.com", v, now, age)       // age: the response's Age field
//	for _, e := range cache.Lookup("wss://example.com", now) { ... }
//
// What may be done with an alternative is the caller's to know: it must prove by certificate that it is the origin
// (Section 2.1), must select the protocol that was named (Section 2.4), and is not for clients behind a proxy.
package altsvc
