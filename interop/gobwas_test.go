package interop

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/weftws/weft"
)

// gobwas is frames and an upgrade; the rest is its user's. It compresses without context takeover only.
var gobwasLibrary = library{
	name: "gobwas", dialDeflate: []string{"no-takeover"}, acceptDeflate: []string{"no-takeover"},
	dial: func(t *testing.T, ladder *weft.Dialer, url string, o offer) socket {
		t.Helper()
		d := ws.Dialer{Protocols: o.subprotocols, Timeout: patience}
		if o.deflate != "" {
			d.Extensions = []httphead.Option{wsflate.DefaultParameters.Option()}
		}
		if ladder != nil {
			d.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) { return netDial(ctx, ladder, url) }
			d.TLSClient = func(nc net.Conn, _ string) net.Conn { return nc }
		}
		c, br, hs, err := d.Dial(t.Context(), url)
		if err != nil {
			t.Fatalf("gobwas: Dial: %v", err)
		}
		t.Cleanup(func() { c.Close() })
		if br == nil {
			br = bufio.NewReader(c)
		}
		return &gobwasSocket{c: c, br: br, hs: hs, side: ws.StateClientSide}
	},
	accept: func(w http.ResponseWriter, r *http.Request, deflate string) (socket, error) {
		up := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "first" || p == "second" }, Timeout: patience}
		if deflate != "" {
			ext := wsflate.Extension{Parameters: wsflate.DefaultParameters}
			up.Negotiate = ext.Negotiate
		}
		c, rw, hs, err := up.Upgrade(r, w)
		if err != nil {
			return nil, err
		}
		return &gobwasSocket{c: c, br: rw.Reader, hs: hs, side: ws.StateServerSide}, nil
	},
}

type gobwasSocket struct {
	c    net.Conn
	br   *bufio.Reader
	hs   ws.Handshake
	side ws.State
	over bool // our Close frame is out
}

func gobwasOpcode(text bool) ws.OpCode {
	if text {
		return ws.OpText
	}
	return ws.OpBinary
}

func (s *gobwasSocket) write(f ws.Frame) error {
	s.c.SetWriteDeadline(time.Now().Add(patience))
	if s.side == ws.StateClientSide {
		f = ws.MaskFrame(f)
	}
	return ws.WriteFrame(s.c, f)
}

func (s *gobwasSocket) send(text bool, p []byte) error {
	f := ws.NewFrame(gobwasOpcode(text), true, p)
	if s.compressed() {
		var err error
		if f, err = wsflate.CompressFrame(f); err != nil {
			return err
		}
	}
	return s.write(f)
}

// sendFragments does not compress: wsflate has no means for it.
func (s *gobwasSocket) sendFragments(text bool, parts ...[]byte) error {
	op := gobwasOpcode(text)
	for i, p := range parts {
		if err := s.write(ws.NewFrame(op, i == len(parts)-1, p)); err != nil {
			return err
		}
		op = ws.OpContinuation
	}
	return nil
}

func (s *gobwasSocket) receive() (text bool, message []byte, err error) {
	compressed := false
	for {
		s.c.SetReadDeadline(time.Now().Add(patience))
		f, err := readFrame(s.br)
		if err != nil {
			return false, nil, err
		}
		if f.Header.Masked {
			f = ws.UnmaskFrameInPlace(f)
		}
		switch f.Header.OpCode {
		case ws.OpClose:
			c := &closed{code: 1005}
			if len(f.Payload) >= 2 {
				code, reason := ws.ParseCloseFrameData(f.Payload)
				c = &closed{int(code), reason}
			}
			if !s.over {
				s.over = true
				s.write(ws.NewCloseFrame(f.Payload))
				if s.side == ws.StateClientSide {
					io.Copy(io.Discard, s.br) // the server ends the connection: RFC 6455, Section 7.1.1
				}
			}
			s.c.Close()
			return false, nil, c
		case ws.OpPing:
			s.write(ws.NewPongFrame(f.Payload))
			continue
		case ws.OpPong:
			continue
		case ws.OpText, ws.OpBinary:
			text = f.Header.OpCode == ws.OpText
			compressed = f.Header.Rsv1()
		}
		message = append(message, f.Payload...)
		if !f.Header.Fin {
			continue
		}
		if !compressed {
			return text, message, nil
		}
		if !s.compressed() {
			return false, nil, errors.New("a compressed message, but nothing was agreed")
		}
		message, err = wsflate.DefaultHelper.Decompress(message)
		return text, message, err
	}
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	f.Header, err = ws.ReadHeader(r)
	if err != nil {
		return f, err
	}
	if f.Header.Length > 8<<20 {
		return f, errors.New("a frame of more than 8 MiB")
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func (s *gobwasSocket) close(code int, reason string) error {
	s.over = true
	if err := s.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason))); err != nil {
		return err
	}
	return untilClosed(s, code)
}

func (s *gobwasSocket) subprotocol() string { return s.hs.Protocol }
func (s *gobwasSocket) compressed() bool    { return len(s.hs.Extensions) > 0 }
