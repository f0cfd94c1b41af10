package fakeorigin

import "github.com/weftws/weft/internal/frame"

// A webSocket echoes: messages frame by frame, a Ping as Pong, a Close.
type webSocket struct{ in []byte }

// take returns the answer to p. over: a Close was among it, or what is no frame.
func (w *webSocket) take(p []byte) (out []byte, over bool) {
	w.in = append(w.in, p...)
	for {
		h, n, fault := frame.ParseHeader(w.in)
		if fault != frame.NoFault {
			return out, true
		}
		if n == 0 || int64(len(w.in)-n) < h.Length {
			return out, false
		}
		payload := w.in[n : n+int(h.Length)]
		w.in = w.in[n+int(h.Length):]
		if h.Masked {
			frame.Mask(payload, h.Key, 0)
			h.Masked, h.Key = false, [4]byte{}
		}
		switch h.Opcode {
		case frame.Pong:
			continue
		case frame.Ping:
			h.Opcode = frame.Pong
		}
		out = append(frame.AppendHeader(out, h), payload...)
		if h.Opcode == frame.Close {
			return out, true
		}
	}
}
