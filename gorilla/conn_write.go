package websocket

import (
	"compress/flate"
	"errors"
	"io"
	"os"
	"time"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/transport"
)

// WriteMessage sends data as one message, of any type; data is the caller's again. It waits while the peer or the network takes no
// more, until the write deadline. Errors are for good: [ErrCloseSent] after a Close frame, a timeout, the connection's.
func (c *Conn) WriteMessage(messageType int, data []byte) error {
	if err := c.begin(messageType); err != nil {
		return err
	}
	op := frame.Opcode(messageType)
	if op.IsControl() {
		return c.writeControl(op, data, c.writeDeadline)
	}
	return c.writeFrame(op, data, true, c.compresses())
}

// NextWriter starts a message, of any type, that is sent when the writer is closed, and in fragments before that where it is larger than
// WriteBufferSize; a control frame may have 125 bytes. A writer that was not closed is closed.
//
// Besides io.WriteCloser the writer is an io.ReaderFrom and an io.StringWriter.
func (c *Conn) NextWriter(messageType int) (io.WriteCloser, error) {
	if err := c.begin(messageType); err != nil {
		return nil, err
	}
	w := &messageWriter{c: c, op: frame.Opcode(messageType), size: c.writeSize, compress: c.compresses()}
	if w.op.IsControl() {
		w.size = frame.MaxControlPayload
	}
	c.writer = w
	return w, nil
}

// begin ends the message before and says why there can be no other.
func (c *Conn) begin(messageType int) error {
	if c.writer != nil {
		c.writer.Close()
		c.writer = nil
	}
	if !isMessageType(messageType) {
		return errBadMessageType
	}
	return c.writeError()
}

func isMessageType(t int) bool { return t == TextMessage || t == BinaryMessage || isControl(t) }

func isControl(t int) bool { return t == CloseMessage || t == PingMessage || t == PongMessage }

// A messageWriter is a message that is being written.
type messageWriter struct {
	c        *Conn
	op       frame.Opcode // of the next frame: Continuation once the message has begun
	compress bool
	size     int
	buf      []byte // not sent yet; at most size bytes
	err      error
}

// Write implements io.Writer.
func (w *messageWriter) Write(p []byte) (int, error) {
	if w.err == nil && len(p) > 2*w.size && !w.op.IsControl() {
		// No use in copying it to the buffer piece by piece.
		if len(w.buf) > 0 {
			w.flush(w.buf, false)
		}
		if w.flush(p, false); w.err != nil {
			return 0, w.err
		}
		return len(p), nil
	}
	total := len(p)
	for len(p) > 0 {
		room, err := w.room()
		if err != nil {
			return 0, err
		}
		n := copy(room, p)
		w.buf = w.buf[:len(w.buf)+n]
		p = p[n:]
	}
	return total, w.err
}

