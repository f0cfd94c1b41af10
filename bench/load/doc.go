// Package load is the client side of the benchmark: it opens WebSockets, keeps a fixed number of messages in flight on
// each, and compares every byte of every echo with what it sent.
//
// It is the same for all servers and does as little as it can: frames are built once, before the clock starts; input is
// compared in place; everything one read made possible leaves in one write. It keeps inside HTTP/2's flow control and gives
// back what it received (RFC 9113, Section 5.2).
package load
