package interop

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/weftws/weft"
)

// gorilla compresses without context takeover only. Its clients send what exceeds their write buffer in fragments.
var gorillaLibrary = library{
	name: "gorilla", dialDeflate: []string{"no-takeover"}, acceptDeflate: []string{"no-takeover", "takeover"},
	dial: func(t *testing.T, ladder *weft.Dialer, url string, o offer) socket {
		t.Helper()
		d := websocket.Dialer{Subprotocols: o.subprotocols, EnableCompression: o.deflate != "", WriteBufferSize: 1000, HandshakeTimeout: patience}
		if ladder != nil {
			d.NetDialTLSContext, d.NetDialContext = ladder.NetDialTLSContext, ladder.NetDialContext
		}
		c, resp, err := d.DialContext(t.Context(), url, nil)
		if err != nil {
			t.Fatalf("gorilla: Dial: %v", err)
		}
		t.Cleanup(func() { c.Close() })
		return &gorillaSocket{c, resp.Header.Get("Sec-Websocket-Extensions") != ""}
	},
	accept: func(w http.ResponseWriter, r *http.Request, deflate string) (socket, error) {
		up := websocket.Upgrader{Subprotocols: []string{"first", "second"}, EnableCompression: deflate != "", HandshakeTimeout: patience}
		c, err := up.Upgrade(w, r, nil)
		return &gorillaSocket{c, deflate != ""}, err
	},
}

type gorillaSocket struct {
	c       *websocket.Conn
	deflate bool
}

func gorillaType(text bool) int {
	if text {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

func (s *gorillaSocket) send(text bool, p []byte) error {
	s.c.SetWriteDeadline(time.Now().Add(patience))
	return s.c.WriteMessage(gorillaType(text), p)
}

func (s *gorillaSocket) sendFragments(text bool, parts ...[]byte) error {
	s.c.SetWriteDeadline(time.Now().Add(patience))
	w, err := s.c.NextWriter(gorillaType(text))
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

func (s *gorillaSocket) receive() (bool, []byte, error) {
	s.c.SetReadDeadline(time.Now().Add(patience))
	typ, p, err := s.c.ReadMessage()
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
		s.c.Close() // as every handler does in the end; a browser waits for it
		err = &closed{ce.Code, ce.Text}
	}
	return typ == websocket.TextMessage, p, err
}

func (s *gorillaSocket) close(code int, reason string) error {
	defer s.c.Close()
	err := s.c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
	if err != nil {
		return err
	}
	return untilClosed(s, code)
}

// untilClosed reads until the peer's Close frame, whose code must be want.
func untilClosed(s socket, want int) error {
	for {
		_, _, err := s.receive()
		if c, ok := errors.AsType[*closed](err); ok && c.code == want {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *gorillaSocket) subprotocol() string { return s.c.Subprotocol() }
func (s *gorillaSocket) compressed() bool    { return s.deflate }
