package h1

import (
	"bytes"
	"errors"
	"github.com/weftws/weft/internal/transport"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

func wantOpen(t *testing.T, n *simnet.Network, want int) {
	t.Helper()
	synctest.Wait()
	if got := n.Stats().EndsOpen; got != want {
		t.Errorf("%d ends are open, want %d", got, want)
	}
}

func TestClose(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		received := make(chan error, 1)
		go func() {
			_, err := s.Receive()
			received <- err
		}()
		synctest.Wait()
		wantSend(t, s, "last ", "words")
		start := time.Now()
		s.Close(5 * time.Second)
		s.Close(time.Minute) // the first one counts
		if err := <-received; err != net.ErrClosed {
			t.Errorf("Receive: %v, want net.ErrClosed", err)
		}
		wantReceiveError(t, s, net.ErrClosed)
		if n, err := s.Send([]byte("x"), nil); n != 0 || err != net.ErrClosed {
			t.Errorf("Send after Close: %d, %v", n, err)
		}
		if s.TrySend([]byte("x")) {
			t.Error("TrySend after Close")
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
		if p, err := io.ReadAll(peer); string(p) != "last words" || err != nil {
			t.Errorf("peer read %q, %v", p, err)
		}
		// What the peer still sends is discarded, and its end frees everything.
		write(t, peer, strings.Repeat("late", 10_000))
		wantOpen(t, n, 2)
		peer.Close()
		time.Sleep(rtt)
		wantOpen(t, n, 0)
		if d := time.Since(start); d >= time.Second {
			t.Errorf("freed after %v", d)
		}
	})
}

// "When a client is instructed to do the same, it SHOULD wait for a TCP Close from the server." RFC 6455, Section 7.1.1.
func TestCloseOfAClient(t *testing.T) {
	for _, serverEnds := range []bool{true, false} {
		overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
			go answer(t, peer, switching)
			_, s, err := Upgrade(t.Context(), ours, request, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			wantSend(t, s.(*Stream), "bye", "")
			s.Close(5 * time.Second)
			wantRead(t, peer, "bye")
			start := time.Now()
			if serverEnds {
				peer.SetReadDeadline(start.Add(time.Second))
				if n, err := peer.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the server reads %d bytes, %v, before it has ended its side", n, err)
				}
				peer.SetReadDeadline(time.Time{})
				peer.(interface{ CloseWrite() error }).CloseWrite()
			}
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the server reads %v", err)
			}
			want := 5 * time.Second
			if serverEnds {
				want = time.Second + rtt
			}
			if d := time.Since(start); d != want {
				t.Errorf("the client's end came after %v, want %v", d, want)
			}
		})
	}
}

// A peer that does not end its side is left when linger has passed.
func TestCloseLinger(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		defer peer.Close()
		s := NewStream(ours, nil, Options{})
		s.Close(5 * time.Second)
		time.Sleep(5*time.Second - time.Nanosecond)
		wantOpen(t, n, 2)
		time.Sleep(time.Nanosecond)
		wantOpen(t, n, 1)
	})
}

// Without linger our side ends as soon as the queue is written.
func TestCloseNoLinger(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		wantSend(t, s, "bye", "")
		s.Close(0)
		wantOpen(t, n, 1)
		wantRead(t, peer, "bye")
		peer.Close()
	})
}

// A recv that closes gets one more call.
func TestCloseInHandle(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		var log []string
		s.Handle(func(p []byte, err error) {
			if err != nil {
				log = append(log, err.Error())
				return
			}
			log = append(log, string(p))
			s.Send([]byte("bye"), nil)
			s.Close(time.Second)
		})
		write(t, peer, "hello")
		if p, err := io.ReadAll(peer); string(p) != "bye" || err != nil {
			t.Errorf("peer read %q, %v", p, err)
		}
		write(t, peer, "too late")
		peer.Close()
		time.Sleep(rtt)
		wantOpen(t, n, 0)
		if got := strings.Join(log, "; "); got != "hello; "+net.ErrClosed.Error() {
			t.Errorf("recv got %s", got)
		}
	})
}

// A recv that is idle is told, and so is one whose stream was closed before Handle.
func TestCloseUnderHandle(t *testing.T) {
	for _, abort := range []bool{false, true} {
		overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
			defer peer.Close()
			s := NewStream(ours, nil, Options{})
			got := make(chan error, 2)
			recv := func(p []byte, err error) { got <- err }
			s.Handle(recv)
			synctest.Wait()
			if abort {
				s.Abort()
			} else {
				s.Close(0)
			}
			if err := <-got; err != net.ErrClosed {
				t.Errorf("recv got %v", err)
			}
			synctest.Wait()
			if len(got) != 0 {
				t.Error("recv was called again")
			}
		})
	}
}

func TestAbort(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		time.AfterFunc(time.Second, s.Abort)
		start := time.Now()
		wantReceiveError(t, s, net.ErrClosed)
		wantOpen(t, n, 1)
		if d := time.Since(start); d != time.Second {
			t.Errorf("Receive returned after %v", d)
		}
		s.Abort()
		s.Close(time.Second)
		peer.Close()
	})
}

// Abort ends a Close that waits.
func TestAbortAfterClose(t *testing.T) {
	overBoth(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		defer peer.Close()
		s := NewStream(ours, nil, Options{})
		s.Close(time.Hour)
		synctest.Wait()
		s.Abort()
		wantOpen(t, n, 1)
	})
}

