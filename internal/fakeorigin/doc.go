// Package fakeorigin is a server for tests whose every answer is set: old ones, new ones, ones that lie, fall silent or end the
// connection at any point. It runs on a simnet.Network, speaks TLS with the ALPN that is wanted, HTTP/1.1, and HTTP/2 in the
// notation of internal/h2/wire; a WebSocket that is open echoes. It counts what clients do.
//
// What it leaves out: flow control (messages stay small), requests beside handshakes (they are answered 204), and all that a
// client must not see to be tested.
package fakeorigin
