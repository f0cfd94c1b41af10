// Package probe asks a server how it behaves on every rung, each on a connection of its own, and keeps what went over the
// wire as evidence. It speaks HTTP/2 by single frames, written in the notation of transcripts, HTTP/3 as a Dialer does, and
// shares no state with one: what it finds is what a first contact finds.
//
// Nothing that it sends by default costs a server more than a connection. With Options.Thorough it also sends what some
// servers answer by ending the connection.
package probe
