package h3

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/ipv4"
)

func messages(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1452)}, make([]byte, 128)
	}
	return ms
}

// What a read has joined is handed out packet by packet, over several calls where there are more than fit into one.
func TestSocketSplits(t *testing.T) {
	from := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	s := &socket{rest: bytes.Repeat([]byte("abcdefghij"), 11)[:105], size: 10, from: from, oobn: 3}
	copy(s.oob[:], "ecn")
	var sizes []int
	for calls := 0; len(s.rest) > 0; calls++ {
		ms := messages(8)
		for _, m := range ms[:s.split(ms)] {
			sizes = append(sizes, m.N)
			if !bytes.HasPrefix([]byte("abcdefghij"), m.Buffers[0][:m.N]) || string(m.OOB[:m.NN]) != "ecn" || m.Addr != from {
				t.Fatalf("packet %q of %v with %q", m.Buffers[0][:m.N], m.Addr, m.OOB[:m.NN])
			}
		}
		if want := min(8*(calls+1), 11); len(sizes) != want {
			t.Fatalf("%d packets after %d calls, want %d", len(sizes), calls+1, want)
		}
	}
	if len(sizes) != 11 || sizes[10] != 5 || sizes[9] != 10 {
		t.Errorf("packets of %d bytes, want ten of 10 and one of 5", sizes)
	}
}

// A packet that is longer than QUIC's buffers is cut off, as the system would; an empty one is one, too.
func TestSocketOddPackets(t *testing.T) {
	s := &socket{rest: make([]byte, 3000), size: 3000}
	ms := messages(2)
	if n := s.split(ms); n != 1 || ms[0].N != 1452 || len(s.rest) > 0 {
		t.Errorf("%d packets, the first of %d bytes, %d bytes left; want 1 of 1452", n, ms[0].N, len(s.rest))
	}
	s = &socket{size: 1}
	if n := s.split(ms); n != 1 || ms[0].N != 0 {
		t.Errorf("%d packets, the first of %d bytes; want 1 of 0", n, ms[0].N)
	}
}
