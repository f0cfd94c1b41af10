// Package weft is WebSocket over HTTP/1.1 (RFC 6455), HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220): one [Conn], whatever carries it, on
// both sides.
//
// [Dial] opens a WebSocket by the best way that the server has: as a stream on a connection that is already open, on a fresh one of
// HTTP/2 or HTTP/3, or by an HTTP/1.1 Upgrade. [Accept] answers one in any http.Handler, whatever version the
// request came by. [ConfigureServer] gives an http.Server of yours an HTTP/2 that carries WebSockets; [Server] is one that
// is set up already.
//
// A Conn is used in one of two ways: with [Conn.Read] and [Conn.Write] from goroutines of yours, or with callbacks
// ([Conn.Handle]), where an idle connection costs no goroutine.
//
// Signatures follow github.com/coder/websocket where it has the call.
package weft
