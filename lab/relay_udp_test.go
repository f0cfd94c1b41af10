package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// udpSocket returns a loopback socket that waits for nothing for ever.
func udpSocket(t *testing.T) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	pc.SetDeadline(time.Now().Add(10 * time.Second))
	return pc
}

// relayedUDP returns a relay, in front of a server if it is not nil, and the socket of a client with the relay's address.
func relayedUDP(t *testing.T, server *net.UDPConn, delay time.Duration) (*relay, net.PacketConn, net.Addr) {
	t.Helper()
	var datagram net.Addr
	if server != nil {
		datagram = server.LocalAddr()
	}
	r, err := newRelay("127.0.0.1:1", datagram, delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	client, to, err := dialUDP(t.Context(), fmt.Sprintf("origin.example:%d", r.addr().Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(10 * time.Second))
	return r, client, to
}

// Each datagram arrives alone, in its order, the delay later, and the answer comes back to who has asked.
func TestRelayDatagrams(t *testing.T) {
	const delay = 10 * time.Millisecond
	server := udpSocket(t)
	_, client, to := relayedUDP(t, server, delay)
	other := udpSocket(t)
	b := make([]byte, maxDatagramBytes)
	start := time.Now()
	for i := range 50 {
		if _, err := client.WriteTo(fmt.Append(nil, "datagram ", i), to); err != nil {
			t.Fatal(err)
		}
	}
	var from net.Addr
	for i := range 50 {
		n, addr, err := server.ReadFrom(b)
		if want := fmt.Sprint("datagram ", i); err != nil || string(b[:n]) != want {
			t.Fatalf("%q, %v; want %q", b[:n], err, want)
		}
		if from = addr; time.Since(start) < delay {
			t.Fatalf("one way took %v, less than %v", time.Since(start), delay)
		}
	}
	other.WriteTo([]byte("other"), to)
	n, otherFrom, err := server.ReadFrom(b)
	if err != nil || string(b[:n]) != "other" || otherFrom.String() == from.String() {
		t.Fatalf("%q from %v, %v; want another client's than %v", b[:n], otherFrom, err, from)
	}
	start = time.Now()
	server.WriteTo([]byte("to the other"), otherFrom)
	server.WriteTo(make([]byte, 1400), from)
	n, addr, err := client.ReadFrom(b)
	if d := time.Since(start); err != nil || n != 1400 || addr.String() != to.String() || d < delay {
		t.Errorf("%d bytes from %v after %v, %v; want 1400 from %v after %v or more", n, addr, d, err, to, delay)
	}
	if n, _, err := other.ReadFrom(b); err != nil || string(b[:n]) != "to the other" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// Where the way for datagrams ends nowhere, and where nobody listens at its end, nothing comes back, not even an error.
func TestRelayDatagramsLost(t *testing.T) {
	gone := udpSocket(t)
	gone.Close()
	for name, server := range map[string]*net.UDPConn{"dropped": nil, "nobody listens": gone} {
		t.Run(name, func(t *testing.T) {
			_, client, to := relayedUDP(t, server, 0)
			for range 3 {
				if _, err := client.WriteTo([]byte("is there anybody?"), to); err != nil {
					t.Error(err)
				}
			}
			client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, _, err := client.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes, %v; want silence", n, err)
			}
		})
	}
}

// No more is on the way than the queue holds.
func TestRelayDatagramsBounded(t *testing.T) {
	var q queueOfChunks
	q.init()
	for i := range 5 {
		q.putUpTo(3, chunk{data: []byte{byte(i)}})
	}
	q.put(chunk{err: net.ErrClosed})
	var sent []byte
	passDatagrams(&q, func(p []byte) { sent = append(sent, p...) })
	if string(sent) != "\x00\x01\x02" {
		t.Errorf("sent %v, want the first three", sent)
	}
}
