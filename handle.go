package weft

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// A Handler gets what happens on a Conn, one call at a time. Calls come on the goroutine that reads the connection: a call
// that blocks holds up this WebSocket, and no other; one that panics is logged and costs this WebSocket (StatusInternalError).
type Handler interface {
	// OnMessage gets a message; p is valid, and the callee's to change, until it returns.
	OnMessage(c *Conn, typ MessageType, p []byte)
	// OnClose is the last call: the WebSocket is over. err is what Read would have returned.
	OnClose(c *Conn, err error)
}

// HandlerFuncs is a [Handler] made of functions; either may be nil.
type HandlerFuncs struct {
	Message func(c *Conn, typ MessageType, p []byte)
	Close   func(c *Conn, err error)
}

// OnMessage calls f.Message.
func (f HandlerFuncs) OnMessage(c *Conn, typ MessageType, p []byte) {
	if f.Message != nil {
		f.Message(c, typ, p)
	}
}

// OnClose calls f.Close.
func (f HandlerFuncs) OnClose(c *Conn, err error) {
	if f.Close != nil {
		f.Close(c, err)
	}
}

// Handle switches the Conn to callbacks and returns. From then on it needs no goroutine of its own (over HTTP/1.1 one), Pings
// are answered and the Close handshake is taken part in without a reader, and Read and Reader fail. What was received and not
// read comes first. A second Handle panics.
func (c *Conn) Handle(h Handler) {
	if c.handled.Swap(true) {
		panic("weft: Handle called twice on one Conn")
	}
	if err := c.reading.lock(context.Background()); err != nil {
		return // cannot be: the context has no end
	}
	c.reader = nil
	c.setMode(true, false)
	c.tie(readDeadline, context.Background())
	// reading stays held: from here on the transport's one call at a time takes its place.
	in := inbox{c: c, h: h}
	if f := c.in; f != nil && len(f.rest) > 0 {
		rest := f.rest
		f.rest = nil
		in.receive(rest, nil)
	}
	if !c.over {
		c.stream.Handle(func(p []byte, err error) { in.receive(p, err) })
	}
}

// An inbox turns the transport's callbacks into the Handler's.
type inbox struct {
	c *Conn
	h Handler
}

func (in inbox) receive(p []byte, err error) {
	c := in.c
	if c.over {
		return
	}
	defer in.recoverPanic()
	if err != nil {
		in.end(c.recvEnd(err))
		return
	}
	c.hear()
	if c.in == nil {
		if p = in.receiveSingles(p); len(p) == 0 {
			c.reading.settle()
			return
		}
	}
	f := c.inflow()
	f.MaxMessageBytes = c.readLimit.Load()
	for len(p) > 0 {
		ev, n := f.Recv(p)
		p = p[n:]
		c.noteFrame(&ev)
		if ev.Kind == proto.Message {
			if len(p) == 0 {
				c.drained()
			}
			if !c.sendEnded.Load() {
				in.deliver(MessageType(ev.Opcode), ev.Payload)
			}
			continue
		}
		if err := c.recvControl(ev); err != nil {
			in.end(err)
			return
		}
	}
	if err := c.account(); err != nil {
		in.end(err)
		return
	}
	c.restInflow()
	c.reading.settle()
}

// receiveSingles is receive for messages that need no inflow. It returns what comes after them.
func (in inbox) receiveSingles(p []byte) []byte {
	c := in.c
	for len(p) > 0 {
		op, payload, n := proto.Single(c.opt.side, c.readLimit.Load(), p, false)
		if n == 0 {
			break
		}
		p = p[n:]
		c.noteSingle(len(payload))
		if len(p) == 0 {
			c.drained()
		}
		if !c.sendEnded.Load() {
			in.deliver(MessageType(op), payload)
		}
	}
	return p
}

// deliver gives the Handler a message.
func (in inbox) deliver(typ MessageType, p []byte) {
	in.h.OnMessage(in.c, typ, p)
	if in.c.sendEnded.Load() {
		in.c.excuse()
	}
}

// drained tells the stream that what it gave us has been used up.
func (c *Conn) drained() {
	if s, ok := c.stream.(transport.DrainStream); ok {
		s.Drained()
	}
}

// recoverPanic keeps a panic in a callback from ending the process, as http.Server does for handlers: it is logged, and costs the
// WebSocket (1011).
func (in inbox) recoverPanic() {
	v := recover()
	if v == nil {
		return
	}
	in.c.opt.registry.logf("weft: panic in a callback of the WebSocket with %v: %v\n%s", in.c.stream.Info().RemoteAddr, v, debug.Stack())
	if in.c.over { // it was OnClose
		return
	}
	defer in.recoverPanic()
	err := fmt.Errorf("weft: panic in a callback: %v", v)
	in.c.setErr(err)
	if in.c.claimClose(StatusInternalError, "") {
		go in.c.finishClose(StatusInternalError, "")
	}
	in.end(err)
}

func (in inbox) end(err error) {
	in.c.over = true
	in.c.endInflow()
	in.c.observeClosed()
	in.h.OnClose(in.c, err)
}
