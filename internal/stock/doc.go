// Package stock carries a WebSocket over net/http's own HTTP/2 server, where the process runs with
// GODEBUG=http2xconnect=1: a request body one way, a response body the other.
package stock
