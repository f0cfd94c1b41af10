package websocket_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	websocket "github.com/weftws/weft/gorilla"
)

func TestMessages(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		for _, ends := range [][2]*websocket.Conn{{client, server}, {server, client}} {
			from, to := ends[0], ends[1]
			for _, size := range []int{0, 1, 125, 126, 4096, 4097, 70_000, 300_000} {
				want := strings.Repeat("x", size)
				go func() {
					wantWrite(t, from, websocket.BinaryMessage, want)
					wantWrite(t, from, websocket.TextMessage, want)
					wantWrite(t, from, websocket.TextMessage, "over")
				}()
				wantMessage(t, to, websocket.BinaryMessage, want)
				wantMessage(t, to, websocket.TextMessage, want)
				wantMessage(t, to, websocket.TextMessage, "over")
				synctest.Wait()
			}
		}
	})
}

// A writer's message arrives whole, however it was written.
func TestNextWriter(t *testing.T) {
	long := strings.Repeat("0123456789", 3000)
	tests := []struct {
		name  string
		write func(w io.Writer) error
		want  string
	}{
		{"nothing", func(io.Writer) error { return nil }, ""},
		{"pieces", func(w io.Writer) error {
			for i := range len(long) {
				if _, err := w.Write([]byte(long[i : i+1])); err != nil {
					return err
				}
			}
			return nil
		}, long},
		{"at once", func(w io.Writer) error { _, err := w.Write([]byte(long)); return err }, long},
		{"a piece, then much", func(w io.Writer) error {
			io.WriteString(w, "a")
			_, err := w.Write([]byte(long))
			return err
		}, "a" + long},
		{"string", func(w io.Writer) error { _, err := w.(io.StringWriter).WriteString(long); return err }, long},
		{"reader", func(w io.Writer) error { _, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(long)); return err }, long},
	}
	for _, size := range []int{0, 10, 100} {
		pairs(t, &websocket.Upgrader{WriteBufferSize: size}, func(d *websocket.Dialer) { d.WriteBufferSize = size },
			func(t *testing.T, e *env, client, server *websocket.Conn) {
				for _, ends := range [][2]*websocket.Conn{{client, server}, {server, client}} {
					for _, tt := range tests {
						done := make(chan struct{})
						go func() {
							defer close(done)
							w, err := ends[0].NextWriter(websocket.TextMessage)
							if err == nil {
								err = tt.write(w)
							}
							if err == nil {
								err = w.Close()
							}
							if err != nil {
								t.Errorf("%s: %v", tt.name, err)
							}
							if _, err := w.Write([]byte("x")); err == nil {
								t.Errorf("%s: Write after Close", tt.name)
							}
							if err := w.Close(); err == nil {
								t.Errorf("%s: Close after Close", tt.name)
							}
						}()
						wantMessage(t, ends[1], websocket.TextMessage, tt.want)
						<-done
					}
				}
			})
	}
}

// NextWriter closes the writer before.
func TestNextWriterClosesTheOneBefore(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		w, _ := client.NextWriter(websocket.TextMessage)
		io.WriteString(w, "one")
		w2, err := client.NextWriter(websocket.BinaryMessage)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w2, "two")
		wantWrite(t, client, websocket.TextMessage, "three")
		wantMessage(t, server, websocket.TextMessage, "one")
		wantMessage(t, server, websocket.BinaryMessage, "two")
		wantMessage(t, server, websocket.TextMessage, "three")
	})
}

// NextReader discards what was not read, and a reader that is no longer the current one is at its end.
func TestNextReader(t *testing.T) {
	pairs(t, &websocket.Upgrader{WriteBufferSize: 5}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		for _, p := range []string{"discarded altogether", "read in part", "read whole", "", "last"} {
			w, _ := server.NextWriter(websocket.TextMessage)
			io.WriteString(w, p)
			w.Close()
		}
		if _, _, err := client.NextReader(); err != nil {
			t.Fatal(err)
		}
		_, part, err := client.NextReader()
		buf := make([]byte, 7)
		if _, err2 := io.ReadFull(part, buf); err != nil || err2 != nil || string(buf) != "read in" {
			t.Errorf("%q, %v, %v", buf, err, err2)
		}
		typ, whole, err := client.NextReader()
		if n, err := part.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("a reader of before: %d, %v", n, err)
		}
		p, err2 := io.ReadAll(whole)
		if err != nil || err2 != nil || typ != websocket.TextMessage || string(p) != "read whole" {
			t.Errorf("%d %q, %v, %v", typ, p, err, err2)
		}
		_, empty, err := client.NextReader()
		if n, err2 := empty.Read(buf); err != nil || n != 0 || err2 != io.EOF {
			t.Errorf("an empty message: %d, %v, %v", n, err, err2)
		}
		wantMessage(t, client, websocket.TextMessage, "last")
	})
}

