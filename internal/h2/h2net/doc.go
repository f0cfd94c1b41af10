// Package h2net drives the HTTP/2 engine (package h2) over real connections: a server that calls an http.Handler, and
// client connections that open WebSockets. One reading goroutine a connection; a batch read is answered by one write.
package h2net
