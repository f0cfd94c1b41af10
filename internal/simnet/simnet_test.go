package simnet_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/weftws/weft/internal/simnet"
)

const (
	rtt  = 100 * time.Millisecond
	addr = "10.0.0.2:443"
)

// pair returns both ends of a connection; the time is then the one at which the server's Accept returned.
func pair(t *testing.T, n *simnet.Network) (client, server *simnet.Conn) {
	t.Helper()
	ln := n.Listen(addr)
	defer ln.Close()
	c, err := n.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*simnet.Conn), s.(*simnet.Conn)
}

func wantRoundTrips(t *testing.T, n *simnet.Network, start time.Time, want float64) {
	t.Helper()
	if got := n.RoundTrips(start); got != want {
		t.Errorf("%v round trips since the start, want %v", got, want)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// net.Conn's own rules, in real time without delay.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		n := simnet.New(0)
		client, server := pair(t, n)
		return client, server, func() { n.Close() }, nil
	})
}

func TestDial(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		start := time.Now()
		ln := n.Listen(addr)
		c, err := n.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		wantRoundTrips(t, n, start, 1)
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		wantRoundTrips(t, n, start, 1.5) // the ACK's arrival
		if c.RemoteAddr().String() != addr || c.LocalAddr().String() != s.RemoteAddr().String() {
			t.Errorf("client %v - %v, server %v - %v", c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
		}
		if st := n.Stats(); st.Dials != 1 || st.Opened != 1 || st.EndsOpen != 2 {
			t.Errorf("%+v, want one dial, one opened, two ends", st)
		}
		c.Close()
		if open := n.Open(); len(open) != 1 || !strings.HasPrefix(open[0], "server end of "+addr) {
			t.Errorf("open: %q, want the server's end", open)
		}
		s.Close()
	})
}

func TestDialFails(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		start := time.Now()
		_, err := n.Dial(addr)
		wantError(t, "nobody listens", err, syscall.ECONNREFUSED)
		wantRoundTrips(t, n, start, 1)

		n.Listen(addr)
		n.SetLink(addr, simnet.Link{Refuse: true, RTT: 3 * rtt})
		_, err = n.Dial(addr)
		wantError(t, "refusing address", err, syscall.ECONNREFUSED)
		wantRoundTrips(t, n, start, 4)

		n.SetLink(addr, simnet.Link{BlackHole: true})
		ctx, cancel := context.WithTimeout(t.Context(), rtt)
		defer cancel()
		_, err = n.DialContext(ctx, "tcp", addr)
		wantError(t, "black hole and a context", err, context.DeadlineExceeded)
		wantRoundTrips(t, n, start, 5)
		_, err = n.Dial(addr)
		wantError(t, "black hole", err, syscall.ETIMEDOUT)

		_, err = n.Dial("nowhere.test:443")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("unknown name: %v, want a DNSError", err)
		}
		if st := n.Stats(); st.Opened != 0 || st.Refused != 2 || st.EndsOpen != 0 {
			t.Errorf("%+v, want nothing opened, two refused", st)
		}
	})
}

func TestDialCancelled(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(addr)
		ctx, cancel := context.WithTimeout(t.Context(), rtt*3/4)
		defer cancel()
		_, err := n.DialContext(ctx, "tcp", addr)
		wantError(t, "dial", err, context.DeadlineExceeded)
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Read(make([]byte, 1))
		wantError(t, "server's read", err, syscall.ECONNRESET)
		s.Close()
	})
}

func TestHosts(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.AddHost("origin.test", "10.0.0.2", "fd00::2")
		for network, want := range map[string]string{"ip": "[10.0.0.2 fd00::2]", "ip4": "[10.0.0.2]", "ip6": "[fd00::2]"} {
			ips, err := n.LookupNetIP(t.Context(), network, "origin.test")
			if got := strings.Join(func() (s []string) {
				for _, ip := range ips {
					s = append(s, ip.String())
				}
				return s
			}(), " "); err != nil || "["+got+"]" != want {
				t.Errorf("%s: %s, %v, want %s", network, got, err, want)
			}
		}
		n.Listen(addr)
		c, err := n.Dial("origin.test:443")
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != addr {
			t.Errorf("connected to %v, want %v", c.RemoteAddr(), addr)
		}
		c.Close()
	})
}

func TestDelay(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		start := time.Now()
		io.WriteString(c, "hello, ")
		io.WriteString(c, "world")
		b := make([]byte, 100)
		k, err := s.Read(b)
		if err != nil || string(b[:k]) != "hello, world" {
			t.Errorf("read %q, %v", b[:k], err)
		}
		wantRoundTrips(t, n, start, 0.5)
		c.CloseWrite()
		_, err = s.Read(b)
		wantError(t, "read after FIN", err, io.EOF)
		wantRoundTrips(t, n, start, 1)
		_, err = c.Write(b)
		wantError(t, "write after CloseWrite", err, syscall.EPIPE)
		io.WriteString(s, "bye")
		s.Close()
		rest, err := io.ReadAll(c)
		if err != nil || string(rest) != "bye" {
			t.Errorf("read %q, %v after the server's FIN", rest, err)
		}
		wantRoundTrips(t, n, start, 1.5)
		c.Close()
	})
}

// Writes into a closed end succeed until its RST is back.
func TestWriteAfterPeerClose(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		start := time.Now()
		s.Close()
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				wantError(t, "write", err, syscall.EPIPE)
				break
			}
			time.Sleep(rtt / 10)
		}
		wantRoundTrips(t, n, start, 1)
		c.Close()
	})
}

