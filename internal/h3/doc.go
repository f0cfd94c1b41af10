// Package h3 carries WebSockets over HTTP/3 (RFC 9220), both sides, on quic-go; no other package imports that. The server's
// requests are quic-go's http3's; the client and what flows after a CONNECT are its own, so that a GOAWAY, every setting and
// each error are seen, and a batch of WebSocket frames costs one DATA frame.
package h3
