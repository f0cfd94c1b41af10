package weft_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftws/weft"
)

func TestEcho(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"blocking": echo, "callbacks": echoCallbacks} {
		t.Run(name, func(t *testing.T) {
			overEach(t, h, func(t *testing.T, e *env) {
				c := e.dial("/", nil)
				defer c.CloseNow()
				c.SetReadLimit(64 << 20)
				for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
					want := bytes.Repeat([]byte("weft"), n/4+1)[:n]
					for _, typ := range []weft.MessageType{weft.MessageText, weft.MessageBinary} {
						if err := c.Write(e.ctx, typ, want); err != nil {
							t.Fatalf("Write of %d bytes: %v", n, err)
						}
						got, p, err := c.Read(e.ctx)
						if err != nil {
							t.Fatalf("Read of %d bytes: %v", n, err)
						}
						if got != typ || !bytes.Equal(p, want) {
							t.Fatalf("%d bytes of %v came back as %d bytes of %v", n, typ, len(p), got)
						}
					}
				}
				if err := c.Close(weft.StatusNormalClosure, "done"); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		})
	}
}

func TestEchoManyAtOnce(t *testing.T) {
	overEach(t, echoCallbacks, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		const n = 500
		go func() {
			for i := range n {
				if err := c.Write(e.ctx, weft.MessageText, fmt.Appendf(nil, "message %d", i)); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
		}()
		for i := range n {
			_, p, err := c.Read(e.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("message %d", i); string(p) != want {
				t.Fatalf("message is %q, want %q", p, want)
			}
		}
	})
}

// A slow reader's peer is held back, not lost, and nothing else on the connection is held up.
func TestBackpressure(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		slow, other := e.dial("/", nil), e.dial("/", nil)
		defer slow.CloseNow()
		defer other.CloseNow()
		slow.SetReadLimit(64 << 20)
		const n = 64
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range n {
				if err := slow.Write(e.ctx, weft.MessageBinary, make([]byte, 256<<10)); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
			}
		}()
		time.Sleep(10 * time.Second)
		for i := range 10 {
			msg := fmt.Sprint(i)
			other.Write(e.ctx, weft.MessageText, []byte(msg))
			if _, p, err := other.Read(e.ctx); err != nil || string(p) != msg {
				t.Fatalf("beside a slow reader: %q, %v", p, err)
			}
		}
		for range n {
			if _, p, err := slow.Read(e.ctx); err != nil || len(p) != 256<<10 {
				t.Fatalf("Read: %d bytes, %v", len(p), err)
			}
		}
		<-sent
	})
}

func TestReadCancelled(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		for i := range 3 {
			ctx, cancel := context.WithTimeout(e.ctx, rtt/2)
			c.Write(e.ctx, weft.MessageText, fmt.Append(nil, i))
			if _, _, err := c.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Read with a context that ends: %v", err)
			}
			cancel()
			if _, p, err := c.Read(e.ctx); err != nil || string(p) != fmt.Sprint(i) {
				t.Fatalf("Read after a cancelled one: %q, %v", p, err)
			}
		}
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		if _, _, err := c.Read(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Read with an ended context: %v", err)
		}
		if err := c.Write(ctx, weft.MessageText, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Write with an ended context: %v", err)
		}
		if err := c.Write(e.ctx, weft.MessageText, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(e.ctx); err != nil || string(p) != "still here" {
			t.Fatalf("%q, %v", p, err)
		}
	})
}

func TestReaderWriter(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		w, err := c.Writer(e.ctx, weft.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			fmt.Fprintf(w, "part %d. ", i)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("Write after Close succeeded")
		}
		typ, r, err := c.Reader(e.ctx)
		if err != nil || typ != weft.MessageText {
			t.Fatal(typ, err)
		}
		p, err := io.ReadAll(r)
		if err != nil || !strings.HasPrefix(string(p), "part 0. part 1. ") || !strings.HasSuffix(string(p), "part 9. ") {
			t.Fatalf("%q, %v", p, err)
		}

		// A message that is not read to its end is skipped.
		c.Write(e.ctx, weft.MessageBinary, make([]byte, 300<<10))
		c.Write(e.ctx, weft.MessageText, []byte("next"))
		_, r, err = c.Reader(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(e.ctx); err != nil || string(p) != "next" {
			t.Fatalf("after a message that was skipped: %q, %v", p, err)
		}
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("Read of a message that was skipped: %v", err)
		}
	})
}

func TestReadLimit(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		c.SetReadLimit(100)
		c.Write(e.ctx, weft.MessageText, make([]byte, 100))
		if _, p, err := c.Read(e.ctx); err != nil || len(p) != 100 {
			t.Fatalf("message at the limit: %d bytes, %v", len(p), err)
		}
		c.Write(e.ctx, weft.MessageText, make([]byte, 101))
		_, _, err := c.Read(e.ctx)
		if !errors.Is(err, weft.ErrMessageTooBig) {
			t.Fatalf("message over the limit: %v", err)
		}
		var pe *weft.ProtocolError
		if !errors.As(err, &pe) || pe.Code != weft.StatusMessageTooBig || pe.Side != "server" {
			t.Errorf("error is %#v", err)
		}
		if _, _, again := c.Read(e.ctx); again != err {
			t.Errorf("the next Read returns %v", again)
		}
	})
}

