//go:build !unix

package h1

import "syscall"

// A socketReader needs a unix.
type socketReader struct{}

func newSocketReader(syscall.Conn) *socketReader { return nil }

func (*socketReader) read(int) ([]byte, error) { panic("h1: no socketReader on this system") }
