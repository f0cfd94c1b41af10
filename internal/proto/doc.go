// Package proto is the WebSocket protocol of one connection (RFC 6455, Sections 5 to 7; RFC 7692) without I/O: a [Receiver]
// turns bytes into messages, control frames and violations; a [Sender] turns messages into bytes. It knows nothing of
// HTTP and is pure.
package proto
