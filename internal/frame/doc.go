// Package frame is the WebSocket frame codec (RFC 6455, Section 5): headers, masking, close payloads and codes, UTF-8.
// It is pure, keeps no state between frames except in [UTF8], and judges nothing that depends on the message a frame
// belongs to: that is the work of package proto.
package frame
