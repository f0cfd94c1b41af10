package simnet_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/weftws/weft/internal/simnet"
)

// sockets returns a client's and a server's.
func sockets(n *simnet.Network) (client, server *simnet.PacketConn) {
	return n.ListenPacket(":0"), n.ListenPacket(addr)
}

func wantPacket(t *testing.T, c *simnet.PacketConn, want string) net.Addr {
	t.Helper()
	b := make([]byte, 2000)
	k, from, err := c.ReadFrom(b)
	if err != nil || string(b[:k]) != want {
		t.Fatalf("read %q, %v, want %q", b[:k], err, want)
	}
	return from
}

// drain reads until nothing has come for a second, and returns the datagrams in the order of their arrival.
func drain(c *simnet.PacketConn) (got []string) {
	b := make([]byte, 2000)
	for {
		c.SetReadDeadline(time.Now().Add(time.Second))
		k, _, err := c.ReadFrom(b)
		if err != nil {
			c.SetReadDeadline(time.Time{})
			return got
		}
		got = append(got, string(b[:k]))
	}
}

func TestPacket(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := sockets(n)
		defer c.Close()
		start := time.Now()
		c.WriteTo([]byte("ping"), s.LocalAddr())
		from := wantPacket(t, s, "ping")
		wantRoundTrips(t, n, start, 0.5)
		if from.String() != c.LocalAddr().String() || !strings.HasPrefix(from.String(), "10.0.0.1:") {
			t.Errorf("it came from %v, want %v", from, c.LocalAddr())
		}
		s.WriteTo([]byte("pong"), from)
		wantPacket(t, c, "pong")
		wantRoundTrips(t, n, start, 1)

		// The link of the server's address counts in both directions.
		n.SetLink(addr, simnet.Link{RTT: 4 * rtt})
		c.WriteTo([]byte("ping"), s.LocalAddr())
		wantPacket(t, s, "ping")
		s.WriteTo([]byte("pong"), from)
		wantPacket(t, c, "pong")
		wantRoundTrips(t, n, start, 5)
		if st := n.Stats(); st.Packets != 4 || st.PacketsLost != 0 {
			t.Errorf("%+v, want 4 datagrams, none lost", st)
		}
	})
}

func TestPacketLoss(t *testing.T) {
	lost := func(t *testing.T, seed uint64) (got []string) {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			n.Seed(seed)
			n.SetUDP("", simnet.UDP{Loss: 0.2})
			c, s := sockets(n)
			defer c.Close()
			for i := range 1000 {
				c.WriteTo(fmt.Append(nil, i), s.LocalAddr())
			}
			got = drain(s)
			if st := n.Stats(); st.PacketsLost+len(got) != 1000 {
				t.Errorf("%+v and %d datagrams arrived", st, len(got))
			}
		})
		return got
	}
	got := lost(t, 1)
	if len(got) < 750 || len(got) > 850 {
		t.Errorf("%d of 1000 datagrams arrived, want about 800", len(got))
	}
	if again := lost(t, 1); strings.Join(again, " ") != strings.Join(got, " ") {
		t.Error("another run of the same seed lost others")
	}
	if other := lost(t, 2); strings.Join(other, " ") == strings.Join(got, " ") {
		t.Error("another seed lost the same")
	}
}

func TestPacketReorder(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetUDP(addr, simnet.UDP{Reorder: 0.3, ReorderDelay: rtt})
		c, s := sockets(n)
		defer c.Close()
		start := time.Now()
		for i := range 100 {
			c.WriteTo(fmt.Appendf(nil, "%03d", i), s.LocalAddr())
		}
		wantPacket(t, s, "000")
		wantRoundTrips(t, n, start, 0.5)
		got := drain(s)
		if len(got) != 99 {
			t.Fatalf("%d datagrams arrived, want 99", len(got))
		}
		var overtaken []int
		for i := 1; i < len(got); i++ {
			if got[i] < got[i-1] {
				overtaken = append(overtaken, i)
			}
		}
		// Those that are late keep their order among themselves.
		if len(overtaken) != 1 || overtaken[0] < 55 || overtaken[0] > 85 {
			t.Errorf("%q, want two runs in order, the first of about 70", got)
		}
	})
}

func TestPacketBlocked(t *testing.T) {
	for name, set := range map[string]func(n *simnet.Network){
		"everything":           func(n *simnet.Network) { n.SetUDP("", simnet.UDP{Block: true}) },
		"the address":          func(n *simnet.Network) { n.SetUDP(addr, simnet.UDP{Block: true}) },
		"nobody listens":       func(n *simnet.Network) { n.Close() },
		"refused, unconnected": func(n *simnet.Network) { n.SetUDP(addr, simnet.UDP{Refuse: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				s := n.ListenPacket(addr)
				set(n)
				c := n.ListenPacket(":0")
				defer c.Close()
				if _, err := c.WriteTo([]byte("lost"), s.LocalAddr()); err != nil {
					t.Error(err)
				}
				if got := drain(c); len(got) != 0 {
					t.Errorf("read %q", got)
				}
				if got := drain(s); len(got) != 0 {
					t.Errorf("the server read %q", got)
				}
				if st := n.Stats(); st.PacketsLost != 1 {
					t.Errorf("%+v, want one lost", st)
				}
			})
		})
	}
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetUDP("", simnet.UDP{Block: true})
		n.SetUDP(addr, simnet.UDP{})
		c, s := sockets(n)
		defer c.Close()
		c.WriteTo([]byte("allowed"), s.LocalAddr())
		wantPacket(t, s, "allowed")
		s.WriteTo([]byte("back"), c.LocalAddr())
		wantPacket(t, c, "back")
	})
}

