package h1

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A script is a connection of which each Read waits for the test and each Write is counted.
type script struct {
	net.Conn
	reads  chan int
	writes chan int
	data   []byte
}

func (c *script) Read(p []byte) (int, error) {
	n, ok := <-c.reads
	if !ok {
		return 0, io.EOF
	}
	return copy(p, c.data[:n]), nil
}
func (c *script) Write(p []byte) (int, error)      { c.writes <- len(p); return len(p), nil }
func (c *script) Close() error                     { return nil }
func (c *script) LocalAddr() net.Addr              { return nil }
func (c *script) RemoteAddr() net.Addr             { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

func TestEchoDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	c := &script{reads: make(chan int), writes: make(chan int), data: make([]byte, 131)}
	s := NewStream(c, nil, Options{})
	end := make(chan error)
	s.Handle(func(p []byte, err error) {
		if err != nil {
			end <- err
			return
		}
		s.Send(p[:6], p[6:])
	})
	echo := func() {
		c.reads <- 131
		if n := <-c.writes; n != 131 {
			t.Fatalf("a Write of %d bytes", n)
		}
	}
	if allocs := testing.AllocsPerRun(1000, echo); allocs != 0 {
		t.Errorf("%v allocations an echoed message, want 0", allocs)
	}
	close(c.reads)
	if err := <-end; err != io.EOF {
		t.Error(err)
	}
	s.Abort()
}

// loopback returns both ends of a TCP connection.
func loopback(t testing.TB) (ours, peer net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ours, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, peer
}

func TestSocketClose(t *testing.T) {
	ours, peer := loopback(t)
	defer peer.Close()
	s := NewStream(ours, nil, Options{})
	got := make(chan error)
	go func() {
		_, err := s.Receive()
		got <- err
	}()
	s.Close(0)
	if err := <-got; err != net.ErrClosed {
		t.Errorf("Receive: %v", err)
	}
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("peer reads %v", err)
	}
}

func BenchmarkCallbackEcho(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("secure=%v/in-flight=%d", secure, inFlight), func(b *testing.B) {
				ours, peer := loopback(b)
				if secure {
					ours, peer = secured(b, ours, peer)
				}
				defer peer.Close()
				s := NewStream(ours, nil, Options{})
				defer s.Abort()
				const size = 131
				s.Handle(func(p []byte, err error) {
					for len(p) > 0 {
						n := min(size, len(p))
						s.Send(p[:n/2], p[n/2:n])
						p = p[n:]
					}
				})
				out, in := make([]byte, size), make([]byte, size*inFlight)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N / inFlight {
					for range inFlight { // as a client does that knows nothing of batches
						if _, err := peer.Write(out); err != nil {
							b.Fatal(err)
						}
					}
					if _, err := io.ReadFull(peer, in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSend1MiB(b *testing.B) {
	ours, peer := loopback(b)
	s := NewStream(ours, nil, Options{})
	done := make(chan struct{})
	go func() {
		io.Copy(io.Discard, peer)
		peer.Close()
		close(done)
	}()
	body := make([]byte, 1<<20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Send(body[:10], body); err != nil {
			b.Fatal(err)
		}
	}
	s.Close(time.Second)
	<-done
}
