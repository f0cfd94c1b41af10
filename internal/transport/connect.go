package transport

import (
	"context"
	"net/http"
	"time"
)

// A Mux is the client's end of a connection that carries many Streams: HTTP/2's or HTTP/3's. Its methods are safe for
// concurrent use.
type Mux interface {
	// Settings is closed when the server's first SETTINGS were applied, or the connection ended before.
	Settings() <-chan struct{}
	// State says what the connection can do now.
	State() MuxState
	// Done is closed when the connection has ended; Err then says why.
	Done() <-chan struct{}
	Err() error
	// Shutdown opens no further streams, and closes when the last has ended or linger is over. It does not block.
	Shutdown(linger time.Duration)
	// Close ends the connection and every stream on it.
	Close() error
}

// A MuxState is a snapshot of a Mux.
type MuxState struct {
	SettingsReceived bool
	ConnectProtocol  bool // Extended CONNECT may be used now; on h2 and h3: SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 was received
	ConnectPresent   bool // the first SETTINGS had ENABLE_CONNECT_PROTOCOL, whatever its value
	ConnectAtFirst   bool // ConnectProtocol as the first SETTINGS left it; a 2xx to an assumed CONNECT counts only then
	Slots            int  // streams that can be opened now
	Streams          int  // streams open now
	Draining         bool // GOAWAY received or sent, or ended
	ConnID           uint64
}

// A ConnectRequest is an Extended CONNECT for a WebSocket (RFC 8441, Section 4; RFC 9220, Section 3).
type ConnectRequest struct {
	Scheme, Authority, Path string // Path with the query
	Header                  http.Header
}

// A Call is an Extended CONNECT that waits for its answer. Its methods are safe for concurrent use.
type Call interface {
	// Response waits for the final (not 1xx) response. With a 2xx the Call has become a tunnel: see Stream. Otherwise the
	// response's Body reads what the server sends. Where the error is ctx's, the Call is as before.
	Response(ctx context.Context) (*http.Response, error)
	// Ended reports whether the response ended the server's side of the stream.
	Ended() bool
	// Stream returns the tunnel after a 2xx, else nil.
	Stream() Stream
	// Cancel ends the request if it is not over.
	Cancel()
}
