//go:build unix

package h1

import (
	"io"
	"os"
	"syscall"

	"github.com/weftws/weft/internal/transport"
)

// A socket is read without a buffer being held while it waits, so that an idle connection costs no memory for what it might
// receive, and written to without waiting.
type socket struct {
	conn syscall.RawConn

	tryRead func(fd uintptr) bool // attemptRead, bound once
	size    int
	buf     []byte
	n       int
	err     error

	tryFill func(fd uintptr) bool // attemptFill, bound once
	fill    []byte

	write    func(fd uintptr) // attemptWrite, bound once
	out      []byte
	wrote    int
	writeErr error
}

func newSocket(sc syscall.Conn) *socket {
	conn, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{conn: conn}
	s.tryRead, s.tryFill, s.write = s.attemptRead, s.attemptFill, s.attemptWrite
	return s
}

// read waits for bytes and returns them in a buffer from the pool that has room for size or more. It gives buf back or uses it
// again. Errors come without a buffer.
func (s *socket) read(buf []byte, size int) ([]byte, error) {
	if cap(buf) < size || cap(buf) > 2*size {
		transport.PutBuffer(buf)
		buf = nil
	}
	s.buf, s.size = buf, size
	err := s.conn.Read(s.tryRead)
	buf = s.buf
	s.buf = nil
	if err == nil {
		err = s.err
	}
	if err != nil {
		transport.PutBuffer(buf)
		return nil, err
	}
	return buf[:s.n], nil
}

// attemptRead reports false where it has to wait until the socket is readable.
func (s *socket) attemptRead(fd uintptr) bool {
	if s.buf == nil {
		s.buf = transport.GetBuffer(s.size)
	}
	if !s.attempt(fd, s.buf[:cap(s.buf)]) {
		transport.PutBuffer(s.buf)
		s.buf = nil
		return false
	}
	return true
}

// readInto is a net.Conn's Read; p is not empty. One caller at a time, and none in read.
func (s *socket) readInto(p []byte) (int, error) {
	s.fill = p
	err := s.conn.Read(s.tryFill)
	s.fill = nil
	if err == nil {
		err = s.err
	}
	if err != nil {
		return 0, err
	}
	return s.n, nil
}

func (s *socket) attemptFill(fd uintptr) bool { return s.attempt(fd, s.fill) }

// attempt reads into p. It reports false where there is nothing yet.
func (s *socket) attempt(fd uintptr, p []byte) bool {
	for {
		s.n, s.err = recv(int(fd), p)
		if s.err != syscall.EINTR {
			break
		}
	}
	switch {
	case s.err == syscall.EAGAIN:
		return false
	case s.err != nil:
		s.err = os.NewSyscallError("read", s.err)
	case s.n == 0:
		s.err = io.EOF
	}
	return true
}

// tryWrite writes as much of p as the system takes at once; clear: that was all. One caller at a time, and none beside
// it on the connection.
func (s *socket) tryWrite(p []byte) (n int, clear bool, err error) {
	s.out, s.wrote = p, 0
	err = s.conn.Control(s.write) // Write would fail by the deadline of an earlier one
	if err == nil {
		err = s.writeErr
	}
	s.out = nil
	return s.wrote, s.wrote == len(p), err
}

func (s *socket) attemptWrite(fd uintptr) {
	for s.wrote < len(s.out) {
		var n int
		n, s.writeErr = send(int(fd), s.out[s.wrote:])
		if n > 0 {
			s.wrote += n
		}
		switch s.writeErr {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			s.writeErr = nil
			return
		default:
			s.writeErr = os.NewSyscallError("write", s.writeErr)
			return
		}
	}
	s.writeErr = nil
}