func TestPacketDial(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		start := time.Now()
		c, err := n.DialContext(t.Context(), "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 100)
		c.Write([]byte("nobody listens"))
		_, err = c.Read(b)
		wantError(t, "read", err, syscall.ECONNREFUSED)
		wantRoundTrips(t, n, start, 1)

		s, other := n.ListenPacket(addr), n.ListenPacket("10.0.0.3:443")
		c.Write([]byte("ping"))
		from := wantPacket(t, s, "ping")
		other.WriteTo([]byte("forged"), from)
		s.WriteTo([]byte("pong"), from)
		wantPacket(t, c.(*simnet.PacketConn), "pong")

		n.SetUDP(addr, simnet.UDP{Refuse: true})
		c.Write([]byte("refused"))
		_, err = c.Read(b)
		wantError(t, "read", err, syscall.ECONNREFUSED)
		_, err = c.(*simnet.PacketConn).WriteTo(b, s.LocalAddr())
		wantError(t, "WriteTo", err, net.ErrWriteToConnected)
		_, err = s.Write(b)
		wantError(t, "Write without an address", err, syscall.EDESTADDRREQ)
	})
}

func TestPacketSize(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := sockets(n)
		defer c.Close()
		c.WriteTo(make([]byte, 1500-28+1), s.LocalAddr())
		c.WriteTo(make([]byte, 1500-28), s.LocalAddr())
		if got := drain(s); len(got) != 1 || len(got[0]) != 1472 {
			t.Errorf("%d datagrams arrived, want the one of 1472 bytes", len(got))
		}
	})
}

func TestPacketQueue(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := sockets(n)
		defer c.Close()
		for range 5000 {
			c.WriteTo([]byte("x"), s.LocalAddr())
		}
		if got := len(drain(s)); got != 4096 {
			t.Errorf("%d datagrams arrived, want 4096, the receive queue", got)
		}
		if st := n.Stats(); st.PacketsLost != 5000-4096 {
			t.Errorf("%+v, want %d lost", st, 5000-4096)
		}
	})
}

func TestPacketDeadline(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := sockets(n)
		defer c.Close()
		start := time.Now()
		time.AfterFunc(rtt, func() { s.SetReadDeadline(time.Now().Add(rtt)) })
		_, _, err := s.ReadFrom(make([]byte, 1))
		wantError(t, "read", err, os.ErrDeadlineExceeded)
		wantRoundTrips(t, n, start, 2)
		c.SetDeadline(time.Now())
		_, err = c.WriteTo([]byte("late"), s.LocalAddr())
		wantError(t, "write", err, os.ErrDeadlineExceeded)
	})
}

func TestPacketClose(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		c, s := sockets(n)
		c.WriteTo([]byte("lost"), s.LocalAddr())
		if open := strings.Join(n.Open(), "; "); !strings.Contains(open, "client's UDP socket 10.0.0.1:") || strings.Contains(open, "server") {
			t.Errorf("open: %s", open)
		}
		start := time.Now()
		time.AfterFunc(rtt/4, func() { s.Close() })
		_, _, err := s.ReadFrom(make([]byte, 1))
		wantError(t, "read", err, net.ErrClosed)
		wantRoundTrips(t, n, start, 0.25)
		_, err = s.WriteTo([]byte("x"), c.LocalAddr())
		wantError(t, "write", err, net.ErrClosed)
		wantError(t, "close", s.Close(), net.ErrClosed)
		wantError(t, "deadline", s.SetDeadline(time.Now()), net.ErrClosed)
		n.ListenPacket(addr).Close() // free again
		go c.ReadFrom(make([]byte, 1))
		synctest.Wait()
		time.Sleep(24 * time.Hour) // waiting is durable
		c.Close()
		if open := n.Open(); len(open) != 0 {
			t.Errorf("open: %q", open)
		}
	})
}

// QUIC and TLS take one round trip, and an echo the second. With loss it takes longer and arrives nonetheless.
func TestQUIC(t *testing.T) {
	for name, c := range map[string]struct {
		udp     simnet.UDP
		minimum float64
	}{
		"good":            {simnet.UDP{}, 2},
		"loss, reordered": {simnet.UDP{Loss: 0.1, Reorder: 0.1}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
				n.SetUDP(addr, c.udp)
				start := time.Now()
				message := "hi"
				if c.udp != (simnet.UDP{}) {
					message = strings.Repeat("0123456789abcdef", 1<<14)
				}
				quicEcho(t, n, message)
				if got := n.RoundTrips(start); got < c.minimum || c.minimum == 2 && got != 2 {
					t.Errorf("%v round trips, want %v", got, c.minimum)
				}
			})
		})
	}
}

func quicEcho(t *testing.T, n *simnet.Network, message string) {
	cert, roots := simnet.Certificate("origin.test")
	server := &quic.Transport{Conn: n.ListenPacket(addr)}
	ln, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"echo"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := ln.Accept(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		s, err := c.AcceptStream(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(s, s)
		s.Close()
	}()

	socket := n.ListenPacket(":0")
	client := &quic.Transport{Conn: socket}
	t.Cleanup(func() {
		client.Close()
		socket.Close()
		server.Close()
	})
	c, err := client.Dial(t.Context(), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)),
		&tls.Config{ServerName: "origin.test", RootCAs: roots, NextProtos: []string{"echo"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(s, message)
		s.Close()
	}()
	echo, err := io.ReadAll(s)
	if err != nil || string(echo) != message {
		t.Errorf("echo of %d bytes, %v, want %d", len(echo), err, len(message))
	}
}
