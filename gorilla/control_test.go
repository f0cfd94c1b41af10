package websocket_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	websocket "github.com/weftws/weft/gorilla"
)

// Handlers run inside the reading call, and nothing happens without one.
func TestHandlers(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		var log []string // only the reading goroutine's: the race detector would tell
		server.SetPingHandler(func(s string) error { log = append(log, "ping "+s); return nil })
		server.SetPongHandler(func(s string) error { log = append(log, "pong "+s); return nil })
		server.SetCloseHandler(func(code int, s string) error { log = append(log, "close "+s); return nil })
		now := time.Now().Add(time.Second)
		client.WriteControl(websocket.PingMessage, []byte("1"), now)
		client.WriteMessage(websocket.PongMessage, []byte("2"))
		w, _ := client.NextWriter(websocket.PingMessage)
		io.WriteString(w, "3")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		wantWrite(t, client, websocket.TextMessage, "data")
		client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "bye"), now)
		time.Sleep(rtt)
		if log != nil {
			t.Errorf("without a reader: %q", log)
		}
		wantMessage(t, server, websocket.TextMessage, "data")
		if want := []string{"ping 1", "pong 2", "ping 3"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
		wantClosed(t, server, 4000, "bye")
		if log[len(log)-1] != "close bye" {
			t.Errorf("%q", log)
		}
		// A handler that does not answer leaves the connection open for writing.
		wantWrite(t, server, websocket.TextMessage, "not over")
		wantMessage(t, client, websocket.TextMessage, "not over")
	})
}

// The default handlers answer.
func TestDefaultHandlers(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		server.SetPingHandler(func(string) error { return errors.New("not to be called") })
		server.SetPingHandler(nil)
		server.SetPongHandler(nil)
		server.SetCloseHandler(nil)
		var pongs []string
		client.SetPongHandler(func(s string) error { pongs = append(pongs, s); return nil })
		client.WriteMessage(websocket.PingMessage, []byte("are you there"))
		client.WriteMessage(websocket.PongMessage, []byte("unasked"))
		client.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "done"))
		wantClosed(t, server, websocket.CloseNormalClosure, "done")
		wantClosed(t, client, websocket.CloseNormalClosure, "") // the echo has the code alone
		if !slices.Equal(pongs, []string{"are you there"}) {
			t.Errorf("pongs %q", pongs)
		}
		for _, c := range []*websocket.Conn{client, server} {
			for _, err := range []error{
				c.WriteMessage(websocket.TextMessage, nil), c.WriteMessage(websocket.CloseMessage, nil),
				c.WriteControl(websocket.PingMessage, nil, time.Time{}), c.WriteJSON(1),
			} {
				if err != websocket.ErrCloseSent {
					t.Errorf("%v, want ErrCloseSent", err)
				}
			}
			if _, err := c.NextWriter(websocket.TextMessage); err != websocket.ErrCloseSent {
				t.Errorf("%v, want ErrCloseSent", err)
			}
		}
	})
}

func TestHandlerGetters(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		called := ""
		client.SetPingHandler(func(s string) error { called += "ping" + s; return nil })
		client.SetPongHandler(func(s string) error { called += "pong" + s; return nil })
		client.SetCloseHandler(func(int, string) error { called += "close"; return nil })
		client.PingHandler()("1")
		client.PongHandler()("2")
		client.CloseHandler()(1000, "")
		if called != "ping1pong2close" {
			t.Errorf("called %q", called)
		}
		if err := server.PingHandler()("by hand"); err != nil { // the default: a Pong
			t.Error(err)
		}
		server.WriteMessage(websocket.TextMessage, nil)
		client.ReadMessage()
		if called != "ping1pong2closepongby hand" {
			t.Errorf("called %q", called)
		}
	})
}

// What a handler returns ends reading for good.
func TestHandlerErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, typ := range []int{websocket.PingMessage, websocket.PongMessage, websocket.CloseMessage} {
		pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
			server.SetPingHandler(func(string) error { return broken })
			server.SetPongHandler(func(string) error { return broken })
			server.SetCloseHandler(func(int, string) error { return broken })
			client.WriteMessage(typ, nil)
			for range 2 {
				if _, _, err := server.ReadMessage(); err != broken {
					t.Errorf("type %d: %v", typ, err)
				}
			}
			wantWrite(t, server, websocket.TextMessage, "still")
			if typ != websocket.CloseMessage {
				wantMessage(t, client, websocket.TextMessage, "still")
			}
		})
	}
}

// A control frame passes between the fragments of a message, from either side's point of view.
func TestControlWithinMessage(t *testing.T) {
	pairs(t, &websocket.Upgrader{WriteBufferSize: 4}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		w, _ := server.NextWriter(websocket.TextMessage)
		io.WriteString(w, "one two ")
		if err := server.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		io.WriteString(w, "three")
		w.Close()
		var pings []string
		client.SetPingHandler(func(s string) error { pings = append(pings, s); return nil })
		wantMessage(t, client, websocket.TextMessage, "one two three")
		if !slices.Equal(pings, []string{"p"}) {
			t.Errorf("pings %q", pings)
		}
		// A Close frame there ends the message unfinished.
		w, _ = server.NextWriter(websocket.TextMessage)
		io.WriteString(w, "never finished")
		server.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseTryAgainLater, ""), time.Time{})
		if err := w.Close(); err != websocket.ErrCloseSent {
			t.Errorf("Close of the writer: %v", err)
		}
		_, r, err := client.NextReader()
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
			t.Errorf("%v", err)
		}
	})
}

