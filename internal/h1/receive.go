package h1

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Receive implements [transport.Stream].
func (s *Stream) Receive() ([]byte, error) {
	if p := s.takeEarly(); p != nil {
		return p, nil
	}
	if err := s.enterRead(); err != nil {
		return nil, err
	}
	s.out.Turn()
	p, err := s.read()
	if s.leaveRead() {
		return nil, net.ErrClosed
	}
	if err != nil {
		err = s.endCause(err)
	}
	return p, err
}

// Handle implements [transport.Stream]. It starts the one goroutine that reads from the connection.
func (s *Stream) Handle(recv func(p []byte, err error)) {
	s.out.Lock()
	s.handled = true
	if !s.closed.Load() {
		s.nc.SetReadDeadline(time.Time{})
	}
	s.out.Unlock()
	go s.handle(recv)
}

func (s *Stream) handle(recv func(p []byte, err error)) {
	err := s.enterRead()
	if err != nil {
		recv(nil, err)
		return
	}
	if p := s.takeEarly(); p != nil {
		s.dispatch(recv, p)
	}
	for {
		var p []byte
		p, err = s.read()
		if err != nil || s.closed.Load() {
			break
		}
		s.dispatch(recv, p)
	}
	err = s.endCause(err)
	s.releaseRead()
	recv(nil, err)
	s.leaveRead()
}

// dispatch calls recv. What the application sends meanwhile leaves in one Write.
func (s *Stream) dispatch(recv func(p []byte, err error), p []byte) {
	s.out.Turn()
	s.out.Begin()
	recv(p, nil)
	s.out.End()
}

func (s *Stream) takeEarly() []byte {
	p := s.early
	s.early = nil
	if len(p) == 0 {
		return nil
	}
	return p
}

// enterRead says that somebody is about to read. Close sets closed first and looks at receiving then; here it is the other way
// round, so that one of both notices.
func (s *Stream) enterRead() error {
	s.receiving.Store(true)
	if s.closed.Load() {
		s.leaveRead()
		return net.ErrClosed
	}
	return nil
}

// leaveRead reports whether the stream was closed meanwhile.
func (s *Stream) leaveRead() (closed bool) {
	s.receiving.Store(false)
	if !s.closed.Load() {
		return false
	}
	s.out.Lock()
	s.out.Changed.Broadcast()
	s.out.Unlock()
	return true
}

// endCause says why reading makes no sense any more, where read says err.
func (s *Stream) endCause(err error) error {
	s.out.Lock()
	defer s.out.Unlock()
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case s.failed != nil:
		return s.failed
	}
	return err
}

// read waits for bytes and returns all that are there, as far as the buffer goes. The buffer grows while reads fill it and
// shrinks when they leave most of it empty. Nothing is lost by a deadline, and the stream's end is final.
func (s *Stream) read() ([]byte, error) {
	for s.received == nil {
		var n int
		var err error
		if s.socket != nil {
			s.in, err = s.socket.read(s.in, s.size)
			n = len(s.in)
		} else {
			if cap(s.in) < s.size || cap(s.in) > 2*s.size {
				transport.PutBuffer(s.in)
				s.in = transport.GetBuffer(s.size)
			}
			n, err = s.nc.Read(s.in[:cap(s.in)])
		}
		switch {
		case n == cap(s.in) && n > 0:
			s.size = min(s.size*4, s.maxSize)
		case n > 0 && n <= cap(s.in)/8:
			s.size = max(s.size/4, minReadSize)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = os.ErrDeadlineExceeded
		} else {
			s.received = err
		}
		if n > 0 {
			return s.in[:n], nil
		}
		if err == os.ErrDeadlineExceeded {
			return nil, err
		}
	}
	s.releaseRead()
	return nil, s.received
}

// releaseRead gives the buffer of the last read back.
func (s *Stream) releaseRead() {
	transport.PutBuffer(s.in)
	s.in = nil
}
