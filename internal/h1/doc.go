// Package h1 carries a WebSocket on an HTTP/1.1 connection of its own: the client's GET with Upgrade, the server's 101 on a
// hijacked connection, and the bytes afterwards as a [transport.Stream]. RFC 6455, Sections 1.3 and 4; RFC 9110, Section 7.8.
//
// What the handshake's header fields say is package handshake's business.
package h1
