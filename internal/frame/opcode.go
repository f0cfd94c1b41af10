package frame

// Side is one of the two ends of a connection: clients mask, servers do not. RFC 6455, Section 5.1.
type Side uint8

const (
	Client Side = iota
	Server
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// Peer returns the other side.
func (s Side) Peer() Side { return s ^ 1 }

// An Opcode says what a frame carries: 4 bits. RFC 6455, Section 5.2.
type Opcode uint8

const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xa
)

// "Control frames are identified by opcodes where the most significant bit of the opcode is 1." RFC 6455, Section 5.5.
const controlBit Opcode = 0x8

// IsControl reports whether o is the opcode of a control frame, a reserved one included.
func (o Opcode) IsControl() bool { return o&controlBit != 0 }

// IsReserved reports whether no meaning is defined for o: 0x3 to 0x7, 0xB to 0xF.
func (o Opcode) IsReserved() bool { return o&^controlBit > Binary }

// String returns the opcode's name in RFC 6455 in lower case, and "opcode 0x3" for a reserved one.
func (o Opcode) String() string {
	switch o {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	const hex = "0123456789abcdef"
	return "opcode 0x" + hex[o&0xf:o&0xf+1]
}
