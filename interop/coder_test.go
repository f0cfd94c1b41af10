package interop

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/weftws/weft"
)

var coderLibrary = library{
	name: "coder", dialDeflate: []string{"takeover", "no-takeover"}, acceptDeflate: []string{"takeover", "no-takeover"},
	dial: func(t *testing.T, d *weft.Dialer, url string, o offer) socket {
		t.Helper()
		opts := &websocket.DialOptions{Subprotocols: o.subprotocols, CompressionMode: coderMode(o.deflate)}
		if d != nil {
			opts.HTTPClient = &http.Client{Transport: &weft.Transport{Dialer: d}}
		}
		// The context ends with the dial, as it does for many callers.
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, resp, err := websocket.Dial(ctx, url, opts)
		if err != nil {
			t.Fatalf("coder: Dial: %v", err)
		}
		t.Cleanup(func() { c.CloseNow() })
		c.SetReadLimit(8 << 20)
		return &coderSocket{c, resp.Header.Get("Sec-Websocket-Extensions") != ""}
	},
	accept: func(w http.ResponseWriter, r *http.Request, deflate string) (socket, error) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"first", "second"}, CompressionMode: coderMode(deflate),
		})
		if err != nil {
			return nil, err
		}
		c.SetReadLimit(8 << 20)
		return &coderSocket{c, strings.Contains(w.Header().Get("Sec-Websocket-Extensions"), "permessage-deflate")}, nil
	},
}

func coderMode(name string) websocket.CompressionMode {
	switch name {
	case "takeover":
		return websocket.CompressionContextTakeover
	case "no-takeover":
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

type coderSocket struct {
	c       *websocket.Conn
	deflate bool
}

func coderType(text bool) websocket.MessageType {
	if text {
		return websocket.MessageText
	}
	return websocket.MessageBinary
}

func (s *coderSocket) send(text bool, p []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.c.Write(ctx, coderType(text), p)
}

func (s *coderSocket) sendFragments(text bool, parts ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, err := s.c.Writer(ctx, coderType(text))
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

func (s *coderSocket) receive() (bool, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	typ, p, err := s.c.Read(ctx)
	if ce, ok := errors.AsType[websocket.CloseError](err); ok {
		err = &closed{int(ce.Code), ce.Reason}
	}
	return typ == websocket.MessageText, p, err
}

func (s *coderSocket) close(code int, reason string) error {
	return s.c.Close(websocket.StatusCode(code), reason)
}
func (s *coderSocket) subprotocol() string { return s.c.Subprotocol() }
func (s *coderSocket) compressed() bool    { return s.deflate }
