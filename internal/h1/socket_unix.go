//go:build unix

package h1

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/weftws/weft/internal/transport"
)

// A socketReader reads from a socket without holding a buffer while it waits: an idle connection costs no memory for
// what it might receive.
type socketReader struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool // attempt, bound once

	size int
	buf  []byte
	n    int
	err  error
}

func newSocketReader(sc syscall.Conn) *socketReader {
	conn, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	r := &socketReader{conn: conn}
	r.try = r.attempt
	return r
}

// read waits for bytes and returns them in a buffer from the pool that has room for size or more. Errors come without a buffer.
func (r *socketReader) read(size int) ([]byte, error) {
	r.size = size
	err := r.conn.Read(r.try)
	buf := r.buf
	r.buf = nil
	if err == nil {
		err = r.err
	}
	if err != nil {
		transport.PutBuffer(buf)
		return nil, err
	}
	return buf[:r.n], nil
}

// attempt reports false where it has to wait until the socket is readable.
func (r *socketReader) attempt(fd uintptr) bool {
	r.buf = transport.GetBuffer(r.size)
	for {
		r.n, r.err = syscall.Read(int(fd), r.buf[:cap(r.buf)])
		if !errors.Is(r.err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(r.err, syscall.EAGAIN):
		transport.PutBuffer(r.buf)
		r.buf = nil
		return false
	case r.err != nil:
		r.err = os.NewSyscallError("read", r.err)
	case r.n == 0:
		r.err = io.EOF
	}
	return true
}
