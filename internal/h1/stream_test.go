package h1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weftws/weft/internal/simnet"
	"github.com/weftws/weft/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rtt  = 100 * time.Millisecond
	addr = "10.0.0.2:443"
)

var _ transport.Stream = (*Stream)(nil)

// overBoth runs f in fake time with both ends of a TCP and of a TLS connection; ours is the one that the Stream gets.
func overBoth(t *testing.T, f func(t *testing.T, n *simnet.Network, ours, peer net.Conn)) {
	for _, secure := range []bool{false, true} {
		name := "tcp"
		if secure {
			name = "tls"
		}
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				ours, peer := dialPair(t, n, secure)
				f(t, n, ours, peer)
			})
		})
	}
}

func dialPair(t *testing.T, n *simnet.Network, secure bool) (ours, peer net.Conn) {
	t.Helper()
	ln := n.Listen(addr)
	defer ln.Close()
	ours, err := n.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	peer, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if !secure {
		return ours, peer
	}
	return secured(t, ours, peer)
}

// secured puts TLS on both ends.
func secured(t testing.TB, ours, peer net.Conn) (net.Conn, net.Conn) {
	t.Helper()
	cert, roots := simnet.Certificate("origin.test")
	server := tls.Server(peer, &tls.Config{Certificates: []tls.Certificate{cert}})
	client := tls.Client(ours, &tls.Config{RootCAs: roots, ServerName: "origin.test"})
	failed := make(chan error, 1)
	go func() { failed <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// wantReceive receives until it has want.
func wantReceive(t *testing.T, s *Stream, want string) {
	t.Helper()
	var got []byte
	for len(got) < len(want) {
		p, err := s.Receive()
		if err != nil {
			t.Fatalf("Receive: %v after %q, want %q", err, got, want)
		}
		got = append(got, p...)
	}
	if string(got) != want {
		t.Fatalf("received %q, want %q", got, want)
	}
}

func wantReceiveError(t *testing.T, s *Stream, want error) {
	t.Helper()
	if p, err := s.Receive(); err != want {
		t.Fatalf("Receive: %q, %v; want error %v", p, err, want)
	}
}

func wantSend(t *testing.T, s *Stream, head, body string) {
	t.Helper()
	if n, err := s.Send([]byte(head), []byte(body)); n != len(head)+len(body) || err != nil {
		t.Fatalf("Send: %d, %v", n, err)
	}
}

func wantRead(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("peer read %q, %v; want %q", got, err, want)
	}
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func TestReceive(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, []byte("early "), Options{})
		defer peer.Close()
		defer s.Abort()
		write(t, peer, "late")
		wantReceive(t, s, "early late")

		// The peer's end comes after its last bytes and stays.
		write(t, peer, "bye")
		closeWrite(t, peer)
		wantReceive(t, s, "bye")
		wantReceiveError(t, s, io.EOF)
		wantReceiveError(t, s, io.EOF)
		// Our side is still open.
		wantSend(t, s, "a", "nswer")
		wantRead(t, peer, "answer")
	})
}

// The buffer grows with what arrives, and everything arrives.
func TestReceiveMuch(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		defer s.Abort()
		sent := bytes.Repeat([]byte("0123456789"), 30_000)
		go func() {
			peer.Write(sent)
			peer.Close()
		}()
		var got []byte
		reads := 0
		for {
			p, err := s.Receive()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p...)
			reads++
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("received %d bytes, want %d equal ones", len(got), len(sent))
		}
		if reads > 30 {
			t.Errorf("%d reads for %d bytes: the buffer did not grow", reads, len(sent))
		}
		if s.in != nil {
			t.Error("the buffer is kept after the end")
		}
	})
}

