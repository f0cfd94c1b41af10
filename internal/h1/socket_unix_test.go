//go:build unix

package h1

import (
	"io"
	"os"
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
