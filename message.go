package weft

import (
	"fmt"

	"github.com/weftws/weft/internal/frame"
)

// MessageType says what a message carries. RFC 6455, Section 5.6.
type MessageType int

const (
	// MessageText is UTF-8 text. Both sides check it.
	MessageText MessageType = MessageType(frame.Text)
	// MessageBinary is bytes.
	MessageBinary MessageType = MessageType(frame.Binary)
)

// String returns "text" or "binary".
func (t MessageType) String() string {
	switch t {
	case MessageText:
		return "text"
	case MessageBinary:
		return "binary"
	}
	return fmt.Sprintf("MessageType(%d)", int(t))
}

func (t MessageType) check() error {
	if t != MessageText && t != MessageBinary {
		return fmt.Errorf("weft: message type %d is neither MessageText (1) nor MessageBinary (2)", int(t))
	}
	return nil
}

// CompressionMode says whether permessage-deflate (RFC 7692) is offered or accepted.
type CompressionMode int

const (
	// CompressionDisabled: permessage-deflate is neither offered nor accepted.
	CompressionDisabled CompressionMode = iota
	// CompressionContextTakeover keeps a window between messages, for each direction in which it was agreed: better
	// compression for 4 KiB a direction and connection (window bits 12).
	CompressionContextTakeover
	// CompressionNoContextTakeover compresses every message by itself; an idle connection holds nothing.
	CompressionNoContextTakeover
)

// defaultCompressionThreshold is the size in bytes from which messages are compressed: below it DEFLATE rarely pays.
func (m CompressionMode) threshold(set int) int {
	switch {
	case set > 0:
		return set
	case m == CompressionContextTakeover:
		return 128
	default:
		return 512
	}
}
