package fakeorigin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/weftws/weft/internal/h2/wire"
)

// An http2Conn answers frame by frame. It looks at the whole of what has arrived first, to see DATA that came early.
type http2Conn struct {
	*conn
	printer  *wire.Printer
	connects int // on this connection

	mu      sync.Mutex // for what follows, with a Delay
	encode  *wire.Parser
	over    bool
	streams map[uint32]*webSocket // asked for; Invariant: nil until it is open
}

func (c *conn) serveHTTP2() {
	h := &http2Conn{conn: c, printer: wire.NewPrinter(), encode: wire.NewParser(), streams: make(map[uint32]*webSocket)}
	greeting := c.origin.Greeting
	if greeting == "" {
		greeting = "SETTINGS " + c.origin.Settings + "\n"
	}
	h.send(greeting, 0)
	var in []byte
	buf := make([]byte, 1<<15)
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			c.ended(err)
			return
		}
		in = append(in, buf[:n]...)
		in = []byte(strings.TrimPrefix(string(in), wire.ClientPreface))
		for len(in) >= wire.HeaderLen {
			head, _ := wire.ParseFrameHeader(in)
			size := wire.HeaderLen + int(head.Length)
			if len(in) < size {
				break
			}
			text := string(h.printer.Append(nil, in[:size]))
			p := in[wire.HeaderLen:size]
			in = in[size:]
			early := len(in) > 0 && wire.FrameType(in[3]) == wire.Data
			h.recv(head, p, text, early)
		}
	}
}

// send sends frames in the notation, %d being id, and does what the last line says.
func (c *http2Conn) send(answer string, id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, end := cutEnd(strings.ReplaceAll(answer, "%d", fmt.Sprint(id)))
	b, err := c.encode.Append(nil, text)
	if err != nil {
		panic(fmt.Sprintf("fakeorigin: %v", err))
	}
	if c.over {
		return
	}
	c.nc.Write(b)
	c.over = end != "" && end != Silence
	c.finish(end)
}

func (c *http2Conn) recv(h wire.FrameHeader, p []byte, text string, early bool) {
	o := c.origin
	line, _, _ := strings.Cut(text, "\n")
	c.server.count(func(n *Counts) { n.Frames = append(n.Frames, line) })
	switch h.Type {
	case wire.Settings:
		if !h.Flags.Has(wire.FlagAck) && o.Greeting == "" {
			c.send("SETTINGS ACK\n", 0)
		}
	case wire.Ping:
		if !o.Deaf && !h.Flags.Has(wire.FlagAck) {
			c.send(fmt.Sprintf("PING %x ACK\n", p), 0)
		}
	case wire.Headers:
		fields := parseFields(text)
		switch {
		case fields.Get(":method") == "CONNECT":
			c.connects++
			answer := o.Connect
			if c.connects > 1 && o.Later != "" {
				answer = o.Later
			}
			if early && o.Early != "" {
				answer = o.Early
			}
			c.recvConnect(h.StreamID, fields, answer)
		case !o.Deaf:
			c.send(Status(http.StatusNoContent), h.StreamID)
		}
	case wire.WSOpen:
		if head, _, err := wire.ParseWSOpen(p); err == nil {
			answer := strings.ReplaceAll(o.WSOpen, "%x", fmt.Sprintf("%x", head.Nonce))
			if accept, rest, _ := strings.Cut(answer, "\n"); strings.HasPrefix(accept, "WS_ACCEPT") {
				c.send(accept+"\n", head.StreamID) // it does not wait for the decision
				answer = rest
			}
			c.recvConnect(head.StreamID, parseFields(text), answer)
		}
	case wire.Data:
		c.recvData(h, p)
	default:
		if h.StreamID != 0 && o.Idle != "" && h.Type > wire.Continuation {
			c.send(o.Idle, h.StreamID)
		}
	}
}

func (c *http2Conn) recvConnect(id uint32, fields http.Header, answer string) {
	shake := Handshake{Method: "CONNECT", Path: fields.Get(":path"), Header: fields}
	status := parseFields(answer).Get(":status")
	shake.Status, _ = strconv.Atoi(status)
	c.server.count(func(n *Counts) {
		n.Connects++
		n.Handshakes = append(n.Handshakes, shake)
	})
	c.mu.Lock()
	c.streams[id] = nil
	c.mu.Unlock()
	if c.origin.Delay == 0 {
		c.answer(id, answer, shake.Status)
		return
	}
	c.server.running.Go(func() {
		if c.pause(c.origin.Delay) {
			c.answer(id, answer, shake.Status)
		}
	})
}

func (c *http2Conn) answer(id uint32, answer string, status int) {
	if status/100 == 2 && !strings.Contains(answer, "END_STREAM") {
		c.server.count(func(n *Counts) { n.WebSockets++ })
		c.mu.Lock()
		c.streams[id] = new(webSocket)
		c.mu.Unlock()
	}
	c.send(answer, id)
}

func (c *http2Conn) recvData(h wire.FrameHeader, p []byte) {
	c.mu.Lock()
	ws, asked := c.streams[h.StreamID]
	c.mu.Unlock()
	if ws == nil {
		if asked && h.Length > 0 {
			c.server.count(func(n *Counts) { n.EarlyData++ })
		}
		return
	}
	out, over := ws.take(p)
	if len(out) > 0 {
		c.send(fmt.Sprintf("DATA stream=%d %q%s\n", h.StreamID, out, map[bool]string{true: " END_STREAM"}[over]), h.StreamID)
	}
}

// parseFields takes the field lines out of frames in the notation. Pseudo-header fields keep their names: ":path".
func parseFields(text string) http.Header {
	fields := make(http.Header)
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(line, "  ")
		if !ok {
			continue
		}
		if i := strings.Index(line[1:], ":"); i >= 0 {
			fields.Add(line[:i+1], strings.TrimSpace(line[i+2:]))
		}
	}
	return fields
}
