// Package h2 is an HTTP/2 endpoint (RFC 9113, RFC 8441) without I/O: bytes and time in, events and bytes out.
//
// A [Conn] is one connection, either side of it. Its methods are of four kinds: questions; what happened (Recv, Advance);
// what we want (Open, SendHeaders, SendData, Reset, GoAway ...); what to do (NextEvent, AppendOutput). It is not safe
// for concurrent use: the driver (package h2net) holds a lock.
//
// Chunk law: any split of the input gives the same events and the same output.
package h2
