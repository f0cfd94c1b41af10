package weft_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/frame"
)

// A plainPeer is a library that knows frames and nothing of messages: no fragments, no compression.
type plainPeer struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// overPlain runs f with a client of BridgeMessages over each carrier; serve is the handler's part.
func overPlain(t *testing.T, opts *weft.AcceptOptions, serve func(p *plainPeer), f func(t *testing.T, e *env)) {
	t.Helper()
	h := weft.BridgeMessages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Sec-Websocket-Extensions"]; got != nil {
			t.Errorf("the handler is offered %q", got)
		}
		nc, rw := hijack(t, w)
		var more []string
		if offered := r.Header.Get("Sec-Websocket-Protocol"); offered != "" {
			more = append(more, "Sec-WebSocket-Protocol: "+offered[strings.LastIndex(offered, " ")+1:], "X-Other: yes")
		}
		write(t, nc, switching101(r, more...))
		serve(&plainPeer{t, nc, rw.Reader})
	}), opts)
	overEach(t, h.ServeHTTP, func(t *testing.T, e *env) {
		f(t, e)
		time.Sleep(5 * time.Minute) // the handler ends, too
	})
}

// next returns the next frame of the client's.
func (p *plainPeer) next() (frame.Header, []byte, error) {
	head, err := p.r.Peek(2)
	if err != nil {
		return frame.Header{}, nil, err
	}
	n := 6
	switch head[1] & 127 {
	case 126:
		n = 8
	case 127:
		n = 14
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(p.r, raw); err != nil {
		return frame.Header{}, nil, err
	}
	h, _, fault := frame.ParseHeader(raw)
	if fault != 0 || !h.Masked || !h.Fin || h.RSV1 {
		p.t.Errorf("the handler got the header %+v, %v", h, fault)
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(p.r, payload)
	frame.Mask(payload, h.Key, 0)
	return h, payload, err
}

func (p *plainPeer) send(fin bool, op frame.Opcode, payload []byte) {
	p.t.Helper()
	write(p.t, p.nc, string(append(frame.AppendHeader(nil, frame.Header{Fin: fin, Opcode: op, Length: int64(len(payload))}), payload...)))
}

// echo answers until the Close frame, and returns that.
func (p *plainPeer) echo() []byte {
	for {
		h, payload, err := p.next()
		if err != nil {
			p.t.Errorf("the handler's read: %v", err)
			return nil
		}
		if h.Opcode == frame.Close {
			return payload
		}
		p.send(true, h.Opcode, payload)
	}
}

// What the handler does not know is there all the same.
func TestBridgeMessages(t *testing.T) {
	opts := &weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover}
	overPlain(t, opts, func(p *plainPeer) {
		defer p.nc.Close()
		if got := p.echo(); string(got) != "\x0f\xa0enough" {
			p.t.Errorf("the handler's Close frame is %q", got)
		}
		if _, err := p.nc.Read(make([]byte, 1)); err != io.EOF {
			p.t.Errorf("behind the Close frame: %v", err)
		}
	}, func(t *testing.T, e *env) {
		c := e.dial("/", &weft.DialOptions{Subprotocols: []string{"first", "second"}, CompressionMode: weft.CompressionContextTakeover})
		if got := c.Subprotocol(); got != "second" {
			t.Errorf("subprotocol is %q", got)
		}
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
			want := bytes.Repeat([]byte("x"), size)
			if err := c.Write(e.ctx, weft.MessageBinary, want); err != nil {
				t.Fatal(err)
			}
			if typ, got, err := c.Read(e.ctx); typ != weft.MessageBinary || !bytes.Equal(got, want) || err != nil {
				t.Fatalf("of %d bytes came %d, %v, %v", size, len(got), typ, err)
			}
		}
		w, err := c.Writer(e.ctx, weft.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"in ", "pie", "ces"} {
			io.WriteString(w, part)
		}
		w.Close()
		if _, got, err := c.Read(e.ctx); string(got) != "in pieces" || err != nil {
			t.Fatalf("fragments: %q, %v", got, err)
		}
		go c.Read(e.ctx)
		if err := c.Ping(e.ctx); err != nil {
			t.Errorf("Ping: %v", err)
		}
		if err := c.Close(4000, "enough"); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// The handler ends the WebSocket, in its various ways.
func TestBridgeMessagesEnds(t *testing.T) {
	tests := []struct {
		name  string
		serve func(p *plainPeer)
		want  weft.StatusCode
	}{
		{"a Close frame", func(p *plainPeer) {
			p.send(true, frame.Close, []byte("\x03\xe9going"))
			if h, payload, err := p.next(); h.Opcode != frame.Close || string(payload) != "\x03\xe9" && string(payload) != "\x03\xe9going" || err != nil {
				p.t.Errorf("the answer to the handler's Close frame: %+v, %q, %v", h, payload, err)
			}
			p.nc.Close()
		}, weft.StatusGoingAway},
		{"no Close frame", func(p *plainPeer) { p.nc.Close() }, weft.StatusNoStatusRcvd},
		{"inside a message", func(p *plainPeer) {
			p.send(false, frame.Text, []byte("half"))
			p.nc.Close()
		}, weft.StatusInternalError},
		{"a masked frame", func(p *plainPeer) {
			if _, err := p.nc.Write([]byte{0x81, 0x80, 1, 2, 3, 4}); err == nil || !strings.Contains(err.Error(), "masked") {
				p.t.Errorf("the handler's masked frame: %v", err)
			}
			p.nc.Close()
		}, weft.StatusInternalError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			overPlain(t, nil, tt.serve, func(t *testing.T, e *env) {
				c := e.dial("/", nil)
				_, _, err := c.Read(e.ctx)
				if ce, ok := errors.AsType[*weft.CloseError](err); !ok || ce.Code != tt.want {
					t.Errorf("the client read %v, want a Close frame with %v", err, tt.want)
				}
				c.CloseNow()
			})
		})
	}
}

// Shutdown says 1001 to the client, and the handler sees the end. Pongs reach the handler; deadlines hold, and a client that sends more
// than the handler reads has to wait.
func TestBridgeMessagesShutdown(t *testing.T) {
	overPlain(t, nil, func(p *plainPeer) {
		p.send(true, frame.Ping, []byte("there?"))
		if h, payload, err := p.next(); h.Opcode != frame.Pong || string(payload) != "there?" || err != nil {
			p.t.Errorf("the answer to the handler's Ping: %+v, %q, %v", h, payload, err)
		}
		p.nc.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := p.nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			p.t.Errorf("Read with a deadline: %v", err)
		}
		p.nc.SetReadDeadline(time.Time{})
		p.send(true, frame.Text, []byte("now"))
		if got := p.echo(); !strings.HasPrefix(string(got), "\x03\xe9") {
			p.t.Errorf("the handler's Close frame is %q", got)
		}
		p.nc.Close()
	}, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		if _, got, err := c.Read(e.ctx); string(got) != "now" || err != nil {
			t.Fatalf("Read: %q, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(e.ctx, time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- e.server.Shutdown(ctx) }()
		_, _, err := c.Read(e.ctx)
		if ce, ok := errors.AsType[*weft.CloseError](err); !ok || ce.Code != weft.StatusGoingAway {
			t.Errorf("the client read %v", err)
		}
		c.CloseNow()
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// A client that floods a handler which does not read is held up, and both ends see the end.
func TestBridgeMessagesBackpressure(t *testing.T) {
	overPlain(t, nil, func(p *plainPeer) {
		time.Sleep(20 * time.Second) // less than what a connection may be stalled
		n := 0
		for {
			h, _, err := p.next()
			if err != nil || h.Opcode == frame.Close {
				break
			}
			n++
		}
		if n != 60 {
			p.t.Errorf("%d messages came, want 60", n)
		}
		p.nc.Close()
	}, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		start := time.Now()
		for range 60 {
			if err := c.Write(e.ctx, weft.MessageBinary, make([]byte, 64<<10)); err != nil {
				t.Error(err)
				break
			}
		}
		// Below HTTP/1.1 the simulated network takes anything.
		if e.carrier.rungs[0] != weft.Upgrade && time.Since(start) < 20*time.Second {
			t.Error("4 MB were taken by a handler that did not read")
		}
		c.Close(weft.StatusNormalClosure, "")
	})
}
