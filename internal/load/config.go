// Package load puts a server under many WebSockets and measures what comes back. The command weft bench is made of it.
package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/weftws/weft"
)

// Config says what to do to a server.
type Config struct {
	URL     string
	Options *weft.DialOptions    // of every Dial; nil: none
	Dialer  func() *weft.Dialer  // makes one for each connection; nil: a zero Dialer
	Clock   func() time.Duration // CPU time of this process; nil: not measured

	WebSockets int // open at the same time
	// Connections is how many dialers share the WebSockets. Over HTTP/2 and HTTP/3 each keeps to one connection as long as the server
	// grants it streams; over HTTP/1.1 every WebSocket has its own.
	Connections int

	// Each message is Size bytes, text unless Binary. The server has to send it back; with Listen nothing is sent, and what the
	// server sends by itself is counted.
	Size   int
	Binary bool
	Listen bool

	// InFlight is how many messages each WebSocket has on the way: an answer brings out the next. With Rate, messages a second on
	// all WebSockets together, they go when they are due, however many are on the way, and latency counts from then on.
	InFlight int
	Rate     float64

	Duration time.Duration // of the measurement, once all are open
	Interval time.Duration // of the samples; 0: a fortieth of Duration, 100 ms at least

	Progress func(Progress) // told of the opening and of each sample, one call at a time; nil: nobody
}

// Limits of a Config. What is beyond them is a slip of the pen rather than a wish.
const (
	MaxWebSockets = 1_000_000
	MaxSize       = 64 << 20
	MaxInFlight   = 1 << 16
	MaxRate       = 1e8
)

// Validate says what of c cannot be done.
func (c *Config) Validate() error {
	switch {
	case c.WebSockets < 1 || c.WebSockets > MaxWebSockets:
		return fmt.Errorf("%d WebSockets: want 1 to %d", c.WebSockets, MaxWebSockets)
	case c.Connections < 1 || c.Connections > c.WebSockets:
		return fmt.Errorf("%d connections for %d WebSockets: want 1 to %d", c.Connections, c.WebSockets, c.WebSockets)
	case c.Size < 0 || c.Size > MaxSize:
		return fmt.Errorf("messages of %d bytes: want 0 to %d", c.Size, MaxSize)
	case !c.Listen && (c.InFlight < 1 || c.InFlight > MaxInFlight):
		return fmt.Errorf("%d messages in flight: want 1 to %d", c.InFlight, MaxInFlight)
	case c.Rate < 0 || c.Rate > MaxRate:
		return fmt.Errorf("%v messages a second: want 0 (as fast as it goes) to %v", c.Rate, MaxRate)
	case c.Listen && c.Rate > 0:
		return errors.New("a rate, and nothing is sent: choose one")
	case c.Duration <= 0:
		return fmt.Errorf("a duration of %v: want more than 0", c.Duration)
	}
	return nil
}

// Progress says how far a Run is.
type Progress struct {
	Opened, WebSockets int
	Elapsed, Duration  time.Duration // of the measurement; 0 while opening
	Sample             Sample        // the last one
}
