// Package h2 is an HTTP/2 endpoint (RFC 9113, RFC 8441) without I/O: bytes and time in, events and bytes out.
//
// A [Conn] is one connection, either side of it. Its methods are of four kinds: questions (PeerSettings, Slots ...); what
// happened (Recv, Advance); what we want (Open, OpenFrame, SendHeaders, SendData, Consume, Reset, GoAway ...); what to do (NextEvent,
// AppendOutput, NextTimeout). It is not safe for concurrent use: the driver (package h2net) holds a lock. A driver's round
// is
//
//	n := c.Recv(now, in)                       // whole frames; keep in[n:]
//	for ev := c.NextEvent(); ev != nil; ... {  // do what the events ask for, say what is wanted
//	}
//	out = c.AppendOutput(out, limit)           // write it, for as long as HasOutput
//
// and Advance(now) whenever NextTimeout is due. A quiet connection gives its storage back by Trim.
//
// What the peer does wrong is never a Go error or a panic but an entry of the table in violation.go, which becomes RST_STREAM
// or GOAWAY, an event and a count. What the driver does wrong (DATA on a closed stream) does nothing.
//
// Chunk law: any split of the input gives the same events and the same output.
package h2
