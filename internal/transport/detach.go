package transport

import (
	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// Detach takes what is under a *weft.Conn that nobody has used yet, for a package that gives WebSockets an API of its own. It
// fails if the Conn is closing already. The root package sets it.
var Detach func(conn any) (Detached, error)

// Detached is an open WebSocket without its Conn: the bytes, and what the opening handshake agreed on.
type Detached struct {
	Stream      Stream
	Side        frame.Side      // ours
	Deflate     *deflate.Params // as agreed; nil: no compression
	Subprotocol string
	Confirm     func()         // to be told once that a valid frame has come; nil: nobody wants to know
	MaskKey     func() [4]byte // a fresh key for each frame of a client's

	// Join has goAway called when the server that the WebSocket is on shuts down, and abort when it closes, until leave is called.
	// Neither may block. Nil: it is on no server of ours.
	Join func(goAway, abort func()) (leave func())
	// OverBudget is to be called when Send has failed with ErrOverBudget: it tells the server's observer. Nil: there is no server.
	OverBudget func()
}

// A FlushStream can say when what was queued has left. A Stream may be one.
type FlushStream interface {
	Stream
	// Flush returns when the network has taken what was queued, as far as the peer's window lets it, or when it never will.
	Flush()
}