// A control frame waits for a write under way, until its deadline.
func TestWriteControlDeadline(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		written := make(chan error)
		go func() { written <- server.WriteMessage(websocket.BinaryMessage, make([]byte, 2<<20)) }()
		synctest.Wait()
		start := time.Now()
		err := server.WriteControl(websocket.PingMessage, nil, start.Add(time.Second))
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%v, want a timeout", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("after %v", d)
		}
		if err := server.WriteControl(websocket.PingMessage, nil, start); err == nil {
			t.Error("a Ping with a deadline that has passed")
		}
		wantMessage(t, client, websocket.BinaryMessage, strings.Repeat("\x00", 2<<20))
		if err := <-written; err != nil {
			t.Error(err)
		}
		if err := server.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Close frames as they come.
func TestCloseCodes(t *testing.T) {
	tests := []struct {
		payload []byte
		code    int
		text    string
		fails   bool // the reader sees a violation instead
	}{
		{websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"), websocket.CloseNormalClosure, "bye", false},
		{websocket.FormatCloseMessage(websocket.CloseNoStatusReceived, "not sent"), websocket.CloseNoStatusReceived, "", false},
		{nil, websocket.CloseNoStatusReceived, "", false},
		{websocket.FormatCloseMessage(4999, strings.Repeat("x", 123)), 4999, strings.Repeat("x", 123), false},
		{websocket.FormatCloseMessage(websocket.CloseAbnormalClosure, ""), 0, "", true},
		{[]byte{3}, 0, "", true},
	}
	for _, tt := range tests {
		pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
			if err := client.WriteMessage(websocket.CloseMessage, tt.payload); err != nil {
				t.Fatal(err)
			}
			if !tt.fails {
				wantClosed(t, server, tt.code, tt.text)
				wantClosed(t, client, tt.code, "")
				return
			}
			_, _, err := server.ReadMessage()
			if _, ok := err.(*websocket.CloseError); ok || err == nil || !strings.HasPrefix(err.Error(), "websocket: ") {
				t.Errorf("%q: %v", tt.payload, err)
			}
			if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseProtocolError) {
				t.Errorf("%q: %v", tt.payload, err)
			}
		})
	}
}

// Close ends the connection without a Close frame; what was written arrives.
func TestClose(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		wantWrite(t, client, websocket.TextMessage, "last words")
		start := time.Now()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
		wantMessage(t, server, websocket.TextMessage, "last words")
		wantClosed(t, server, websocket.CloseAbnormalClosure, "unexpected EOF")
		if d := time.Since(start); d > 2*rtt {
			t.Errorf("the peer knew after %v", d)
		}
		for _, err := range []error{
			client.Close(), client.WriteMessage(websocket.TextMessage, nil), client.SetReadDeadline(time.Time{}),
		} {
			if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "use of closed network connection") {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

// So it is on a server, where Close ends its side first.
func TestCloseOfAServer(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		wantWrite(t, server, websocket.TextMessage, "last words")
		server.Close()
		wantMessage(t, client, websocket.TextMessage, "last words")
		wantClosed(t, client, websocket.CloseAbnormalClosure, "unexpected EOF")
	})
}

// Close unblocks a reader and a writer.
func TestCloseUnblocks(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		errs := make(chan error, 2)
		go func() { _, _, err := server.ReadMessage(); errs <- err }()
		go func() { errs <- server.WriteMessage(websocket.BinaryMessage, make([]byte, 10<<20)) }()
		synctest.Wait()
		server.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
	})
}

// The network under it goes.
func TestConnectionLost(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		e.server.Close()
		if e.proto == "HTTP/1.1" {
			server.Close() // a hijacked connection is not the http.Server's
		}
		wantClosed(t, client, websocket.CloseAbnormalClosure, "unexpected EOF")
	})
}

func TestAddresses(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		if got := server.LocalAddr().String(); got != serverAddr || client.RemoteAddr().String() != got {
			t.Errorf("server at %s, client connected to %s", got, client.RemoteAddr())
		}
		if got := server.RemoteAddr().String(); got != client.LocalAddr().String() {
			t.Errorf("client at %s, seen at %s", client.LocalAddr(), got)
		}
		for _, c := range []*websocket.Conn{client, server} {
			nc := c.NetConn()
			if nc != c.UnderlyingConn() || nc.LocalAddr().String() != c.LocalAddr().String() || nc.RemoteAddr().String() != c.RemoteAddr().String() {
				t.Errorf("NetConn %v is another one's", nc)
			}
			if err := nc.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
		if e.proto == "HTTP/2.0" {
			nc := client.NetConn()
			if _, err := nc.Read(nil); err == nil {
				t.Error("the connection of many can be read")
			}
			if _, err := nc.Write(nil); err == nil {
				t.Error("the connection of many can be written")
			}
		}
		if err := client.NetConn().SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		if _, _, err := client.ReadMessage(); err == nil || !strings.Contains(err.Error(), "i/o timeout") {
			t.Errorf("%v, want a timeout", err)
		}
		client.NetConn().Close()
		if _, _, err := server.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
			t.Errorf("%v", err)
		}
	})
}

func TestInvalidText(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		wantWrite(t, client, websocket.TextMessage, "\xff")
		if _, _, err := server.ReadMessage(); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%v", err)
		}
		if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseInvalidFramePayloadData) {
			t.Errorf("%v", err)
		}
	})
}
