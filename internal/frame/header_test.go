package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// The examples of RFC 6455, Section 5.7.
func TestRFC6455Section5_7Examples(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  Header
	}{
		{"a single-frame unmasked text message", []byte("\x81\x05Hello"), Header{Fin: true, Opcode: Text, Length: 5}},
		{"a single-frame masked text message", []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), Header{Fin: true, Opcode: Text, Masked: true, Key: key, Length: 5}},
		{"the first of two fragments", []byte("\x01\x03Hel"), Header{Opcode: Text, Length: 3}},
		{"the second of two fragments", []byte("\x80\x02lo"), Header{Fin: true, Opcode: Continuation, Length: 2}},
		{"an unmasked ping", []byte("\x89\x05Hello"), Header{Fin: true, Opcode: Ping, Length: 5}},
		{"a masked pong", []byte("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), Header{Fin: true, Opcode: Pong, Masked: true, Key: key, Length: 5}},
		{"256 bytes", append([]byte{0x82, 0x7e, 0x01, 0x00}, make([]byte, 256)...), Header{Fin: true, Opcode: Binary, Length: 256}},
		{"64 KiB", append([]byte{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 65536)...), Header{Fin: true, Opcode: Binary, Length: 65536}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, n, fault := ParseHeader(tt.bytes)
			if h != tt.want || n != len(tt.bytes)-int(tt.want.Length) || fault != NoFault {
				t.Fatalf("ParseHeader = %+v, %d, %d; want %+v", h, n, fault, tt.want)
			}
			if got := AppendHeader(nil, h); !bytes.Equal(got, tt.bytes[:n]) {
				t.Errorf("AppendHeader = % x, want % x", got, tt.bytes[:n])
			}
			payload := tt.bytes[n:]
			if h.Masked {
				Mask(payload, h.Key, 0)
				if string(payload) != "Hello" {
					t.Errorf("unmasked: %q", payload)
				}
			}
		})
	}
}

// Every header fault is found at the first byte that shows it, and not before.
func TestRFC6455Section5_2Faults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
		at    int // how many bytes show the fault
		want  Fault
	}{
		{"reserved opcode 0x3", []byte{0x83, 0x00}, 1, ReservedOpcode},
		{"reserved opcode 0x7", []byte{0x87, 0x00}, 1, ReservedOpcode},
		{"reserved opcode 0xb", []byte{0x8b, 0x00}, 1, ReservedOpcode},
		{"reserved opcode 0xf, not final", []byte{0x0f, 0x00}, 1, ReservedOpcode},
		{"fragmented close", []byte{0x08, 0x00}, 1, FragmentedControl},
		{"fragmented ping", []byte{0x09, 0x00}, 1, FragmentedControl},
		{"fragmented pong", []byte{0x0a, 0x00}, 1, FragmentedControl},
		{"ping of 126 bytes", []byte{0x89, 0x7e, 0x00, 0x7e}, 2, LongControl},
		{"ping with a short length in 16 bits", []byte{0x89, 0xfe, 0x00, 0x05}, 2, LongControl},
		{"close of 64-bit length", []byte{0x88, 0x7f, 0, 0, 0, 0, 0, 0, 0, 5}, 2, LongControl},
		{"124 in 16 bits, the RFC's example", []byte{0x81, 0x7e, 0x00, 0x7c}, 4, NonMinimal16},
		{"125 in 16 bits", []byte{0x81, 0xfe, 0x00, 0x7d, 1, 2, 3, 4}, 4, NonMinimal16},
		{"0 in 16 bits", []byte{0x81, 0x7e, 0x00, 0x00}, 4, NonMinimal16},
		{"0 in 64 bits", []byte{0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0}, 8, NonMinimal64},
		{"65535 in 64 bits", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 8, NonMinimal64},
		{"the top bit alone", []byte{0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, 3, LengthTopBit},
		{"all bits", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 3, LengthTopBit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range len(tt.bytes) + 1 {
				_, took, fault := ParseHeader(tt.bytes[:n])
				want := NoFault
				if n >= tt.at {
					want = tt.want
				}
				if fault != want || took != 0 {
					t.Errorf("ParseHeader of %d bytes: took %d, fault %d, want fault %d", n, took, fault, want)
				}
			}
		})
	}
}