func TestJSON(t *testing.T) {
	type point struct{ X, Y int }
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		want := point{3, 4}
		if err := client.WriteJSON(want); err != nil {
			t.Error(err)
		}
		websocket.WriteJSON(client, want)
		wantWrite(t, client, websocket.TextMessage, "")
		wantWrite(t, client, websocket.TextMessage, `{"X":1} and more`)
		wantWrite(t, client, websocket.TextMessage, "no JSON")
		if err := client.WriteJSON(func() {}); err == nil {
			t.Error("a func was encoded")
		}
		if err := client.WriteJSON("end"); err != nil {
			t.Error(err)
		}

		wantMessage(t, server, websocket.TextMessage, "{\"X\":3,\"Y\":4}\n")
		var got point
		if err := websocket.ReadJSON(server, &got); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
		if err := server.ReadJSON(&got); err != io.ErrUnexpectedEOF {
			t.Errorf("an empty message: %v", err)
		}
		if err := server.ReadJSON(&got); err != nil || got.X != 1 {
			t.Errorf("%v, %v", got, err)
		}
		if _, ok := errors.AsType[*json.SyntaxError](server.ReadJSON(&got)); !ok {
			t.Error("no syntax error")
		}
		var end string
		if err := server.ReadJSON(&end); err != nil || end != "end" {
			t.Errorf("%q, %v", end, err)
		}
	})
}

func TestJoinMessages(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		for _, p := range []string{"one", "", "two"} {
			wantWrite(t, client, websocket.TextMessage, p)
		}
		client.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
		p, err := io.ReadAll(websocket.JoinMessages(server, "; "))
		if string(p) != "one; ; two; " || !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("%q, %v", p, err)
		}
	})
}

func TestPreparedMessage(t *testing.T) {
	for _, compress := range []bool{false, true} {
		pairs(t, &websocket.Upgrader{EnableCompression: compress}, func(d *websocket.Dialer) { d.EnableCompression = compress },
			func(t *testing.T, e *env, client, server *websocket.Conn) {
				data := []byte(strings.Repeat("prepared ", 100))
				want := string(data)
				pm, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
				if err != nil {
					t.Fatal(err)
				}
				clear(data) // it is the caller's
				for range 2 {
					for _, ends := range [][2]*websocket.Conn{{client, server}, {server, client}} {
						if err := ends[0].WritePreparedMessage(pm); err != nil {
							t.Error(err)
						}
						wantWrite(t, ends[0], websocket.TextMessage, "between")
						ends[0].EnableWriteCompression(false)
						if err := ends[0].WritePreparedMessage(pm); err != nil {
							t.Error(err)
						}
						ends[0].EnableWriteCompression(true)
						wantMessage(t, ends[1], websocket.TextMessage, want)
						wantMessage(t, ends[1], websocket.TextMessage, "between")
						wantMessage(t, ends[1], websocket.TextMessage, want)
					}
				}
				bye, err := websocket.NewPreparedMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, "bye"))
				if err != nil {
					t.Fatal(err)
				}
				if err := server.WritePreparedMessage(bye); err != nil {
					t.Error(err)
				}
				if err := server.WritePreparedMessage(pm); err != websocket.ErrCloseSent {
					t.Errorf("after a Close frame: %v", err)
				}
				wantClosed(t, client, websocket.CloseGoingAway, "bye")
			})
	}
	if _, err := websocket.NewPreparedMessage(3, nil); err == nil {
		t.Error("a message of type 3 was prepared")
	}
	if _, err := websocket.NewPreparedMessage(websocket.PingMessage, make([]byte, 126)); err == nil {
		t.Error("a Ping of 126 bytes was prepared")
	}
}

// What is compressed is smaller on the network, and the switches work.
func TestCompression(t *testing.T) {
	message := bytes.Repeat([]byte("compressible "), 500)
	pairs(t, &websocket.Upgrader{EnableCompression: true}, func(d *websocket.Dialer) { d.EnableCompression = true },
		func(t *testing.T, e *env, client, server *websocket.Conn) {
			pm, err := websocket.NewPreparedMessage(websocket.TextMessage, message)
			if err != nil {
				t.Fatal(err)
			}
			write := func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, message) }
			prepared := func(c *websocket.Conn) error { return c.WritePreparedMessage(pm) }
			sent := func(c *websocket.Conn, write func(*websocket.Conn) error) (n int64) {
				before := e.net.Stats().Bytes
				if err := write(c); err != nil {
					t.Error(err)
				}
				wantMessage(t, map[*websocket.Conn]*websocket.Conn{client: server, server: client}[c], websocket.TextMessage, string(message))
				synctest.Wait()
				return e.net.Stats().Bytes - before
			}
			for _, c := range []*websocket.Conn{client, server} {
				if n := sent(c, prepared); n > 1000 {
					t.Errorf("%d bytes for a prepared message", n)
				}
				if n := sent(c, write); n > 1000 {
					t.Errorf("%d bytes for a compressed message", n)
				}
				c.EnableWriteCompression(false)
				if n := sent(c, write); n < 6000 {
					t.Errorf("%d bytes though compression is off", n)
				}
				c.EnableWriteCompression(true)
				if err := c.SetCompressionLevel(0); err != nil {
					t.Error(err)
				}
				if n := sent(c, write); n < 6000 {
					t.Errorf("%d bytes at level 0", n)
				}
				for _, level := range []int{-2, -1, 1, 9} {
					if err := c.SetCompressionLevel(level); err != nil {
						t.Error(err)
					}
				}
				if n := sent(c, write); n > 1000 {
					t.Errorf("%d bytes for a compressed message", n)
				}
				for _, level := range []int{-3, 10} {
					if c.SetCompressionLevel(level) == nil {
						t.Errorf("level %d was taken", level)
					}
				}
			}
		})
}

