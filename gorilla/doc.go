// Package websocket has the API of github.com/gorilla/websocket v1.5.3 on top of weft. A program moves by one changed import,
//
//	import "github.com/weftws/weft/gorilla"
//
// and from then on its WebSockets travel over HTTP/2 as well, where the other side can: a [Dialer] opens them as streams of
// one connection, and an [Upgrader] takes them in any handler whose http.Server was set up by weft.ConfigureServer, or whose server
// is a weft.Server. Over HTTP/1.1 everything is as it was, with any http.Server.
//
// # What is the same
//
// Exported names and types, and what gorilla documents of them: one concurrent reader and one concurrent writer, with [Conn.Close]
// and [Conn.WriteControl] free for all; control handlers run inside the reading call, and nobody else answers a Ping or a Close
// frame; a [CloseError] with 1005 and 1006 where RFC 6455, Section 7.1.5, has them; errors that stay; the panic after a thousand reads
// of a failed connection.
//
// # What differs
//
//   - A write returns when the message is queued for the network (64 KiB at most); what goes wrong afterwards is the next call's
//     error. [Conn.Close] sends what is queued; a client's waits for that, a second at most.
//   - Text is checked to be UTF-8 when it is received (1007); a read limit counts bytes after inflating.
//   - Over HTTP/2, [Conn.NetConn] is a net.Conn that cannot be read or written; addresses, deadlines and Close work. The response of
//     a Dial has the status 101 as over HTTP/1.1, and its Proto says HTTP/2.0.
//   - The WebSockets of one Dialer to one origin share an HTTP/2 connection, which is kept for 90 s after the last one.
//     TLSClientConfig.NextProtos without "h2", []string{"http/1.1"} for one, keeps a Dialer to HTTP/1.1; so does
//     NetDialTLSContext.
//   - ReadBufferSize and WriteBufferPool have no effect: buffers come from a pool anyway. WriteBufferSize is the size of the fragments
//     that NextWriter sends; WriteMessage sends one frame. Upgrader.HandshakeTimeout has no effect: the 101 has 30 s. All
//     compression levels but 0 are the same.
//   - httptrace is not called.
//
// docs/moving-from-gorilla.md has the rest.
package websocket
