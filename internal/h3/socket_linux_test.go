package h3

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Five packets that leave in one system call (UDP_SEGMENT) arrive as five, however the system joins them.
func TestSocketJoinsAndSplits(t *testing.T) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	s := newSocket(pc)
	from, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()

	sent := make([]byte, 4*1200+500)
	for i := range sent {
		sent[i] = byte(i / 1200)
	}
	if _, _, err := from.WriteMsgUDP(sent, segmentSize(1200), pc.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Skipf("the system does not split what is sent (UDP_SEGMENT): %v", err)
	}
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	var got []byte
	packets, reads := 0, 0
	for len(got) < len(sent) {
		ms := messages(8)
		n, err := s.ReadBatch(ms, 0)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		reads++
		for _, m := range ms[:n] {
			if want := min(1200, len(sent)-len(got)); m.N != want {
				t.Fatalf("packet %d has %d bytes, want %d", packets, m.N, want)
			}
			if m.Addr.String() != from.LocalAddr().String() {
				t.Errorf("packet %d is of %v, want %v", packets, m.Addr, from.LocalAddr())
			}
			got = append(got, m.Buffers[0][:m.N]...)
			packets++
		}
	}
	if packets != 5 || !bytes.Equal(got, sent) {
		t.Errorf("%d packets, want 5; the same bytes: %v", packets, bytes.Equal(got, sent))
	}
	if s.joined != nil && reads != 1 {
		t.Errorf("%d reads although the system joins packets, want 1", reads)
	}
}

// segmentSize is the control message that has a write split into packets of n bytes.
func segmentSize(n uint16) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgSpace(0):], n)
	return b
}
