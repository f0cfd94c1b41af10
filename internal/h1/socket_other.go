//go:build !unix

package h1

import "syscall"

// A socket needs a unix.
type socket struct{}

func newSocket(syscall.Conn) *socket { return nil }

func (*socket) read([]byte, int) ([]byte, error) { panic("h1: no socket on this system") }

func (*socket) tryWrite([]byte) (int, bool, error) { panic("h1: no socket on this system") }

func (*socket) readInto([]byte) (int, error) { panic("h1: no socket on this system") }
