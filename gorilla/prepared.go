package websocket

import (
	"bytes"
	"sync"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
)

// A PreparedMessage is a message for many connections of a server: it is encoded once, and compressed once, however many it is
// sent to. Each of a client's frames has its own masking key (RFC 6455, Section 5.3), so that clients gain nothing. Safe for
// concurrent use.
type PreparedMessage struct {
	messageType int
	data        []byte

	mu     sync.Mutex
	frames map[int][]byte // by window bits; 0: not compressed
}

// NewPreparedMessage prepares a message of any type. It keeps a copy of data.
func NewPreparedMessage(messageType int, data []byte) (*PreparedMessage, error) {
	if !isMessageType(messageType) {
		return nil, errBadMessageType
	}
	if isControl(messageType) && len(data) > frame.MaxControlPayload {
		return nil, errLongControl
	}
	return &PreparedMessage{messageType: messageType, data: bytes.Clone(data), frames: make(map[int][]byte)}, nil
}

// WritePreparedMessage sends pm as WriteMessage does.
func (c *Conn) WritePreparedMessage(pm *PreparedMessage) error {
	if c.side == frame.Client || isControl(pm.messageType) {
		return c.WriteMessage(pm.messageType, pm.data)
	}
	if err := c.begin(pm.messageType); err != nil {
		return err
	}
	bits := 0
	if c.compresses() {
		if !c.deflate.ServerNoContextTakeover {
			return c.WriteMessage(pm.messageType, pm.data)
		}
		bits = c.deflate.ServerMaxWindowBits
	}
	return c.writeEncoded(pm.frame(bits))
}

// frame is the message as a server's frame.
func (pm *PreparedMessage) frame(bits int) []byte {
	pm.mu.Lock()
	defer pm.mu.Unlock()
	if f := pm.frames[bits]; f != nil {
		return f
	}
	cfg := proto.Config{Side: frame.Server}
	if bits > 0 {
		cfg.Deflate = &deflate.Params{ServerNoContextTakeover: true, ServerMaxWindowBits: bits}
	}
	head, n, body, _ := proto.NewSender(cfg).Message(nil, frame.Opcode(pm.messageType), pm.data, true, bits > 0, [4]byte{})
	f := append(head[:n:n], body...)
	pm.frames[bits] = f
	return f
}
