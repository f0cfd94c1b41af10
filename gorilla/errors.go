package websocket

import (
	"errors"
	"io"
	"net"

	"github.com/weftws/weft/internal/h2/h2net"
)

// ErrBadHandshake is what a Dial returns, with the response, when the server did not open a WebSocket.
var ErrBadHandshake = errors.New("websocket: bad handshake")

// ErrCloseSent is what writing returns after a Close frame was sent.
var ErrCloseSent = errors.New("websocket: close sent")

// ErrReadLimit is what reading returns when a message exceeded [Conn.SetReadLimit].
var ErrReadLimit = errors.New("websocket: read limit exceeded")

var (
	errBadMessageType = errors.New("websocket: bad write message type")
	errWriterClosed   = errors.New("websocket: write closed")
	errLongControl    = errors.New("websocket: invalid control frame")
	errMalformedURL   = errors.New("malformed ws or wss URL")
	errWriteTimeout   = &netError{err: errors.New("websocket: write timeout"), timeout: true, temporary: true}
)

// A HandshakeError says what was wrong with a client's request.
type HandshakeError struct{ message string }

func (e HandshakeError) Error() string { return e.message }

// A netError is a net.Error that says of itself whether it is temporary.
type netError struct {
	err                error
	timeout, temporary bool
}

func (e *netError) Error() string   { return e.err.Error() }
func (e *netError) Unwrap() error   { return e.err }
func (e *netError) Timeout() bool   { return e.timeout }
func (e *netError) Temporary() bool { return e.temporary }

// lost turns how the stream ended into what reading returns for good.
func (c *Conn) lost(err error) error {
	_, reset := errors.AsType[*h2net.StreamError](err)
	if reset || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &CloseError{Code: CloseAbnormalClosure, Text: io.ErrUnexpectedEOF.Error()}
	}
	return c.lasting("read", err)
}

// lasting makes an error of the connection's of err, as package net does, and one that is not temporary: it will not go away.
func (c *Conn) lasting(op string, err error) error {
	if _, ok := err.(*net.OpError); !ok {
		err = c.opError(op, err)
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return &netError{err: err, timeout: e.Timeout()}
	}
	return err
}

func (c *Conn) opError(op string, err error) error {
	info := c.stream.Info()
	return &net.OpError{Op: op, Net: "tcp", Source: info.LocalAddr, Addr: info.RemoteAddr, Err: err}
}
