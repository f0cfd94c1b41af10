// Package wire is the HTTP/2 frame codec (RFC 9113, Sections 4 and 6) and the transcript notation of frames. It is pure:
// bytes in, frames out, and back.
package wire
