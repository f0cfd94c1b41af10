package wire

import "encoding/binary"

// Extension frames. RFC 9113, Section 5.5: who does not know one discards it in silence.
const (
	AltSvc   FrameType = 0xa  // RFC 7838, Section 4
	Origin   FrameType = 0xc  // RFC 8336, Section 2
	WSOpen   FrameType = 0xf5 // WebSocket streams 1
	WSAccept FrameType = 0xf6 // WebSocket streams 1
)

// WebSocket streams 1: how a client opens a stream of type WebSocket without knowing whether the server has them.
//
// Both frames travel on stream 0 and are not flow-controlled. No flags are defined.
//
//	WS_OPEN {                        WS_ACCEPT {
//	  Version (8) = 1,                 Version (8) = 1,
//	  Stream Identifier (32),          Stream Identifier (32),
//	  Nonce (64),                      Nonce (64),
//	  Field {                        }
//	    Name Length (16), Name (..),
//	    Value Length (16), Value (..),
//	  } ...
//	}
//
// 1. WS_OPEN proposes that the client's next unused identifier becomes a stream, opened by the fields of an Extended
// CONNECT (RFC 8441, Section 4). They are not compressed: a peer that discards the frame must not lose the compression
// state. A payload has at most 16,384 bytes, and the server checks the fields as it does those of HEADERS. A WS_OPEN of
// another version is an unknown frame.
//
// 2. The identifier is the client's next one; a lower one is a connection error. From then on it counts wherever that of
// HEADERS would, and a higher HEADERS does not close it. To a server that discards the frame it is a skipped one: "The
// first use of a new stream identifier implicitly closes all streams in the "idle" state that might have been initiated by
// that peer with a lower-valued stream identifier." RFC 9113, Section 5.1.1.
//
// 3. Behind WS_OPEN the client sends a PING that carries the nonce. A server that knows the frame queues WS_ACCEPT before
// the ack, also if it goes on to refuse the stream: it says that the stream is open, and nothing of the request. HEADERS or
// RST_STREAM on the stream follow.
//
// 4. The ack alone says that WebSocket streams are not to be had on this connection, and a WS_ACCEPT that comes later is a
// connection error. A GOAWAY below the identifier refuses it.
//
// 5. Before WS_ACCEPT neither side sends anything on the stream. Who gives up waits for it, then sends RST_STREAM.
const (
	WSVersion     = 1
	MaxWSOpenSize = DefaultMaxFrameSize // bytes of payload
)

// wsHeadLen is what WS_ACCEPT consists of and WS_OPEN begins with.
const wsHeadLen = 1 + 4 + 8

// A WSHead is what both frames of a WebSocket stream begin with.
type WSHead struct {
	Version  uint8
	StreamID uint32 // 32 bits, as they came
	Nonce    [8]byte
}

// WSFields are the fields of a WS_OPEN, read in place.
type WSFields []byte

// ParseWSOpen reads a WS_OPEN payload. Version 1 is what it can read: of another the fields are nil.
func ParseWSOpen(p []byte) (WSHead, WSFields, error) {
	if len(p) < wsHeadLen {
		return WSHead{}, nil, ErrSize
	}
	h := parseWSHead(p)
	if h.Version != WSVersion {
		return h, nil, nil
	}
	fields := WSFields(p[wsHeadLen:])
	for rest := fields; len(rest) > 0; {
		var ok bool
		if _, _, rest, ok = rest.cut(); !ok {
			return WSHead{}, nil, ErrSize
		}
	}
	return h, fields, nil
}

// ParseWSAccept reads a WS_ACCEPT payload.
func ParseWSAccept(p []byte) (WSHead, error) {
	if len(p) != wsHeadLen {
		return WSHead{}, ErrSize
	}
	return parseWSHead(p), nil
}

func parseWSHead(p []byte) WSHead {
	return WSHead{p[0], binary.BigEndian.Uint32(p[1:]), [8]byte(p[5:wsHeadLen])}
}

// Next returns the first field and those behind it; ok is false when there is none.
func (f WSFields) Next() (name, value []byte, rest WSFields, ok bool) {
	if len(f) == 0 {
		return nil, nil, nil, false
	}
	return f.cut()
}

func (f WSFields) cut() (name, value []byte, rest WSFields, ok bool) {
	name, p, ok := cut16(f)
	if !ok {
		return nil, nil, nil, false
	}
	value, p, ok = cut16(p)
	return name, value, p, ok
}

// AppendWSField appends a field for AppendWSOpen. Neither name nor value may be longer than 65,535 bytes.
func AppendWSField(dst []byte, name, value string) []byte {
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(name))), name...)
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(value))), value...)
}

// AppendWSOpen appends a WS_OPEN frame.
func AppendWSOpen(dst []byte, streamID uint32, nonce [8]byte, fields []byte) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(wsHeadLen + len(fields)), WSOpen, 0, 0})
	return append(appendWSHead(dst, WSHead{WSVersion, streamID, nonce}), fields...)
}

// AppendWSAccept appends a WS_ACCEPT frame.
func AppendWSAccept(dst []byte, streamID uint32, nonce [8]byte) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{wsHeadLen, WSAccept, 0, 0})
	return appendWSHead(dst, WSHead{WSVersion, streamID, nonce})
}

func appendWSHead(dst []byte, h WSHead) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, h.Version), h.StreamID), h.Nonce[:]...)
}

// MaxWSFields is how many bytes of fields one WS_OPEN can carry.
const MaxWSFields = MaxWSOpenSize - wsHeadLen

// ParseAltSvc reads an ALTSVC payload: an origin in ASCII, and an Alt-Svc field value. RFC 7838, Section 4.
func ParseAltSvc(p []byte) (origin, value []byte, err error) {
	origin, value, ok := cut16(p)
	if !ok {
		return nil, nil, ErrSize
	}
	return origin, value, nil
}

// AppendAltSvc appends an ALTSVC frame. origin may not be longer than 65,535 bytes.
func AppendAltSvc(dst []byte, streamID uint32, origin, value string) []byte {
	dst = AppendFrameHeader(dst, FrameHeader{uint32(2 + len(origin) + len(value)), AltSvc, 0, streamID})
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(origin))), origin...)
	return append(dst, value...)
}

// ParseOrigin reads an ORIGIN payload: origins in ASCII. RFC 8336, Section 2.1.
func ParseOrigin(p []byte) (origins [][]byte, err error) {
	for len(p) > 0 {
		origin, rest, ok := cut16(p)
		if !ok {
			return nil, ErrSize
		}
		origins = append(origins, origin)
		p = rest
	}
	return origins, nil
}

// AppendOrigin appends an ORIGIN frame.
func AppendOrigin(dst []byte, origins ...string) []byte {
	start := len(dst)
	dst = AppendFrameHeader(dst, FrameHeader{0, Origin, 0, 0})
	for _, o := range origins {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(o))), o...)
	}
	PutLength(dst[start:], len(dst)-start-HeaderLen)
	return dst
}

// cut16 cuts off what a 16-bit length stands in front of.
func cut16(p []byte) (b, rest []byte, ok bool) {
	if len(p) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(p))
	if len(p) < n {
		return nil, nil, false
	}
	return p[2:n:n], p[n:], true
}
