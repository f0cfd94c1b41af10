// Package handshake holds the opening handshake of RFC 6455, Section 4 and RFC 8441, Section 5 as pure functions: what
// a client sends and checks, what a server checks and sends, and the Sec-WebSocket-* header fields. It is pure.
//
// Over HTTP/1.1 a client calls SetRequest and, when the answer is there, CheckResponse; a server CheckRequest, CheckOrigin,
// Agree and SetResponse. Over HTTP/2 and HTTP/3 it is the same without a key: there is no Upgrade, and any 2xx is a yes.
//
// Header fields are an http.Header with canonical keys. All functions may be called concurrently.
package handshake
