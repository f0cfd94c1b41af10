package interop

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/weftws/weft"
)

// gws calls back; its Close does not wait for the peer's.
var gwsLibrary = library{
	name: "gws", noFragments: true,
	dialDeflate: []string{"takeover", "no-takeover"}, acceptDeflate: []string{"takeover", "no-takeover"},
	dial: func(t *testing.T, d *weft.Dialer, url string, o offer) socket {
		t.Helper()
		s := newGWSSocket()
		h := http.Header{}
		if o.subprotocols != nil {
			h.Set("Sec-WebSocket-Protocol", strings.Join(o.subprotocols, ", "))
		}
		opt := &gws.ClientOption{
			Addr: url, RequestHeader: h, PermessageDeflate: gwsDeflate(o.deflate), CheckUtf8Enabled: true, HandshakeTimeout: patience,
		}
		dial := gws.NewClient
		if d != nil {
			dial = func(h gws.Event, opt *gws.ClientOption) (*gws.Conn, *http.Response, error) {
				nc, err := netDial(t.Context(), d, url)
				if err != nil {
					return nil, nil, err
				}
				return gws.NewClientFromConn(h, opt, nc)
			}
		}
		c, resp, err := dial(s, opt)
		if err != nil {
			t.Fatalf("gws: NewClient: %v", err)
		}
		t.Cleanup(func() { c.NetConn().Close() })
		s.c, s.deflate = c, resp.Header.Get("Sec-Websocket-Extensions") != ""
		go c.ReadLoop()
		return s
	},
	accept: func(w http.ResponseWriter, r *http.Request, deflate string) (socket, error) {
		s := newGWSSocket()
		opt := &gws.ServerOption{PermessageDeflate: gwsDeflate(deflate), CheckUtf8Enabled: true}
		if r.Header.Get("Sec-WebSocket-Protocol") != "" {
			opt.SubProtocols = []string{"first", "second"} // gws refuses clients that offer none of them
		}
		up := gws.NewUpgrader(s, opt)
		c, err := up.Upgrade(w, r)
		if err != nil {
			return nil, err
		}
		s.c, s.deflate = c, deflate != ""
		go c.ReadLoop()
		return s, nil
	},
}

func gwsDeflate(mode string) gws.PermessageDeflate {
	return gws.PermessageDeflate{
		Enabled: mode != "", ServerContextTakeover: mode == "takeover", ClientContextTakeover: mode == "takeover",
	}
}

type gwsSocket struct {
	gws.BuiltinEventHandler
	c       *gws.Conn
	deflate bool
	events  chan gwsEvent
}

type gwsEvent struct {
	text bool
	p    []byte
	err  error
}

func newGWSSocket() *gwsSocket { return &gwsSocket{events: make(chan gwsEvent, 256)} }

func (s *gwsSocket) OnMessage(_ *gws.Conn, m *gws.Message) {
	s.events <- gwsEvent{text: m.Opcode == gws.OpcodeText, p: bytes.Clone(m.Bytes())}
	m.Close()
}

func (s *gwsSocket) OnClose(_ *gws.Conn, err error) {
	if ce, ok := errors.AsType[*gws.CloseError](err); ok {
		err = &closed{int(ce.Code), string(ce.Reason)}
	}
	s.events <- gwsEvent{err: err}
}

// OnPing replaces the built-in one, whose Pong is empty.
func (s *gwsSocket) OnPing(c *gws.Conn, payload []byte) { c.WritePong(payload) }

func (s *gwsSocket) send(text bool, p []byte) error {
	if text {
		return s.c.WriteMessage(gws.OpcodeText, p)
	}
	return s.c.WriteMessage(gws.OpcodeBinary, p)
}

func (s *gwsSocket) sendFragments(bool, ...[]byte) error { return errNoFragments }

func (s *gwsSocket) receive() (bool, []byte, error) {
	select {
	case e := <-s.events:
		return e.text, e.p, e.err
	case <-time.After(patience):
		return false, nil, errors.New("nothing was received")
	}
}

func (s *gwsSocket) close(code int, reason string) error {
	return s.c.WriteClose(uint16(code), []byte(reason))
}
func (s *gwsSocket) subprotocol() string { return s.c.SubProtocol() }
func (s *gwsSocket) compressed() bool    { return s.deflate }
