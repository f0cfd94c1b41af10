package peers

import (
	"bufio"
	"errors"
	"io"
	"net"

	"github.com/gobwas/ws"

	"github.com/weftws/weft/bench/load"
)

var gobwas = &Peer{
	Name: "gobwas", Module: "github.com/gobwas/ws",
	Protos: []load.Proto{load.H1}, NoTLS: []load.Proto{load.H1},
	About: "zero-copy upgrade on the listener, its frame functions, buffers used again, one write a message",
	Serve: func(l net.Listener, o Options) error {
		return serveConns(l, o, []string{"http/1.1"}, gobwasEcho)
	},
}

func gobwasEcho(c net.Conn) error {
	if _, err := ws.Upgrade(c); err != nil {
		return err
	}
	br := bufio.NewReaderSize(c, 4096)
	var payload []byte
	var out appender
	for {
		h, err := ws.ReadHeader(br)
		if err != nil {
			return err
		}
		if h.Length > maxMessageBytes {
			return errors.New("message too big")
		}
		payload = resize(payload, int(h.Length))
		if _, err := io.ReadFull(br, payload); err != nil {
			return err
		}
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			h.OpCode = ws.OpPong
		case ws.OpPong:
			continue
		}
		h.Masked = false
		out = out[:0]
		ws.WriteHeader(&out, h)
		out = append(out, payload...)
		if _, err := c.Write(out); err != nil {
			return err
		}
		if h.OpCode == ws.OpClose {
			return nil
		}
	}
}

// An appender is an io.Writer whose Write appends.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
