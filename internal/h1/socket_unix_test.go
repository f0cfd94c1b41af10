//go:build unix

package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A real socket is read without a buffer while nothing comes, and otherwise like any connection.
func TestSocket(t *testing.T) {
	ours, peer := loopback(t)
	s := NewStream(ours, []byte("early "), Options{})
	defer s.Abort()
	write(t, peer, "late")
	wantReceive(t, s, "early late")
	s.SetReadDeadline(time.Now().Add(time.Millisecond))
	wantReceiveError(t, s, os.ErrDeadlineExceeded)
	if s.in != nil || s.socket.buf != nil {
		t.Error("a buffer is held after an interrupted read")
	}
	s.SetReadDeadline(time.Time{})

	sent := make([]byte, 1<<20)
	go func() {
		peer.Write(sent)
		peer.Close()
	}()
	for left := len(sent); left > 0; {
		p, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		left -= len(p)
	}
	wantReceiveError(t, s, io.EOF)
}

// What is no socket, but has a descriptor, is read and written to as well.
func TestSocketOfAFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n, clear, err := newSocket(w).tryWrite([]byte("through a pipe")); n != 14 || !clear || err != nil {
		t.Fatalf("tryWrite: %d, %v, %v", n, clear, err)
	}
	if p, err := newSocket(r).read(nil, 100); string(p) != "through a pipe" || err != nil {
		t.Errorf("read: %q, %v", p, err)
	}
}

// A read under TLS ends as a net.Conn's does, which crypto/tls and net/http go by.
func TestUnderTLSRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = Listener(ln)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	wantOp := func(err, cause error) {
		t.Helper()
		if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "read" || !errors.Is(err, cause) {
			t.Errorf("Read: %v, want %v in a read", err, cause)
		}
	}
	ours.SetReadDeadline(longAgo)
	_, err = ours.Read(p)
	wantOp(err, os.ErrDeadlineExceeded)
	ours.SetReadDeadline(time.Time{})
	write(t, peer, "bytes")
	if n, err := ours.Read(p); string(p[:n]) != "bytes" || err != nil {
		t.Errorf("Read: %q, %v", p[:n], err)
	}
	if n, err := ours.Read(nil); n != 0 || err != nil {
		t.Errorf("Read into nothing: %d, %v", n, err)
	}
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	_, err = ours.Read(p)
	wantOp(err, syscall.ECONNRESET)
	ours.Close()
	_, err = ours.Read(p)
	wantOp(err, net.ErrClosed)
}
