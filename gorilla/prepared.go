package websocket

import (
	"bytes"
	"sync"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
	"github.com/weftws/weft/internal/transport"
)

// A PreparedMessage is a message for many connections: it is encoded once, and compressed once, however many it is sent to. Safe for
// concurrent use.
type PreparedMessage struct {
	messageType int
	data        []byte

	mu     sync.Mutex
	frames map[int]*proto.Prepared // by window bits; 0: not compressed
}

// NewPreparedMessage prepares a message of any type. It keeps a copy of data.
func NewPreparedMessage(messageType int, data []byte) (*PreparedMessage, error) {
	if !isMessageType(messageType) {
		return nil, errBadMessageType
	}
	if isControl(messageType) && len(data) > frame.MaxControlPayload {
		return nil, errLongControl
	}
	return &PreparedMessage{messageType: messageType, data: bytes.Clone(data), frames: make(map[int]*proto.Prepared)}, nil
}

// WritePreparedMessage sends pm as WriteMessage does.
func (c *Conn) WritePreparedMessage(pm *PreparedMessage) error {
	if isControl(pm.messageType) {
		return c.WriteMessage(pm.messageType, pm.data)
	}
	if err := c.begin(pm.messageType); err != nil {
		return err
	}
	bits := 0
	if c.compresses() {
		bits = c.send.WindowBits()
	}
	m := pm.frame(bits)
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	var scratch []byte
	var key [4]byte
	if c.side == frame.Client {
		key = c.maskKey()
		scratch = transport.GetBuffer(m.Len())
	}
	f, scratch := c.send.Prepared(scratch, m, key)
	c.setDeadline(c.writeDeadline)
	_, err := c.stream.Send(f, nil)
	transport.PutBuffer(scratch)
	if err != nil {
		return c.writeFailed(err)
	}
	c.send.SentPrepared(m)
	return nil
}

func (pm *PreparedMessage) frame(bits int) *proto.Prepared {
	pm.mu.Lock()
	defer pm.mu.Unlock()
	m := pm.frames[bits]
	if m == nil {
		m = proto.Prepare(frame.Opcode(pm.messageType), pm.data, bits)
		pm.frames[bits] = m
	}
	return m
}
