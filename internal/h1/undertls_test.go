//go:build unix

package h1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// overListener returns a TLS connection that came from a Listener, and its peer.
func overListener(t *testing.T) (ours, peer *tls.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = Listener(ln)
	defer ln.Close()
	pc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := simnet.Certificate("origin.test")
	ours = tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
	peer = tls.Client(pc, &tls.Config{RootCAs: roots, ServerName: "origin.test"})
	failed := make(chan error, 1)
	go func() { failed <- ours.Handshake() }()
	if err := errors.Join(peer.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	return ours, peer
}

// Over TLS too who answers does not wait for a peer that does not read, and when it reads it gets everything in order.
func TestUnderTLS(t *testing.T) {
	ours, peer := overListener(t)
	defer peer.Close()
	s := NewStream(ours, nil, Options{})
	if s.out.Try == nil {
		t.Fatal("the stream does not know what is under the TLS")
	}
	held := false
	var sent []byte
	for i := range 400 {
		unit := make([]byte, 1+rand.IntN(60_000))
		for j := range unit {
			unit[j] = byte(i)
		}
		s.out.Lock()
		s.out.Turn()
		busy := s.out.Busy()
		s.out.Unlock()
		if busy { // the network takes no more, and the queue would fill
			held = true
			break
		}
		s.Drained()
		if n, err := s.Send(unit[:1], unit[1:]); n != len(unit) || err != nil {
			t.Fatal(n, err)
		}
		sent = append(sent, unit...)
	}
	if !held {
		t.Errorf("%d bytes and the network takes still more: nothing was held", len(sent))
	}
	s.Send([]byte("the "), []byte("end"))
	sent = append(sent, "the end"...)
	s.Close(5 * time.Second)
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived of %d, or not these: %v", len(got), len(sent), err)
	}
}

// Bytes that crypto/tls writes on its own account, as for a KeyUpdate, do not overtake what is held.
func TestUnderTLSOrder(t *testing.T) {
	a, b := loopback(t)
	defer b.Close()
	defer a.Close()
	c := a.(*net.TCPConn)
	u := &underTLS{tcpConn: c, socket: newSocket(c)}
	u.mu.Lock()
	u.hold([]byte("first "))
	u.mu.Unlock()
	if n, err := u.Write([]byte("second ")); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	if err := u.drain(); err != nil {
		t.Fatal(err)
	}
	if n, err := u.Write([]byte("third")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	wantRead(t, b, "first second third")
	if u.held != nil {
		t.Error("a buffer is kept when nothing is held")
	}
}
