package h1

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Send implements [transport.Stream]. It waits for room in the queue, not for the network.
func (s *Stream) Send(head, body []byte) (int, error) { return s.out.Send(head, body) }

// TrySend implements [transport.Stream].
func (s *Stream) TrySend(p []byte) bool { return s.out.TrySend(p) }

// TrySendBy implements [transport.CrewStream].
func (s *Stream) TrySendBy(c *transport.Crew, p []byte) bool { return s.out.TrySendBy(c, p) }

// Account implements [transport.AccountedStream].
func (s *Stream) Account(b *transport.Budget) { s.out.Account(b) }

// SetTimeout sets Options.WriteTimeout, before anything is sent.
func (s *Stream) SetTimeout(d time.Duration) {
	s.out.Lock()
	s.out.Timeout = d
	s.out.Unlock()
}

// SetWriteDeadline implements [transport.Stream].
func (s *Stream) SetWriteDeadline(t time.Time) { s.out.SetWriteDeadline(t) }

// Drained implements [transport.DrainStream].
func (s *Stream) Drained() { s.out.Drained() }

// refuse says why nothing more is sent. Called with the mutex held.
func (s *Stream) refuse() error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed.Load() || s.ended:
		return net.ErrClosed
	}
	return nil
}

// writeFailed is told the Flusher's first error. What the peer has sent before is still worth reading, for a Close frame
// may be among it, unless the peer just does not read.
func (s *Stream) writeFailed(err error) {
	stalled := errors.Is(err, os.ErrDeadlineExceeded)
	if stalled {
		err = fmt.Errorf("%w: %w", transport.ErrStalled, err)
	}
	s.out.Lock()
	s.failed = err
	s.out.Changed.Broadcast()
	gone := s.gone
	s.out.Unlock()
	switch {
	case stalled:
		s.hangUp()
	case !gone:
		time.AfterFunc(lastWords, s.hangUp)
	}
}

// lastWords is how long a peer that accepts no more may be read from.
const lastWords = time.Second