func TestReadLimit(t *testing.T) {
	for _, whole := range []bool{true, false} {
		pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
			server.SetReadLimit(100)
			wantWrite(t, client, websocket.TextMessage, strings.Repeat("x", 100))
			wantMessage(t, server, websocket.TextMessage, strings.Repeat("x", 100))
			wantWrite(t, client, websocket.TextMessage, strings.Repeat("x", 101))
			for range 2 {
				var err error
				if whole {
					_, _, err = server.ReadMessage()
				} else {
					_, _, err = server.NextReader()
				}
				if err != websocket.ErrReadLimit {
					t.Errorf("%v, want ErrReadLimit", err)
				}
			}
			wantClosed(t, client, websocket.CloseMessageTooBig, "")
		})
	}
}

func TestReadDeadline(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { client.SetReadDeadline(start.Add(3 * time.Second)) })
		for range 2 {
			_, _, err := client.ReadMessage()
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !strings.Contains(err.Error(), "i/o timeout") {
				t.Errorf("%v, want a timeout", err)
			}
			client.SetReadDeadline(time.Time{}) // does not help
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestRepeatedReads(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		server.Close()
		reads := 0
		defer func() {
			if p := recover(); p != "repeated read on failed websocket connection" || reads != 999 {
				t.Errorf("panic %v after %d reads", p, reads)
			}
		}()
		for ; reads < 2000; reads++ {
			client.ReadMessage()
		}
	})
}

// A peer that takes nothing makes a write time out, and that is for good.
func TestWriteDeadline(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		start := time.Now()
		var err error
		for err == nil && time.Since(start) < time.Minute {
			server.SetWriteDeadline(time.Now().Add(time.Second))
			err = server.WriteMessage(websocket.BinaryMessage, make([]byte, 100_000))
		}
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%v, want a timeout", err)
		}
		server.SetWriteDeadline(time.Time{})
		if err2 := server.WriteMessage(websocket.TextMessage, nil); !reflect.DeepEqual(err, err2) {
			t.Errorf("after %v: %v", err, err2)
		}
		if err := server.WriteControl(websocket.PingMessage, nil, time.Time{}); err == nil {
			t.Error("a Ping was sent after a write had timed out")
		}
	})
}

func TestWrongTypes(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		for _, typ := range []int{-1, 0, 3, 7, 11} {
			if err := client.WriteMessage(typ, nil); err == nil {
				t.Errorf("WriteMessage of type %d", typ)
			}
			if _, err := client.NextWriter(typ); err == nil {
				t.Errorf("NextWriter of type %d", typ)
			}
			if err := client.WriteControl(typ, nil, time.Time{}); err == nil {
				t.Errorf("WriteControl of type %d", typ)
			}
		}
		if err := client.WriteControl(websocket.TextMessage, nil, time.Time{}); err == nil {
			t.Error("WriteControl of a text")
		}
		if err := client.WriteControl(websocket.PingMessage, make([]byte, 126), time.Time{}); err == nil {
			t.Error("WriteControl of 126 bytes")
		}
		wantWrite(t, client, websocket.TextMessage, "still there")
		wantMessage(t, server, websocket.TextMessage, "still there")
	})
}

func TestConcurrentWriters(t *testing.T) {
	pairs(t, &websocket.Upgrader{}, nil, func(t *testing.T, e *env, client, server *websocket.Conn) {
		go server.WriteMessage(websocket.BinaryMessage, make([]byte, 10<<20)) // waits for room
		synctest.Wait()
		defer func() {
			if p := recover(); p != "concurrent write to websocket connection" {
				t.Errorf("panic %v", p)
			}
			server.Close()
		}()
		server.WriteMessage(websocket.BinaryMessage, nil)
	})
}