// WriteString implements io.StringWriter.
func (w *messageWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom implements io.ReaderFrom.
func (w *messageWriter) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		room, err := w.room()
		if err != nil {
			return total, err
		}
		n, err := r.Read(room)
		w.buf = w.buf[:len(w.buf)+n]
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Close ends the message.
func (w *messageWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	w.flush(w.buf, true)
	if w.err != errWriterClosed {
		return w.err
	}
	return nil
}

// room is the part of the buffer that is free, after it was sent if there was none.
func (w *messageWriter) room() ([]byte, error) {
	if w.err == nil && w.buf == nil {
		w.buf = transport.GetBuffer(w.size)
	}
	if len(w.buf) == w.size {
		w.flush(w.buf, false)
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.buf[len(w.buf):w.size:w.size], nil
}

// flush sends p as a frame.
func (w *messageWriter) flush(p []byte, fin bool) {
	if w.err != nil {
		return
	}
	switch {
	case !w.op.IsControl():
		w.err = w.c.writeFrame(w.op, p, fin, w.compress)
	case fin:
		w.err = w.c.writeControl(w.op, p, w.c.writeDeadline)
	default:
		w.err = errLongControl
	}
	w.op, w.buf = frame.Continuation, w.buf[:0]
	if fin && w.err == nil {
		w.err = errWriterClosed
	}
	if w.err != nil {
		if w.c.writer == w {
			w.c.writer = nil
		}
		if w.buf != nil {
			transport.PutBuffer(w.buf)
			w.buf = nil
		}
	}
}

// enter takes the lock for sending on behalf of the one writer.
func (c *Conn) enter() error {
	if c.busy.Swap(true) {
		panic("concurrent write to websocket connection")
	}
	c.sending <- struct{}{}
	err := c.writeError()
	if err != nil {
		c.leave()
	}
	return err
}

func (c *Conn) leave() {
	c.unlock()
	c.busy.Store(false)
}

// writeFrame sends a frame of a message.
func (c *Conn) writeFrame(op frame.Opcode, p []byte, fin, compress bool) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	var scratch []byte
	var key [4]byte
	if c.side == frame.Client {
		key = c.maskKey()
		scratch = transport.GetBuffer(len(p))
	} else if compress {
		scratch = transport.GetBuffer(len(p)/2 + 64)
	}
	head, body, scratch := c.send.Message(scratch, op, p, fin, compress, key)
	c.setDeadline(c.writeDeadline)
	_, err := c.stream.Send(head, body)
	if scratch != nil {
		transport.PutBuffer(scratch)
	}
	if err != nil {
		return c.writeFailed(err)
	}
	return nil
}

// WriteControl sends a Close, Ping or Pong frame with at most 125 bytes of data by deadline; the zero time means none. It may
// stand between the fragments of a message.
func (c *Conn) WriteControl(messageType int, data []byte, deadline time.Time) error {
	if !isControl(messageType) {
		return errBadMessageType
	}
	return c.writeControl(frame.Opcode(messageType), data, deadline)
}

// writeControl sends a control frame.
//
// Choice: the payload of a Close frame goes out as it is, right or wrong; so it does with gorilla.
func (c *Conn) writeControl(op frame.Opcode, payload []byte, deadline time.Time) error {
	if len(payload) > frame.MaxControlPayload {
		return errLongControl
	}
	if !c.lockBy(deadline) {
		return errWriteTimeout
	}
	defer c.unlock()
	if err := c.writeError(); err != nil {
		return err
	}
	h := frame.Header{Fin: true, Opcode: op, Masked: c.side == frame.Client, Length: int64(len(payload))}
	if h.Masked {
		h.Key = c.maskKey()
	}
	var room [frame.MaxHeaderLen + frame.MaxControlPayload]byte
	p := frame.AppendHeader(room[:0], h)
	n := len(p)
	p = append(p, payload...)
	if h.Masked {
		frame.Mask(p[n:], h.Key, 0)
	}
	// What waits for room in the queue does not hold up a control frame, as a rule.
	if !c.stream.TrySend(p) {
		c.setDeadline(deadline)
		if sent, err := c.stream.Send(p, nil); err != nil {
			if sent == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
				return errWriteTimeout
			}
			return c.writeFailed(err)
		}
	}
	if op == frame.Close {
		c.failWrites(ErrCloseSent)
	}
	return nil
}

// lockBy takes the lock for sending; false: the deadline came first.
func (c *Conn) lockBy(deadline time.Time) bool {
	if deadline.IsZero() {
		c.sending <- struct{}{}
		return true
	}
	wait := time.Until(deadline)
	if wait < 0 {
		return false
	}
	select {
	case c.sending <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case c.sending <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (c *Conn) unlock() { <-c.sending }

// setDeadline is called with the lock for sending held.
func (c *Conn) setDeadline(t time.Time) {
	if !t.IsZero() || !c.deadline.IsZero() {
		c.stream.SetWriteDeadline(t)
		c.deadline = t
	}
}

func (c *Conn) writeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writeErr
}

func (c *Conn) writeFailed(err error) error {
	if err == transport.ErrOverBudget {
		c.stream.Abort()
		c.overBudget()
	}
	return c.failWrites(c.lasting("write", err))
}

// failWrites makes err what every write returns from now on, unless there is one already.
func (c *Conn) failWrites(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writeErr == nil {
		c.writeErr = err
	}
	return err
}

// defaultLevel is gorilla's. Levels matter only in that 0 is none.
const defaultLevel = flate.BestSpeed

// compresses reports whether the next message is to be compressed.
func (c *Conn) compresses() bool {
	return c.deflate != nil && !c.plain && c.level != flate.NoCompression
}

// EnableWriteCompression says whether messages that begin from now on are compressed, where that was agreed on; the default is yes.
func (c *Conn) EnableWriteCompression(enable bool) { c.plain = !enable }

// SetCompressionLevel takes a level of compress/flate (-2 to 9). 0 sends messages uncompressed; the others are all the same here.
func (c *Conn) SetCompressionLevel(level int) error {
	if level < flate.HuffmanOnly || level > flate.BestCompression {
		return errors.New("websocket: invalid compression level")
	}
	c.level = level
	return nil
}