// "The minimal number of bytes MUST be used to encode the length." RFC 6455, Section 5.2.
func TestRFC6455Section5_2LengthEncodings(t *testing.T) {
	for length, want := range map[int64]int{
		0: 2, 1: 2, 125: 2, 126: 4, 127: 4, 65535: 4, 65536: 10, 1<<32 - 1: 10, 1 << 32: 10, 1<<63 - 1: 10,
	} {
		for _, masked := range []bool{false, true} {
			h := Header{Fin: true, Opcode: Binary, Masked: masked, Length: length}
			wantLen := want
			if masked {
				h.Key = [4]byte{1, 2, 3, 4}
				wantLen += 4
			}
			b := AppendHeader(nil, h)
			if len(b) != wantLen {
				t.Errorf("length %d, masked %v: %d bytes, want %d", length, masked, len(b), wantLen)
			}
			// Every prefix says that more is needed, and what it knows.
			for n := range b {
				part, took, fault := ParseHeader(b[:n])
				if took != 0 || fault != NoFault {
					t.Errorf("length %d: %d of %d bytes: took %d, fault %d", length, n, len(b), took, fault)
				}
				if known := n >= want; known && part.Length != length || !known && part.Length != -1 {
					t.Errorf("length %d: %d of %d bytes: Length = %d", length, n, len(b), part.Length)
				}
			}
			if got, took, fault := ParseHeader(b); got != h || took != len(b) || fault != NoFault {
				t.Errorf("ParseHeader(% x) = %+v, %d, %d; want %+v", b, got, took, fault, h)
			}
		}
	}
}

func TestRFC6455Section5_2Bits(t *testing.T) {
	for b, want := range map[byte]Header{
		0x81: {Fin: true, Opcode: Text}, 0x41: {RSV1: true, Opcode: Text}, 0x22: {RSV2: true, Opcode: Binary}, 0x10: {RSV3: true},
		0xfa: {Fin: true, RSV1: true, RSV2: true, RSV3: true, Opcode: Pong},
	} {
		h, n, _ := ParseHeader([]byte{b, 0})
		if h != want || n != 2 {
			t.Errorf("%#x: %+v, want %+v", b, h, want)
		}
		if got := AppendHeader(nil, want); !bytes.Equal(got, []byte{b, 0}) {
			t.Errorf("%+v: % x, want %x 00", want, got, b)
		}
	}
}

func TestAppendHeaderRefusesANegativeLength(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	AppendHeader(nil, Header{Length: -1})
}

func TestOpcodes(t *testing.T) {
	reserved := map[Opcode]bool{3: true, 4: true, 5: true, 6: true, 7: true, 0xb: true, 0xc: true, 0xd: true, 0xe: true, 0xf: true}
	names := map[Opcode]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
	for o := range Opcode(16) {
		if o.IsReserved() != reserved[o] || o.IsControl() != (o >= 8) {
			t.Errorf("%v: reserved %v, control %v", o, o.IsReserved(), o.IsControl())
		}
		want := names[o]
		if want == "" {
			want = fmt.Sprintf("opcode 0x%x", int(o))
		}
		if o.String() != want {
			t.Errorf("String() = %q, want %q", o, want)
		}
	}
	if Client.Peer() != Server || Server.Peer() != Client || Client.String() != "client" || Server.String() != "server" {
		t.Error("sides are confused")
	}
}

// FuzzParseHeader: no panic; what parses is encoded back to the same bytes; every prefix agrees with the whole.
func FuzzParseHeader(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3dHello"))
	f.Add([]byte{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Add([]byte{0x82, 0xfe, 0, 126, 1, 2, 3, 4})
	f.Add([]byte{0x8f})
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, fault := ParseHeader(p)
		if n > len(p) || n > MaxHeaderLen || n > 0 && fault != NoFault {
			t.Fatalf("took %d of %d bytes, fault %d", n, len(p), fault)
		}
		if n > 0 {
			if got := AppendHeader(nil, h); !bytes.Equal(got, p[:n]) {
				t.Fatalf("% x came back as % x", p[:n], got)
			}
		}
		for i := range p[:min(len(p), MaxHeaderLen)] {
			_, in, ifault := ParseHeader(p[:i])
			switch {
			case in > 0 && in != n:
				t.Fatalf("%d bytes: took %d, all: took %d", i, in, n)
			case ifault != NoFault && ifault != fault:
				t.Fatalf("%d bytes: fault %d, all: fault %d", i, ifault, fault)
			}
		}
	})
}

func TestHeaderAllocs(t *testing.T) {
	buf := make([]byte, 0, MaxHeaderLen)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendHeader(buf[:0], Header{Fin: true, Opcode: Text, Masked: true, Length: 1 << 20})
		if _, n, _ := ParseHeader(buf); n != MaxHeaderLen {
			t.Fatal(n)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if binary.BigEndian.Uint64(buf[2:]) != 1<<20 {
		t.Error("wrong length")
	}
}
