package lab

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relayed returns the two ends of a connection through a relay: real time, so delays are short and only their lower bounds are
// held exactly.
func relayed(t *testing.T, delay time.Duration) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelay(l.Addr().String(), nil, delay)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
		l.Close()
		r.close()
	})
	for _, c := range []net.Conn{c, s} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestRelayDelays(t *testing.T) {
	const delay = 10 * time.Millisecond
	near, far := relayed(t, delay)
	b := make([]byte, 4)
	start := time.Now()
	io.WriteString(near, "ping")
	io.ReadFull(far, b)
	if d := time.Since(start); d < delay {
		t.Errorf("one way took %v, less than %v", d, delay)
	}
	io.WriteString(far, "pong")
	io.ReadFull(near, b)
	if d := time.Since(start); string(b) != "pong" || d < 2*delay {
		t.Errorf("%q came back after %v, want pong after %v or more", b, d, 2*delay)
	}
}

// What is written while other bytes are on their way is on its way beside them, not behind them.
func TestRelayHasRoom(t *testing.T) {
	const delay, chunks = 100 * time.Millisecond, 50
	near, far := relayed(t, delay)
	want := make([]byte, chunks*chunkSize)
	for i := range want {
		want[i] = byte(i / 7)
	}
	start := time.Now()
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	if _, err := near.Write(want); err != nil {
		t.Fatal(err)
	}
	near.CloseWrite()
	b := <-got
	if d := time.Since(start); d < delay || d > chunks*delay/2 {
		t.Errorf("%d chunks took %v, want little more than %v", chunks, d, delay)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("%d bytes came, and not those %d in their order", len(b), len(want))
	}
}

// A half that is closed leaves the other open, and a reset arrives as a reset.
func TestRelayEnds(t *testing.T) {
	const delay = 5 * time.Millisecond
	near, far := relayed(t, delay)
	near.CloseWrite()
	if b, err := io.ReadAll(far); err != nil || len(b) != 0 {
		t.Errorf("read %q, %v, want the end", b, err)
	}
	io.WriteString(far, "still here")
	b := make([]byte, 10)
	if _, err := io.ReadFull(near, b); err != nil || string(b) != "still here" {
		t.Errorf("read %q, %v", b, err)
	}
	far.SetLinger(0)
	far.Close()
	if _, err := near.Read(b); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

func TestRelayWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r, err := newRelay(l.Addr().String(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	c, err := net.Dial("tcp", r.addr().String())
	if err == nil { // it may be reset before it is returned
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

func TestFarDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	const rtt = 10 * time.Millisecond
	start := time.Now()
	c, err := farDialer(rtt)(t.Context(), "tcp", "origin.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if d := time.Since(start); d < rtt {
		t.Errorf("connected after %v, less than %v", d, rtt)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := farDialer(time.Hour)(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
