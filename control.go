package weft

import (
	"github.com/weftws/weft/internal/frame"
)

// controlFrame makes a Ping, Pong or Close frame. Unlike messages, these may be made and queued by anybody at any time:
// between the frames of a message too. RFC 6455, Section 5.5.
func (c *Conn) controlFrame(op frame.Opcode, payload []byte) []byte {
	h := frame.Header{Fin: true, Opcode: op, Masked: c.opt.side == frame.Client, Length: int64(len(payload))}
	if h.Masked {
		h.Key = maskKey()
	}
	p := frame.AppendHeader(make([]byte, 0, 6+len(payload)), h)
	if h.Masked {
		return frame.AppendMasked(p, payload, h.Key)
	}
	return append(p, payload...)
}

func (c *Conn) closeFrame(code StatusCode, reason string) []byte {
	return c.controlFrame(frame.Close, frame.AppendClose(nil, frame.CloseCode(code), reason))
}
