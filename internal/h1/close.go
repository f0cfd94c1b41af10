package h1

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Close implements [transport.Stream]. A goroutine does the work and ends when linger has passed, at the latest.
func (s *Stream) Close(linger time.Duration) {
	s.out.Lock()
	if s.closed.Load() {
		s.out.Unlock()
		return
	}
	s.closed.Store(true)
	s.nc.SetReadDeadline(longAgo)
	s.out.Changed.Broadcast()
	s.out.Unlock()
	go s.shut(linger)
}

// Abort implements [transport.Stream].
func (s *Stream) Abort() {
	s.out.Lock()
	s.closed.Store(true)
	s.out.Unlock()
	s.hangUp()
}

// shut ends our side when all that is queued is written, and the connection when the peer has ended its side.
//
// "When a server is instructed to _Close the WebSocket Connection_ it SHOULD initiate a TCP Close immediately, and when a
// client is instructed to do the same, it SHOULD wait for a TCP Close from the server." RFC 6455, Section 7.1.1.
func (s *Stream) shut(linger time.Duration) {
	end := time.Now().Add(linger)
	waits := s.client && linger > 0
	overdue := max(linger, minFlush)
	if waits {
		overdue += minFlush // for close_notify when the server has not ended its side
	}
	late := time.AfterFunc(overdue, s.hangUp)
	defer late.Stop()
	defer s.hangUp()

	s.out.Finish()
	s.out.Lock()
	ok := s.failed == nil && !s.gone
	s.out.Unlock()
	if !ok || !waits && s.endWrites() != nil || linger <= 0 {
		return
	}

	// A connection that is closed while bytes of the peer's are unread is reset, and the reset may overtake our last
	// bytes. RFC 9112, Section 9.6.
	s.out.Lock()
	for s.receiving.Load() && !s.gone {
		s.out.Changed.Wait()
	}
	if !s.gone {
		s.nc.SetReadDeadline(end)
	}
	s.out.Unlock()
	s.discard()
	if waits {
		s.endWrites()
	}
}

// CloseWrite ends our side when all that is queued has been written, and goes on receiving. It blocks until then. The error is
// errors.ErrUnsupported where the connection has no such thing.
func (s *Stream) CloseWrite() error {
	if _, ok := s.nc.(interface{ CloseWrite() error }); !ok {
		return errors.ErrUnsupported
	}
	s.out.Lock()
	if s.closed.Load() {
		s.out.Unlock()
		return net.ErrClosed
	}
	s.ended = true
	s.out.Changed.Broadcast()
	s.out.Unlock()
	s.out.Finish()
	s.out.Lock()
	err := s.failed
	if err == nil && s.gone {
		err = net.ErrClosed
	}
	s.out.Unlock()
	if err != nil {
		return err
	}
	return s.endWrites()
}

// endWrites sends close_notify (RFC 8446, Section 6.1) or FIN.
func (s *Stream) endWrites() error {
	if c, ok := s.nc.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// hangUp closes the connection at once.
func (s *Stream) hangUp() {
	s.out.Lock()
	first := !s.gone
	s.gone = true
	if first && s.done != nil {
		close(s.done)
	}
	s.out.Changed.Broadcast()
	s.out.Stop()
	s.out.Unlock()
	if !first {
		return
	}
	if c, ok := s.nc.(*tls.Conn); ok {
		// The tls.Conn's own Close may wait for the peer, to send close_notify.
		c.NetConn().Close()
		return
	}
	s.nc.Close()
}

// Done implements [transport.Stream].
func (s *Stream) Done() <-chan struct{} {
	s.out.Lock()
	defer s.out.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.gone {
			close(s.done)
		}
	}
	return s.done
}

// discard reads and forgets until the peer ends its side or the deadline passes.
func (s *Stream) discard() {
	buf := transport.GetBuffer(discardSize)
	defer transport.PutBuffer(buf)
	for {
		if _, err := s.nc.Read(buf[:cap(buf)]); err != nil {
			return
		}
	}
}

// minFlush is how long what is queued may take to be written, however short the linger is.
const minFlush = time.Second

const discardSize = 4 << 10