func TestReset(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		io.WriteString(s, "first")
		start := time.Now()
		s.Reset()
		b := make([]byte, 100)
		k, err := c.Read(b)
		if err != nil || string(b[:k]) != "first" {
			t.Errorf("read %q, %v, want what came before the RST", b[:k], err)
		}
		_, err = c.Read(b)
		wantError(t, "read", err, syscall.ECONNRESET)
		_, err = c.Write(b)
		wantError(t, "write", err, syscall.ECONNRESET)
		wantRoundTrips(t, n, start, 0.5)
		_, err = s.Read(b)
		wantError(t, "read on the end that was reset", err, net.ErrClosed)
		c.Close()
	})
}

func TestDeadlines(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetLink(addr, simnet.Link{SendBuffer: 4})
		c, s := pair(t, n)
		b := make([]byte, 6)

		start := time.Now()
		c.SetReadDeadline(start.Add(rtt))
		_, err := c.Read(b)
		wantError(t, "read", err, os.ErrDeadlineExceeded)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		wantRoundTrips(t, n, start, 1)

		// A deadline that is set later reaches the Write that is blocked.
		time.AfterFunc(rtt, func() { c.SetWriteDeadline(time.Now().Add(rtt)) })
		k, err := c.Write([]byte("123456"))
		wantError(t, "write", err, os.ErrDeadlineExceeded)
		if k != 4 {
			t.Errorf("wrote %d bytes, want 4, the send buffer", k)
		}
		wantRoundTrips(t, n, start, 3)
		c.SetDeadline(time.Time{})

		// Room is there again one delay after the read.
		k, err = s.Read(b)
		if err != nil || string(b[:k]) != "1234" {
			t.Errorf("read %q, %v", b[:k], err)
		}
		if _, err = c.Write([]byte("5678")); err != nil {
			t.Error(err)
		}
		wantRoundTrips(t, n, start, 3.5)

		// Close ends a blocked Write.
		time.AfterFunc(rtt, func() { c.Close() })
		_, err = c.Write(b)
		wantError(t, "write", err, net.ErrClosed)
		s.Close()
	})
}

// A reader that closes with bytes unread ends the writer that waits for room.
func TestCloseUnread(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetLink(addr, simnet.Link{SendBuffer: 4})
		c, s := pair(t, n)
		start := time.Now()
		time.AfterFunc(rtt, func() { s.Close() })
		k, err := c.Write(make([]byte, 10))
		wantError(t, "write", err, syscall.EPIPE)
		if k != 4 {
			t.Errorf("wrote %d bytes, want 4", k)
		}
		wantRoundTrips(t, n, start, 1.5)
		c.Close()
	})
}

func TestCut(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		n.Cut(addr)
		io.WriteString(c, "lost")
		c.Close()
		s.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := s.Read(make([]byte, 1))
		wantError(t, "read", err, os.ErrDeadlineExceeded)
		if s.Buffered() != 0 {
			t.Errorf("%d bytes arrived", s.Buffered())
		}
		s.Close()
	})
}

func TestTap(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		var got []simnet.Segment
		n.Tap(func(s simnet.Segment) { got = append(got, s) })
		io.WriteString(c, "ping")
		io.WriteString(s, "pong!")
		n.Tap(nil)
		io.WriteString(c, "unseen")
		if len(got) != 2 || !got[0].Client || string(got[0].Data) != "ping" || got[0].To != addr ||
			got[1].Client || string(got[1].Data) != "pong!" || got[1].At != rtt*3/2 {
			t.Errorf("tapped %+v", got)
		}
		if st := n.Stats(); st.Writes != 3 || st.Bytes != 15 {
			t.Errorf("%+v, want 3 writes of 15 bytes", st)
		}
		c.Close()
		s.Close()
	})
}

func TestListenerClose(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		ln := n.Listen(addr)
		c, err := n.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		_, err = ln.Accept()
		wantError(t, "accept", err, net.ErrClosed)
		_, err = c.Read(make([]byte, 1))
		wantError(t, "connection left in the backlog", err, syscall.ECONNRESET)
		c.Close()
		n.Listen(addr) // free again

		ln = n.Listen("10.0.0.3:443")
		time.AfterFunc(time.Second, func() { ln.Close() })
		_, err = ln.Accept()
		wantError(t, "blocked accept", err, net.ErrClosed)
	})
}

// Real TLS 1.3 and net/http on top of it: TCP, TLS and the Upgrade take a round trip each.
func TestUpgradeThreeRoundTrips(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		cert, roots := simnet.Certificate("origin.test")
		srv := &http.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			ErrorLog:  log.New(io.Discard, "", 0),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				rw.Flush()
				io.Copy(c, rw)
				c.Close()
			}),
		}
		go srv.ServeTLS(n.Listen(addr), "", "")
		t.Cleanup(func() { srv.Close() })

		start := time.Now()
		raw, err := n.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(raw, &tls.Config{ServerName: "origin.test", RootCAs: roots, NextProtos: []string{"http/1.1"}})
		defer c.Close()
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRoundTrips(t, n, start, 2)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: origin.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		br := bufio.NewReader(c)
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp, err)
		}
		wantRoundTrips(t, n, start, 3)
		io.WriteString(c, "hi")
		b := make([]byte, 2)
		if _, err := io.ReadFull(br, b); err != nil || string(b) != "hi" {
			t.Errorf("echo %q, %v", b, err)
		}
		wantRoundTrips(t, n, start, 4)
	})
}

// Waiting is durable: the bubble sees that everybody is blocked and moves the clock.
func TestDurable(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := pair(t, n)
		go s.Read(make([]byte, 1))
		go n.Listen(addr).Accept()
		synctest.Wait()
		time.Sleep(24 * time.Hour)
		c.Close()
		s.Close()
	})
}
