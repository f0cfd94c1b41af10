package proto

import (
	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// A Sender turns messages into bytes. It keeps the rules of RFC 6455, Section 6.1, that need memory: fragments in order,
// nothing after a Close frame. Callers serialise. The zero value is not usable.
type Sender struct {
	params   *deflate.Params
	deflater *deflate.Compressor // made for the first compressed message

	side       frame.Side
	inMessage  bool
	compressed bool // the message begun
	closed     bool

	head [frame.MaxHeaderLen]byte // of the frame that Message encoded last
}

// NewSender returns a Sender. Only Side and Deflate of cfg matter.
func NewSender(cfg Config) *Sender { return &Sender{side: cfg.Side, params: cfg.Deflate} }

// Message encodes one frame of a message: op is Text or Binary for the first and Continuation for later ones, fin goes with
// the last. compress says, on the first frame, whether the message is compressed; without an agreement it has no effect.
// Frames out of this order panic. What a Text message holds is the caller's business: it has to be valid UTF-8.
//
// head is the frame header, valid until the next call; body is its payload: p itself where nothing has to be changed (a
// server without compression), else appended to buf, which grows as needed and comes back as newBuf. p does not change. key
// is the masking key: a fresh random one for each frame of a client's (RFC 6455, Section 5.3), ignored for a server's.
//
// After AppendClose it returns nothing to send: head is empty.
func (s *Sender) Message(buf []byte, op frame.Opcode, p []byte, fin, compress bool, key [4]byte) (head, body, newBuf []byte) {
	// "The application MUST NOT send any more data frames after sending a Close frame." RFC 6455, Section 5.5.1.
	if s.closed {
		return nil, nil, buf
	}
	first := op != frame.Continuation
	switch {
	case op != frame.Text && op != frame.Binary && op != frame.Continuation:
		panic("proto: " + op.String() + " is no opcode of a message")
	case first && s.inMessage:
		panic("proto: a message begun inside another")
	case !first && !s.inMessage:
		panic("proto: a continuation of no message")
	}
	if first {
		s.compressed = compress && s.params != nil
	}
	// "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data
	// message." RFC 7692, Section 6.
	h := frame.Header{Fin: fin, RSV1: first && s.compressed, Opcode: op, Masked: s.side == frame.Client}
	body, newBuf = p, buf
	switch {
	case s.compressed:
		newBuf = s.compress(buf, p, first, fin)
		body = newBuf[len(buf):]
		if h.Masked {
			frame.Mask(body, key, 0)
		}
	case h.Masked:
		newBuf = frame.AppendMasked(buf, p, key)
		body = newBuf[len(buf):]
	}
	if h.Masked {
		h.Key = key
	}
	h.Length = int64(len(body))
	s.inMessage = !fin
	return frame.AppendHeader(s.head[:0], h), body, newBuf
}

// AppendControl appends a Ping or Pong frame, or nothing after AppendClose. A payload of more than 125 bytes panics. It
// may stand between the frames of a message. payload does not change.
//
// Choice: nothing at all follows a Close frame, though RFC 6455, Section 5.5.1, forbids data frames only: the peer
// "discards any further data received" (Section 1.4).
func (s *Sender) AppendControl(dst []byte, op frame.Opcode, payload []byte, key [4]byte) []byte {
	if op != frame.Ping && op != frame.Pong {
		panic("proto: " + op.String() + " is no ping or pong")
	}
	if len(payload) > frame.MaxControlPayload {
		panic("proto: control frame of more than 125 bytes")
	}
	if s.closed {
		return dst
	}
	dst = s.appendControlHeader(dst, op, len(payload), key)
	if s.side == frame.Client {
		return frame.AppendMasked(dst, payload, key)
	}
	return append(dst, payload...)
}

// AppendClose appends a Close frame, the first time it is called. code 1005 (no status) makes it an empty one, as does any
// code that may not be sent; reason is made valid UTF-8 and cut at a character's end to fit 123 bytes. A message begun
// stays unfinished.
func (s *Sender) AppendClose(dst []byte, code frame.CloseCode, reason string, key [4]byte) []byte {
	if s.closed {
		return dst
	}
	s.closed = true
	var room [frame.MaxControlPayload]byte
	payload := frame.AppendClose(room[:0], code, reason)
	dst = s.appendControlHeader(dst, frame.Close, len(payload), key)
	n := len(dst)
	dst = append(dst, payload...)
	if s.side == frame.Client {
		frame.Mask(dst[n:], key, 0)
	}
	return dst
}

// Closed reports whether a Close frame was made: nothing more can be sent.
func (s *Sender) Closed() bool { return s.closed }

// Close frees what is held. Only uncompressed messages may be sent after that; the peer's window would not match.
func (s *Sender) Close() {
	if s.deflater != nil {
		s.deflater.Close()
		s.deflater = nil
	}
}

func (s *Sender) appendControlHeader(dst []byte, op frame.Opcode, length int, key [4]byte) []byte {
	h := frame.Header{Fin: true, Opcode: op, Masked: s.side == frame.Client, Length: int64(length)}
	if h.Masked {
		h.Key = key
	}
	return frame.AppendHeader(dst, h)
}

// compress appends the compressed form of one frame's payload. RFC 7692, Section 7.2.1.
func (s *Sender) compress(dst, p []byte, first, fin bool) []byte {
	if first && fin {
		return s.compressor().AppendMessage(dst, p)
	}
	return s.compressor().AppendChunk(dst, p, fin)
}

func (s *Sender) compressor() *deflate.Compressor {
	if s.deflater == nil {
		bits, noTakeover := s.params.ServerMaxWindowBits, s.params.ServerNoContextTakeover
		if s.side == frame.Client {
			bits, noTakeover = s.params.ClientMaxWindowBits, s.params.ClientNoContextTakeover
		}
		s.deflater = deflate.NewCompressor(bits, !noTakeover)
	}
	return s.deflater
}
