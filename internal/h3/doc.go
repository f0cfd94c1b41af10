// Package h3 speaks HTTP/3 (RFC 9114) with WebSockets (RFC 9220), both sides, on quic-go's QUIC; no other package imports that. What is between
// QUIC and a request is its own, so that slow and malformed requests, a GOAWAY, every setting and each error are seen, and a batch of WebSocket
// frames costs one DATA frame.
package h3