// A deadline interrupts and loses nothing, even within a TLS record.
func TestReadDeadline(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		defer peer.Close()
		defer s.Abort()
		start := time.Now()
		s.SetReadDeadline(start.Add(time.Second))
		wantReceiveError(t, s, os.ErrDeadlineExceeded)
		if d := time.Since(start); d != time.Second {
			t.Errorf("the deadline came after %v", d)
		}
		wantReceiveError(t, s, os.ErrDeadlineExceeded)

		// One that is set while Receive waits.
		s.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { s.SetReadDeadline(time.Now()) })
		wantReceiveError(t, s, os.ErrDeadlineExceeded)

		write(t, peer, "still here")
		s.SetReadDeadline(time.Time{})
		wantReceive(t, s, "still here")
	})
}

func TestHandle(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, []byte("early "), Options{})
		s.SetReadDeadline(time.Now().Add(time.Millisecond)) // is without effect
		var got []byte
		end := make(chan error, 2)
		s.Handle(func(p []byte, err error) {
			got = append(got, p...)
			if err != nil {
				end <- err
			}
		})
		time.Sleep(time.Second)
		write(t, peer, "late")
		peer.Close()
		if err := <-end; err != io.EOF || string(got) != "early late" {
			t.Errorf("received %q, then %v; want %q, then EOF", got, err, "early late")
		}
		s.Abort()
		synctest.Wait()
		if len(end) > 0 {
			t.Errorf("recv was called after the end: %v", <-end)
		}
	})
}

// What a batch causes leaves in one Write, whatever the number of Sends.
func TestHandleAnswersInOneWrite(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		defer peer.Close()
		defer s.Abort()
		s.Handle(func(p []byte, err error) {
			for i := range p {
				s.Send(p[i:i+1], []byte("!"))
			}
		})
		before := n.Stats().Writes
		write(t, peer, "abcdefgh")
		wantRead(t, peer, "a!b!c!d!e!f!g!h!")
		if writes := n.Stats().Writes - before; writes != 2 {
			t.Errorf("%d Writes, want 1 of the peer's and 1 of ours", writes)
		}
	})
}

// Units of many goroutines are never mixed, large ones included.
func TestSendUnits(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		defer peer.Close()
		defer s.Abort()
		sizes := []int{1, 100, 5_000, transport.MaxQueue - 1, transport.MaxQueue, 200_000}
		var wg sync.WaitGroup
		for i, size := range sizes {
			wg.Go(func() {
				body := bytes.Repeat([]byte{byte('a' + i)}, size)
				for range 3 {
					if n, err := s.Send([]byte{byte('A' + i)}, body); n != size+1 || err != nil {
						t.Errorf("Send of %d: %d, %v", size, n, err)
					}
				}
			})
		}
		count := make([]int, len(sizes))
		for range 3 * len(sizes) {
			head := make([]byte, 1)
			if _, err := io.ReadFull(peer, head); err != nil {
				t.Fatal(err)
			}
			i := int(head[0] - 'A')
			if i < 0 || i >= len(sizes) {
				t.Fatalf("unit begins with %q", head)
			}
			body := make([]byte, sizes[i])
			if _, err := io.ReadFull(peer, body); err != nil {
				t.Fatal(err)
			}
			if j := bytes.IndexFunc(body, func(r rune) bool { return r != rune('a'+i) }); j >= 0 {
				t.Fatalf("unit %c is cut after %d of %d bytes", head[0], j, len(body))
			}
			count[i]++
		}
		wg.Wait()
		for i, c := range count {
			if c != 3 {
				t.Errorf("%d units of %d bytes, want 3", c, sizes[i])
			}
		}
		if s.out.Held() {
			t.Error("the queue's buffer is kept when nothing is queued")
		}
	})
}

func TestConnID(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ours, peer := dialPair(t, n, true)
		a, b := NewStream(ours, nil, Options{}), NewStream(peer, nil, Options{})
		defer a.Abort()
		defer b.Abort()
		i := a.Info()
		if i.Proto != "HTTP/1.1" || !i.Secure || i.StreamID != 0 || i.RemoteAddr.String() != addr || i.LocalAddr == nil {
			t.Errorf("Info: %+v", i)
		}
		if i.ConnID == 0 || i.ConnID == b.Info().ConnID {
			t.Errorf("connections %d and %d", i.ConnID, b.Info().ConnID)
		}
	})
}
