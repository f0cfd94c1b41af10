package h1

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// CloseWrite ends our side behind what is queued, and only ours.
func TestCloseWrite(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		wantSend(t, s, "last ", "words")
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(peer); string(p) != "last words" || err != nil {
			t.Errorf("peer read %q, %v", p, err)
		}
		if n, err := s.Send([]byte("x"), nil); n != 0 || err != net.ErrClosed {
			t.Errorf("Send after CloseWrite: %d, %v", n, err)
		}
		if s.TrySend([]byte("x")) {
			t.Error("TrySend after CloseWrite")
		}
		write(t, peer, "still here")
		wantReceive(t, s, "still here")
		closeWrite(t, peer)
		wantReceiveError(t, s, io.EOF)
		s.Close(time.Second)
		if err := s.CloseWrite(); err != net.ErrClosed {
			t.Errorf("CloseWrite after Close: %v", err)
		}
		peer.Close()
		time.Sleep(2 * time.Second)
		wantOpen(t, n, 0)
	})
}

func TestCloseWriteUnsupported(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	s := NewStream(ours, nil, Options{})
	if err := s.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite of a pipe: %v", err)
	}
	s.Abort()
}

// With CloseFirst a client does not wait for the server.
func TestCloseFirst(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		go answer(t, peer, switching)
		_, s, err := Upgrade(t.Context(), ours, request, Options{CloseFirst: true})
		if err != nil {
			t.Fatal(err)
		}
		wantSend(t, s.(*Stream), "bye", "")
		start := time.Now()
		s.Close(5 * time.Second)
		if p, err := io.ReadAll(peer); string(p) != "bye" || err != nil || time.Since(start) > rtt {
			t.Errorf("peer read %q, %v, after %v", p, err, time.Since(start))
		}
		peer.Close()
		time.Sleep(rtt)
		wantOpen(t, n, 0)
	})
}
