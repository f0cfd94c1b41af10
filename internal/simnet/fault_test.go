package simnet_test

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// readAll is what arrives at c until its end, when it was, and with which error.
func readAll(n *simnet.Network, start time.Time, c *simnet.Conn) (got string, at float64, err error) {
	var b bytes.Buffer
	_, err = io.Copy(&b, c)
	return b.String(), n.RoundTrips(start), err
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		fault  simnet.Fault
		got    string // at the server, of "hello" in two Writes
		at     float64
		err    error // of the server's Read
		client error // of the client's Read
		write  error // of a Write of the client's, two round trips later
	}{
		{simnet.Fault{Client: true, Kind: simnet.RST}, "", 0, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET},
		{simnet.Fault{Client: true, Kind: simnet.RST, After: 3}, "hel", 0.5, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET},
		{simnet.Fault{Client: true, Kind: simnet.RST, After: 2}, "he", 0.5, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET},
		{simnet.Fault{Client: true, Kind: simnet.FIN}, "", 0, nil, nil, syscall.EPIPE},
		{simnet.Fault{Client: true, Kind: simnet.FIN, After: 3}, "hel", 0.5, nil, nil, syscall.EPIPE},
		{simnet.Fault{Client: true, Kind: simnet.FIN, After: 3, Conn: 2}, "hello", 1.5, nil, nil, net.ErrClosed},
		{simnet.Fault{Client: true, Kind: simnet.Stall, After: 3, For: 5 * rtt}, "hello", 5.5, nil, nil, net.ErrClosed},
	} {
		simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
			n.SetFaults(addr, tt.fault)
			client, server := pair(t, n)
			start := time.Now()
			client.Write([]byte("he"))
			client.Write([]byte("llo"))
			if tt.write == net.ErrClosed { // nothing ends the connection but its owner
				time.AfterFunc(rtt, func() { client.Close() })
			}
			got, at, err := readAll(n, start, server)
			if got != tt.got || at != tt.at {
				t.Errorf("%+v: %q after %v round trips, want %q after %v", tt.fault, got, at, tt.got, tt.at)
			}
			if tt.err == nil && err != nil || tt.err != nil {
				wantError(t, "the server's Read", err, tt.err)
			}
			if tt.write != net.ErrClosed {
				if _, _, err := readAll(n, start, client); tt.client == nil && err != nil || tt.client != nil {
					wantError(t, "the client's Read", err, tt.client)
				}
			}
			client.Write([]byte("x"))
			time.Sleep(2 * rtt)
			_, err = client.Write([]byte("x"))
			wantError(t, "a Write", err, tt.write)
			client.Close()
			server.Close()
			if s := n.Stats(); s.Faults != 1 && tt.fault.Conn == 0 {
				t.Errorf("%+v: %d faults", tt.fault, s.Faults)
			}
		})
	}
}

// Of a connection that is half-open neither end hears anything.
func TestFaultSilence(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetFaults(addr, simnet.Fault{Kind: simnet.Silence, After: 3})
		client, server := pair(t, n)
		server.Write([]byte("hello"))
		for _, c := range []*simnet.Conn{client, server} {
			if n, err := c.Write([]byte("lost")); n != 4 || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
			c.SetReadDeadline(time.Now().Add(time.Hour))
			got, err := io.ReadAll(c)
			if want := map[bool]string{true: "hel"}[c.Client()]; string(got) != want || !err.(net.Error).Timeout() {
				t.Errorf("client %v: %q, %v", c.Client(), got, err)
			}
			c.Close()
		}
	})
}

// SetFaults spares open connections what has not happened yet.
func TestFaultSpared(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetFaults(addr, simnet.Fault{Client: true, After: 3})
		client, server := pair(t, n)
		n.SetFaults(addr)
		client.Write([]byte("hello"))
		client.Close()
		if got, _, err := readAll(n, time.Now(), server); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		server.Close()
	})
}

func TestSegment(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		n.SetLink(addr, simnet.Link{Segment: 2})
		client, server := pair(t, n)
		client.Write([]byte("hello"))
		time.Sleep(rtt)
		var p [10]byte
		for _, want := range []string{"he", "ll", "o"} {
			if k, err := server.Read(p[:]); string(p[:k]) != want || err != nil {
				t.Errorf("%q, %v, want %q", p[:k], err, want)
			}
		}
		client.Close()
		server.Close()
	})
}

func TestUDPFates(t *testing.T) {
	simnet.Run(t, rtt, func(t *testing.T, n *simnet.Network) {
		server := n.ListenPacket(addr)
		c, err := n.DialContext(t.Context(), "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		n.FilterUDP(func(client bool, i int) simnet.Fate {
			if !client {
				t.Error("the server has sent something")
			}
			return []simnet.Fate{simnet.Deliver, simnet.Drop, simnet.Double, simnet.Garble}[i]
		})
		for _, p := range []string{"deliver", "drop", "double", "garble"} {
			c.Write([]byte(p))
			time.Sleep(rtt)
		}
		n.FilterUDP(nil)
		n.SetUDP("", simnet.UDP{MTU: 20 + 8 + 7})
		c.Write([]byte("too long"))
		c.Write([]byte("fitting"))
		n.SetUDP("", simnet.UDP{Duplicate: 1, Damage: 1})
		c.Write([]byte("both"))
		time.Sleep(rtt)
		if lost := n.Stats().PacketsLost; lost != 2 {
			t.Errorf("%d were lost", lost)
		}
		for _, want := range []struct {
			text string
			bits int // that are changed
		}{{"deliver", 0}, {"double", 0}, {"double", 0}, {"garble", 1}, {"fitting", 0}, {"both", 1}, {"both", 1}} {
			p := make([]byte, 100)
			k, _, err := server.ReadFrom(p)
			if err != nil || k != len(want.text) || differ(p[:k], want.text) != want.bits {
				t.Errorf("%q, %v, want %q with %d bits changed", p[:k], err, want.text, want.bits)
			}
		}
	})
}

func differ(a []byte, b string) (bits int) {
	for i := range a {
		for x := a[i] ^ b[i]; x != 0; x &= x - 1 {
			bits++
		}
	}
	return bits
}
