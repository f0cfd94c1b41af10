package websocket

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/weftws/weft/internal/proto"
)

// noMessage is the message type that goes with an error.
const noMessage = -1

// ReadMessage returns the next message, whole; p is the caller's. It waits until there is one. Its errors are NextReader's.
func (c *Conn) ReadMessage() (messageType int, p []byte, err error) {
	ev, err := c.nextMessage(true)
	if err != nil {
		return noMessage, nil, err
	}
	return int(ev.Opcode), append(make([]byte, 0, len(ev.Payload)), ev.Payload...), nil
}

// NextReader returns the next message as it arrives, and waits until it begins; what is left of the message before is
// discarded. A compressed message comes when all of it is there.
//
// An error is for good: a *CloseError when the peer closed the WebSocket or the connection ended (1006), [ErrReadLimit], what a
// handler returned, a timeout, or the connection's. The thousandth call after an error panics.
func (c *Conn) NextReader() (messageType int, r io.Reader, err error) {
	ev, err := c.nextMessage(false)
	if err != nil {
		return noMessage, nil, err
	}
	c.reader = &messageReader{c: c, chunk: ev.Payload}
	return int(ev.Opcode), c.reader, nil
}

// nextMessage returns the next message, or the first chunk of it, after what is left of the one before.
func (c *Conn) nextMessage(whole bool) (ev proto.Event, err error) {
	c.reader = nil
	for c.inside && err == nil {
		_, err = c.nextEvent()
	}
	if err == nil {
		c.recv.Whole = whole
		ev, err = c.nextEvent()
	}
	if err == nil {
		return ev, nil
	}
	c.readFailures++
	if c.readFailures >= 1000 {
		// A loop that does not end at an error would take a processor for good.
		panic("repeated read on failed websocket connection")
	}
	return ev, err
}

// A messageReader is the message that is being read.
type messageReader struct {
	c     *Conn
	chunk []byte // valid while c.reader is this
}

func (r *messageReader) Read(p []byte) (int, error) {
	c := r.c
	if c.reader != r {
		return 0, io.EOF
	}
	for len(r.chunk) == 0 {
		if !c.inside {
			c.reader = nil
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		ev, err := c.nextEvent()
		if err != nil {
			return 0, err
		}
		r.chunk = ev.Payload
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// nextEvent returns the next Message or Chunk, whose payload is valid until the next call, and deals with everything else.
func (c *Conn) nextEvent() (proto.Event, error) {
	for c.readErr == nil {
		for len(c.rest) > 0 && c.readErr == nil {
			ev, n := c.recv.Recv(c.rest)
			c.rest = c.rest[n:]
			if ev.Kind != proto.NeedMore && c.confirm != nil {
				if ev.Kind != proto.Failed {
					c.confirm()
				}
				c.confirm = nil
			}
			if ev.Kind == proto.Message || ev.Kind == proto.Chunk {
				c.inside = ev.Kind == proto.Chunk && !ev.Last
				return ev, nil
			}
			c.readErr = c.recvControl(ev)
		}
		if c.readErr != nil {
			break
		}
		p, err := c.stream.Receive()
		if err != nil {
			c.readErr = c.lost(err)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.gone()
			}
		}
		c.rest = p
	}
	c.rest = nil
	c.recv.Close()
	return proto.Event{}, c.readErr
}

// recvControl deals with an event that is no data.
func (c *Conn) recvControl(ev proto.Event) error {
	switch ev.Kind {
	case proto.Ping:
		return c.handlePing(string(ev.Payload))
	case proto.Pong:
		return c.handlePong(string(ev.Payload))
	case proto.Close:
		c.closeReceived.Store(true)
		if err := c.handleClose(int(ev.Code), ev.Reason); err != nil {
			return err
		}
		return &CloseError{Code: int(ev.Code), Text: ev.Reason}
	case proto.Failed:
		text := ev.Violation.Name
		if ev.Violation == proto.MessageTooBig {
			text = ""
		}
		c.WriteControl(CloseMessage, FormatCloseMessage(int(ev.Violation.Code), text), time.Now().Add(controlWait))
		if ev.Violation == proto.MessageTooBig {
			return ErrReadLimit
		}
		return errors.New("websocket: " + ev.Detail)
	}
	return nil
}

// SetReadLimit sets how many bytes a message may have, counted after inflating; 0, the default, means no limit. A larger one ends
// reading with [ErrReadLimit], and the peer gets a Close frame with 1009.
func (c *Conn) SetReadLimit(limit int64) { c.recv.MaxMessageBytes = limit }

// PingHandler returns the handler for Pings.
func (c *Conn) PingHandler() func(appData string) error { return c.handlePing }

// SetPingHandler sets what is called, inside the reading call, with the payload of each Ping; nil: the default, which sends a Pong
// within a second. An error of h's ends reading.
func (c *Conn) SetPingHandler(h func(appData string) error) {
	if h == nil {
		h = c.sendPong
	}
	c.handlePing = h
}

// sendPong answers a Ping. "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received
// a Close frame." RFC 6455, Section 5.5.2.
func (c *Conn) sendPong(payload string) error {
	err := c.WriteControl(PongMessage, []byte(payload), time.Now().Add(controlWait))
	if e, ok := errors.AsType[*netError](err); ok && e.temporary || err == ErrCloseSent {
		return nil
	}
	return err
}

// PongHandler returns the handler for Pongs.
func (c *Conn) PongHandler() func(appData string) error { return c.handlePong }

// SetPongHandler sets what is called, inside the reading call, with the payload of each Pong; nil: the default, which does
// nothing. An error of h's ends reading.
func (c *Conn) SetPongHandler(h func(appData string) error) {
	if h == nil {
		h = func(string) error { return nil }
	}
	c.handlePong = h
}

// CloseHandler returns the handler for the peer's Close frame.
func (c *Conn) CloseHandler() func(code int, text string) error { return c.handleClose }

// SetCloseHandler sets what is called, inside the reading call, with the peer's Close frame; nil: the default, which sends one
// back with the same code. The reading call then returns h's error, or a *CloseError where that is nil.
func (c *Conn) SetCloseHandler(h func(code int, text string) error) {
	if h == nil {
		h = c.sendClose
	}
	c.handleClose = h
}

// sendClose answers a Close frame. "When sending a Close frame in response, the endpoint typically echos the status code it
// received." RFC 6455, Section 5.5.1.
func (c *Conn) sendClose(code int, _ string) error {
	c.WriteControl(CloseMessage, FormatCloseMessage(code, ""), time.Now().Add(controlWait))
	return nil
}