// stall sends until no more is accepted, to a peer that does not read, and returns what it sent.
func stall(t *testing.T, s *Stream) (sent []byte) {
	t.Helper()
	unit := bytes.Repeat([]byte("x"), 8<<10)
	for range 1 + transport.MaxQueue/len(unit) {
		wantSend(t, s, "", string(unit))
		sent = append(sent, unit...)
		synctest.Wait() // the first one is in Write
	}
	return sent
}

func overSlowLink(t *testing.T, f func(t *testing.T, n *simnet.Network, ours, peer net.Conn)) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetLink(addr, simnet.Link{SendBuffer: 4 << 10})
		ours, peer := dialPair(t, n, false)
		f(t, n, ours, peer)
	})
}

// A Send of which nothing was taken leaves the stream as it was.
func TestWriteDeadlineBefore(t *testing.T) {
	overSlowLink(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		sent := stall(t, s)
		if s.TrySend(make([]byte, transport.TrySlack+1)) {
			t.Error("TrySend queued more than its slack")
		}
		if !s.TrySend([]byte("ping")) {
			t.Error("TrySend found no room")
		}
		sent = append(sent, "ping"...)

		start := time.Now()
		time.AfterFunc(time.Second, func() { s.SetWriteDeadline(time.Now()) })
		if n, err := s.Send([]byte("more"), nil); n != 0 || err != os.ErrDeadlineExceeded {
			t.Errorf("Send: %d, %v", n, err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("after %v", d)
		}
		if n, err := s.Send([]byte("more"), nil); n != 0 || err != os.ErrDeadlineExceeded {
			t.Errorf("Send after the deadline: %d, %v", n, err)
		}
		s.SetWriteDeadline(time.Time{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			wantSend(t, s, "m", "ore")
			s.Close(10 * time.Second)
		}()
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != string(sent)+"more" {
			t.Errorf("peer read %d bytes, %v; want %d", len(got), err, len(sent)+4)
		}
		<-done
		peer.Close()
	})
}

// A unit that is larger than the queue is cut by the deadline, and n says so.
func TestWriteDeadlineWithin(t *testing.T) {
	for _, later := range []bool{false, true} {
		overSlowLink(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
			defer peer.Close()
			s := NewStream(ours, nil, Options{})
			defer s.Abort()
			start := time.Now()
			if later {
				time.AfterFunc(time.Second, func() { s.SetWriteDeadline(time.Now()) })
			} else {
				s.SetWriteDeadline(start.Add(time.Second))
			}
			if n, err := s.Send(make([]byte, 500_000), nil); n == 0 || n == 500_000 || err != os.ErrDeadlineExceeded {
				t.Errorf("Send: %d, %v", n, err)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("after %v", d)
			}
		})
	}
}

// A deadline that passes when everything is written has no effect.
func TestWriteDeadlineAfterwards(t *testing.T) {
	overSlowLink(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		s := NewStream(ours, nil, Options{})
		defer s.Abort()
		defer peer.Close()
		s.SetWriteDeadline(time.Now().Add(time.Second))
		wantSend(t, s, "", "one")
		time.Sleep(2 * time.Second)
		s.SetWriteDeadline(time.Time{})
		wantSend(t, s, "", "two")
		wantRead(t, peer, "onetwo")
	})
}

// A peer that reads nothing for WriteTimeout loses the connection, and whoever waits is told.
func TestWriteTimeout(t *testing.T) {
	overSlowLink(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		defer peer.Close()
		s := NewStream(ours, nil, Options{WriteTimeout: 10 * time.Second})
		received := make(chan error, 1)
		go func() {
			_, err := s.Receive()
			received <- err
		}()
		start := time.Now()
		if _, err := s.Send(make([]byte, 1<<20), nil); !errors.Is(err, transport.ErrStalled) {
			t.Errorf("Send: %v", err)
		}
		if err := <-received; !errors.Is(err, transport.ErrStalled) {
			t.Errorf("Receive: %v", err)
		}
		if d := time.Since(start); d < 5*time.Second || d > 10*time.Second {
			t.Errorf("after %v", d)
		}
		wantOpen(t, n, 1)
	})
}

// The same while Close waits for its queue.
func TestCloseStalled(t *testing.T) {
	overSlowLink(t, func(t *testing.T, n *simnet.Network, ours, peer net.Conn) {
		defer peer.Close()
		s := NewStream(ours, nil, Options{})
		stall(t, s)
		s.Close(3 * time.Second)
		time.Sleep(3*time.Second - time.Nanosecond)
		wantOpen(t, n, 2)
		time.Sleep(time.Nanosecond)
		wantOpen(t, n, 1)
	})
}

// When the peer takes nothing any more, what it has said before can still be read.
func TestLastWords(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ours, peer := dialPair(t, n, false)
		s := NewStream(ours, nil, Options{})
		write(t, peer, "last words")
		ours.(*simnet.Conn).CloseWrite() // the next Write fails
		wantSend(t, s, "", "x")
		synctest.Wait()
		if _, err := s.Send([]byte("x"), nil); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Send: %v", err)
		}
		wantReceive(t, s, "last words")
		if _, err := s.Receive(); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Receive: %v", err)
		}
		wantOpen(t, n, 1)
		peer.Close()
	})
}