// AcceptOptions.ReadLimit holds for the first message already.
func TestAcceptReadLimit(t *testing.T) {
	for limit, want := range map[int64]int{200: 200, 0: 1 << 20, -1: 2 << 20} {
		overEach(t, func(w http.ResponseWriter, r *http.Request) {
			c, err := weft.Accept(w, r, &weft.AcceptOptions{ReadLimit: limit})
			if err != nil {
				return
			}
			c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				go c.Write(context.Background(), typ, bytes.Clone(p))
			}})
		}, func(t *testing.T, e *env) {
			c := e.dial("/", nil)
			defer c.CloseNow()
			c.SetReadLimit(0)
			c.Write(e.ctx, weft.MessageBinary, make([]byte, want))
			if _, p, err := c.Read(e.ctx); err != nil || len(p) != want {
				t.Fatalf("limit %d: of %d bytes came %d, %v", limit, want, len(p), err)
			}
			if limit >= 0 {
				c.Write(e.ctx, weft.MessageBinary, make([]byte, want+1))
				if _, _, err := c.Read(e.ctx); weft.CloseStatus(err) != weft.StatusMessageTooBig {
					t.Errorf("limit %d: %d bytes: %v", limit, want+1, err)
				}
			}
		})
	}
}

func TestPing(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		pongs := 0
		c := e.dial("/", &weft.DialOptions{OnPongReceived: func(context.Context, []byte) { pongs++ }})
		ctx := c.CloseRead(e.ctx)
		for range 3 {
			start := time.Now()
			if err := c.Ping(e.ctx); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != rtt {
				t.Errorf("a Ping took %v", d)
			}
		}
		if pongs != 3 {
			t.Errorf("%d Pongs were reported", pongs)
		}
		if err := c.Close(weft.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
	})
}

func TestCloseReadRefusesMessages(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		ctx := c.CloseRead(e.ctx)
		c.Write(e.ctx, weft.MessageText, []byte("comes back"))
		<-ctx.Done()
		if e.ctx.Err() != nil {
			t.Error("the parent context ended")
		}
	})
}

func TestHandler(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		var mu sync.Mutex
		var got []string
		over := make(chan error, 2)
		c.Handle(weft.HandlerFuncs{
			Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, string(p))
				if string(p) == "3" {
					c.Close(weft.StatusNormalClosure, "enough")
				}
			},
			Close: func(_ *weft.Conn, err error) { over <- err },
		})
		for i := range 4 {
			c.Write(e.ctx, weft.MessageText, fmt.Append(nil, i))
		}
		if err := <-over; weft.CloseStatus(err) != weft.StatusNormalClosure {
			t.Errorf("OnClose: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if s := strings.Join(got, " "); s != "0 1 2 3" {
			t.Errorf("messages: %s", s)
		}
		if _, _, err := c.Read(e.ctx); err == nil {
			t.Error("Read beside a Handler succeeded")
		}
		time.Sleep(time.Minute)
		if len(over) != 0 {
			t.Error("OnClose was called twice")
		}
	})
}

// A callback that blocks holds up its own WebSocket and no other.
func TestHandlerThatBlocks(t *testing.T) {
	release := make(chan struct{})
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			if string(p) == "block" {
				<-release
			}
			c.Write(context.Background(), typ, p)
		}})
	}, func(t *testing.T, e *env) {
		release = make(chan struct{})
		stuck, other := e.dial("/", nil), e.dial("/", nil)
		defer stuck.CloseNow()
		defer other.CloseNow()
		stuck.Write(e.ctx, weft.MessageText, []byte("block"))
		stuck.Write(e.ctx, weft.MessageText, []byte("behind"))
		time.Sleep(time.Second)
		for i := range 5 {
			msg := fmt.Sprint(i)
			other.Write(e.ctx, weft.MessageText, []byte(msg))
			if _, p, err := other.Read(e.ctx); err != nil || string(p) != msg {
				t.Fatalf("beside a callback that blocks: %q, %v", p, err)
			}
		}
		close(release)
		for _, want := range []string{"block", "behind"} {
			if _, p, err := stuck.Read(e.ctx); err != nil || string(p) != want {
				t.Fatalf("after a callback that blocked: %q, %v; want %q", p, err, want)
			}
		}
	})
}

func TestNetConn(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		n := weft.NetConn(e.ctx, e.dial("/", nil), weft.MessageBinary)
		if _, err := io.WriteString(n, "hello, "); err != nil {
			t.Fatal(err)
		}
		io.WriteString(n, "world")
		p := make([]byte, 12)
		if _, err := io.ReadFull(n, p); err != nil || string(p) != "hello, world" {
			t.Fatalf("%q, %v", p, err)
		}
		n.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := n.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read past its deadline: %v", err)
		}
		n.SetReadDeadline(time.Time{})
		io.WriteString(n, "again")
		if k, err := n.Read(p); err != nil || string(p[:k]) != "again" {
			t.Fatalf("%q, %v", p[:k], err)
		}
		if n.RemoteAddr().String() != serverAddr {
			t.Errorf("RemoteAddr is %v", n.RemoteAddr())
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A callback that panics costs its WebSocket, and is told that it is over; others go on.
func TestCallbackPanics(t *testing.T) {
	var closed atomic.Int32
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{
			Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
				if string(p) == "panic" {
					panic("as asked")
				}
				c.Write(context.Background(), typ, p)
			},
			Close: func(*weft.Conn, error) {
				closed.Add(1)
				panic("again")
			},
		})
	}, func(t *testing.T, e *env) {
		closed.Store(0)
		c, other := e.dial("/", nil), e.dial("/", nil)
		defer other.CloseNow()
		if err := c.Write(e.ctx, weft.MessageText, []byte("panic")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(e.ctx); weft.CloseStatus(err) != weft.StatusInternalError {
			t.Errorf("Read: %v, want %d", err, weft.StatusInternalError)
		}
		if n := closed.Load(); n != 1 {
			t.Errorf("OnClose was called %d times", n)
		}
		if err := other.Write(e.ctx, weft.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := other.Read(e.ctx); err != nil || string(p) != "hello" {
			t.Errorf("beside it: %q, %v", p, err)
		}
	})
}
