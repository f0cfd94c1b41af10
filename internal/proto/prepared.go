package proto

import (
	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

// A Prepared is a message of one frame that can be sent by many connections.
type Prepared struct {
	op         frame.Opcode
	payload    []byte // before compression
	compressed bool
	head       int    // length of the header in frame
	frame      []byte // as a server sends it
}

// Prepare encodes payload, compressed for windows of 2^windowBits bytes or larger; 0: not compressed. It keeps payload.
func Prepare(op frame.Opcode, payload []byte, windowBits int) *Prepared {
	cfg := Config{Side: frame.Server}
	if windowBits > 0 {
		cfg.Deflate = &deflate.Params{ServerNoContextTakeover: true, ServerMaxWindowBits: windowBits}
	}
	head, body, _ := NewSender(cfg).Message(nil, op, payload, true, windowBits > 0, [4]byte{})
	return &Prepared{
		op: op, payload: payload, compressed: windowBits > 0, head: len(head),
		frame: append(head[:len(head):len(head)], body...),
	}
}

// Len bounds the length of the frame in bytes, on either side.
func (m *Prepared) Len() int { return len(m.frame) + 4 }

// WindowBits is what a message for this connection has to be prepared with; 0: there is no compression.
func (s *Sender) WindowBits() int {
	switch {
	case s.params == nil:
		return 0
	case s.side == frame.Client:
		return windowBits(s.params.ClientMaxWindowBits)
	default:
		return windowBits(s.params.ServerMaxWindowBits)
	}
}

func windowBits(agreed int) int {
	if agreed == 0 {
		return 15
	}
	return agreed
}

// Prepared returns the frame to send: m's own on a server, else one in buf, which grows as needed and comes back as newBuf; key is as
// for Message. A message begun panics. When the frame has been sent, and not before, SentPrepared has to be called.
//
// After AppendClose it returns nothing.
func (s *Sender) Prepared(buf []byte, m *Prepared, key [4]byte) (f, newBuf []byte) {
	if s.closed {
		return nil, buf
	}
	if s.inMessage {
		panic("proto: a message begun inside another")
	}
	if s.side == frame.Server {
		return m.frame, buf
	}
	body := m.frame[m.head:]
	newBuf = frame.AppendHeader(buf, frame.Header{
		Fin: true, RSV1: m.compressed, Opcode: m.op, Masked: true, Key: key, Length: int64(len(body)),
	})
	newBuf = frame.AppendMasked(newBuf, body, key)
	return newBuf[len(buf):], newBuf
}

// SentPrepared says that m was sent: with context takeover it is in the peer's window now.
func (s *Sender) SentPrepared(m *Prepared) {
	if m.compressed && s.params != nil {
		s.compressor().Sent(m.payload)
	}
}
