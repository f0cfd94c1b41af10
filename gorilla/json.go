package websocket

import (
	"bytes"
	"encoding/json"
	"io"
)

// WriteJSON sends the JSON of v, with a line break behind it, as one text message. If v cannot be encoded, nothing is sent.
func (c *Conn) WriteJSON(v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	return c.WriteMessage(TextMessage, b.Bytes())
}

// ReadJSON decodes the next message, of either type, into v; what follows the first JSON value is not looked at. An empty
// message is io.ErrUnexpectedEOF.
func (c *Conn) ReadJSON(v any) error {
	_, r, err := c.NextReader()
	if err != nil {
		return err
	}
	err = json.NewDecoder(r).Decode(v)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteJSON is c.WriteJSON.
//
// Deprecated: use [Conn.WriteJSON].
func WriteJSON(c *Conn, v any) error { return c.WriteJSON(v) }

// ReadJSON is c.ReadJSON.
//
// Deprecated: use [Conn.ReadJSON].
func ReadJSON(c *Conn, v any) error { return c.ReadJSON(v) }
