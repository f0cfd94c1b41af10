package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weftws/weft"
)

// echoLimit is the largest message that /echo takes, in bytes after inflating.
const echoLimit = 16 << 20

// serveEcho sends every message back.
func (s *site) serveEcho(w http.ResponseWriter, r *http.Request) {
	api := r.URL.Query().Get("api")
	if api != "" && api != "callbacks" && api != "blocking" {
		http.Error(w, fmt.Sprintf("api is %q; it may be callbacks (the default) or blocking", api), http.StatusBadRequest)
		return
	}
	c := s.accept(w, r, weft.AcceptOptions{
		AllowEarlyData:  true, // an echo does no harm twice
		Subprotocols:    []string{"echo"},
		CompressionMode: weft.CompressionNoContextTakeover,
	})
	if c == nil {
		return
	}
	c.SetReadLimit(echoLimit)
	if api == "blocking" {
		c.ended(c.echoBlocking())
		return
	}
	c.Handle(echoHandler{c}) // the WebSocket outlives this handler and needs no goroutine
}

// echoHandler answers on the goroutine that reads the connection.
type echoHandler struct{ *session }

func (h echoHandler) OnMessage(_ *weft.Conn, typ weft.MessageType, p []byte) {
	h.in.Add(1)
	h.send(typ, p) // an error is the WebSocket's end, which OnClose is told
}

func (h echoHandler) OnClose(_ *weft.Conn, err error) { h.ended(err) }

// echoBlocking answers on its own goroutine until the WebSocket ends.
func (s *session) echoBlocking() error {
	defer s.CloseNow()
	for {
		typ, p, err := s.Read(context.Background())
		if err != nil {
			return err
		}
		s.in.Add(1)
		if err := s.send(typ, p); err != nil {
			return err
		}
	}
}
