// Package lab measures what it costs to get a WebSocket onto a connection, in round trips of the network: for every rung
// of package negotiate, with servers that know it and servers that do not, on fresh connections and on live ones.
//
// [Exact] computes it. It runs the machines of the product, the one that decides (package negotiate) and an HTTP/2
// engine at each end (package internal/h2), on a clock of its own and without sockets or goroutines: bytes take half a
// round trip, a TCP connection takes one, and so does TLS 1.3 (RFC 8446, Section 2).
//
// [Live] measures it: a Dialer, real TCP and TLS on the loopback interface, a relay in between that delays what it passes on,
// and as peers the Server of this module and whatever other servers are installed.
package lab
