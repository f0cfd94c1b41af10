// Package semantics is what HTTP/2 and HTTP/3 have in common above their frames: RFC 9110's messages as net/http shows them. Who has
// decoded a header section makes a [Request] of it, with a [Body], and gives the handler a [Response]; both are over a [Stream], which
// puts what it is told into frames.
package semantics
