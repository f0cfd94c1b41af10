package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/weftws/weft"
)

// A scenario is the life of one WebSocket or a few requests. Its error is a fault.
type scenario struct {
	name string
	run  func(ctx context.Context, c *client) error
}

var scenarios = []scenario{
	{"echo", func(ctx context.Context, c *client) error { return c.echo(ctx, "/echo") }},
	{"echo by Read", func(ctx context.Context, c *client) error { return c.echo(ctx, "/read") }},
	{"echo in the handler", func(ctx context.Context, c *client) error { return c.echo(ctx, "/inside") }},
	{"echo by package gorilla", func(ctx context.Context, c *client) error { return c.echo(ctx, "/moved") }},
	{"echo over Bridge", func(ctx context.Context, c *client) error { return c.echo(ctx, "/foreign") }},
	{"pipelined", pipelined},
	{"callbacks", callbacks},
	{"feed", feed},
	{"requests", requests},
	{"pings", pings},
	{"cancelled reads", cancelledReads},
	{"cancelled writes", cancelledWrites},
	{"cancelled dial", cancelledDial},
	{"abrupt", abrupt},
	{"reconnect", reconnect},
	{"slow reader", slowReader},
	{"refused", refused},
}

func (c *client) echo(ctx context.Context, path string) error {
	s, done, err := c.dial(ctx, path)
	if err != nil {
		return err
	}
	defer done()
	for range 1 + rand.IntN(40) {
		m := newMessage()
		if err := s.send(m); err != nil {
			return err
		}
		if err := s.compare(m); err != nil {
			return err
		}
		s.pause(len(m.p))
	}
	return s.end()
}

// sendAll sends n messages from a goroutine of its own; they come out of sent, and then its error.
func (s *socket) sendAll(n int) (sent <-chan message, failed <-chan error) {
	messages, errs := make(chan message, n), make(chan error, 1)
	go func() {
		defer close(messages)
		for range n {
			m := newMessage()
			messages <- m
			if err := s.send(m); err != nil {
				errs <- err
				return
			}
			s.pause(len(m.p))
		}
		errs <- nil
	}()
	return messages, errs
}

// pipelined messages do not wait for each other's echo.
func pipelined(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/echo")
	if err != nil {
		return err
	}
	defer done()
	sent, failed := s.sendAll(10 + rand.IntN(40))
	for m := range sent {
		if err := s.compare(m); err != nil {
			return err
		}
	}
	if err := <-failed; err != nil {
		return err
	}
	return s.end()
}

// callbacks are pipelined too, and take the echoes by Handle.
func callbacks(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/echo")
	if err != nil {
		return err
	}
	defer done()
	n := 10 + rand.IntN(20)
	sent, failed := s.sendAll(n)
	over, wrong := make(chan error, 1), make(chan error, 1)
	s.Handle(weft.HandlerFuncs{
		Message: func(ws *weft.Conn, typ weft.MessageType, p []byte) {
			if err := s.same(<-sent, typ, p); err != nil {
				select {
				case wrong <- err:
				default:
				}
			}
			if n--; n == 0 {
				ws.Close(weft.StatusNormalClosure, "")
			}
		},
		Close: func(_ *weft.Conn, err error) { over <- err },
	})
	if err := <-failed; err != nil {
		return err
	}
	select {
	case err = <-over:
	case <-ctx.Done():
		err = ctx.Err()
	}
	select {
	case err := <-wrong:
		return err
	default:
	}
	if weft.CloseStatus(err) != weft.StatusNormalClosure {
		return err
	}
	return nil
}

// feed reads broadcasts for a while: in order, whatever is missing.
func feed(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/feed")
	if err != nil {
		return err
	}
	defer done()
	var last uint64
	for range 1 + rand.IntN(20) {
		_, p, err := s.Read(ctx)
		if err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(p)
		if !bytes.Equal(p, feedMessage(n)) || n <= last {
			return fmt.Errorf("broadcast %d after %d, of %d bytes, is not what was sent", n, last, len(p))
		}
		if last > 0 && n != last+1 {
			c.gaps.Add(1)
		}
		last = n
		c.feeds.Add(1)
	}
	return s.end()
}

// requests are ordinary ones, beside the WebSockets.
func requests(ctx context.Context, c *client) error {
	for range 1 + rand.IntN(10) {
		m := newMessage()
		var body io.Reader
		method, want := http.MethodGet, block[:len(m.p)]
		if rand.IntN(2) == 0 {
			method, want, body = http.MethodPost, m.p, bytes.NewReader(m.p)
		}
		r, err := http.NewRequestWithContext(ctx, method, c.httpURL("/bytes?n="+strconv.Itoa(len(m.p))), body)
		if err != nil {
			return err
		}
		res, err := c.http.Do(r)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK || !bytes.Equal(b, want) {
			return fmt.Errorf("%s: %s, %d bytes, want %d", method, res.Status, len(b), len(want))
		}
		c.requests.Add(1)
		c.pause(ctx, len(m.p))
	}
	return nil
}

func pings(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/read")
	if err != nil {
		return err
	}
	defer done()
	sent, failed := s.sendAll(5)
	reading := make(chan error, 1)
	go func() {
		for m := range sent {
			if err := s.compare(m); err != nil {
				reading <- err
				return
			}
		}
		_, _, err := s.Read(ctx) // Pongs are seen while somebody reads
		reading <- err
	}()
	for range 1 + rand.IntN(5) {
		if err := s.Ping(ctx); err != nil {
			select {
			case end := <-reading: // nobody sees Pongs then
				err = fmt.Errorf("%w, after reading ended with: %v", err, end)
			default:
			}
			return err
		}
		c.pings.Add(1)
		s.pause(0)
	}
	if err := <-failed; err != nil {
		return err
	}
	if err := s.end(); err != nil {
		return err
	}
	<-reading
	return nil
}

// cancelledReads lose nothing.
func cancelledReads(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/echo")
	if err != nil {
		return err
	}
	defer done()
	sent, failed := s.sendAll(10)
	for m := range sent {
		for {
			short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Microsecond)
			typ, p, err := s.Read(short)
			cancel()
			if err == nil {
				if err := s.same(m, typ, p); err != nil {
					return err
				}
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				return err
			}
			c.interrupts.Add(1)
		}
	}
	if err := <-failed; err != nil {
		return err
	}
	return s.end()
}

// cancelledWrites either have not happened, or cost the WebSocket: what a Write took without an error arrives.
func cancelledWrites(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, "/count")
	if err != nil {
		return err
	}
	defer done()
	taken := 0
	for range 20 {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		err := s.Write(short, weft.MessageBinary, block[:64<<10])
		cancel()
		switch {
		case err == nil:
			taken++
		case !errors.Is(err, context.DeadlineExceeded):
			return nil // the one before was cut
		default:
			c.interrupts.Add(1)
		}
	}
	if err := s.Write(ctx, weft.MessageText, []byte("end")); err != nil {
		return nil
	}
	_, p, err := s.Read(ctx)
	if err != nil {
		return err
	}
	if string(p) != strconv.Itoa(taken) {
		return fmt.Errorf("the server counted %s messages, %d were written", p, taken)
	}
	return s.end()
}

func cancelledDial(ctx context.Context, c *client) error {
	short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(15_000))*time.Microsecond)
	defer cancel()
	s, done, err := c.dial(short, "/echo")
	if err != nil {
		// Package net may notice a deadline before the context does.
		if deadline, _ := short.Deadline(); time.Now().Before(deadline) {
			return err
		}
		c.cancelled.Add(1)
		return nil
	}
	defer done()
	s.ctx = ctx
	m := newMessage()
	if err := s.send(m); err != nil {
		return err
	}
	if err := s.compare(m); err != nil {
		return err
	}
	return s.end()
}

// abrupt ends without a word, in the middle of messages in both directions.
func abrupt(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, []string{"/echo", "/read", "/feed", "/moved", "/foreign"}[rand.IntN(5)])
	if err != nil {
		return err
	}
	defer done()
	// Nobody reads here, so that both sides may come to wait for each other.
	sending, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s.ctx = sending
	for range rand.IntN(8) {
		if s.send(newMessage()) != nil {
			break
		}
	}
	c.aborts.Add(1)
	return nil
}

// reconnect goes on through Close frames with 1001 and answers with 503.
func reconnect(ctx context.Context, c *client) error {
	left := 3 + rand.IntN(6)
	r := &weft.Reconnector{
		Dialer: c.dialer, URL: c.url + "/bye",
		Backoff: weft.Backoff{Base: 20 * time.Millisecond, Max: 200 * time.Millisecond},
		OnRetry: func(weft.Retry) { c.reconnects.Add(1) },
	}
	return r.Run(ctx, func(ctx context.Context, ws *weft.Conn) error {
		c.count(ws)
		defer c.open.Add(-1)
		s := &socket{ws, c, ctx}
		for {
			m := newMessage()
			if err := s.send(m); err != nil {
				return err
			}
			if err := s.compare(m); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
			s.pause(len(m.p))
		}
	})
}

// slowReader has the server send into full windows.
func slowReader(ctx context.Context, c *client) error {
	s, done, err := c.dial(ctx, []string{"/echo", "/read", "/moved"}[rand.IntN(3)])
	if err != nil {
		return err
	}
	defer done()
	const n = 24
	failed := make(chan error, 1)
	m := message{weft.MessageBinary, block[:100<<10]}
	go func() {
		for range n {
			if err := s.send(m); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	select {
	case <-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond):
	case <-ctx.Done():
	}
	for range n {
		if err := s.compare(m); err != nil {
			return err
		}
	}
	c.unread.Add(1)
	if err := <-failed; err != nil {
		return err
	}
	return s.end()
}

func refused(ctx context.Context, c *client) error {
	_, _, err := c.dialer.Dial(ctx, c.url+"/refuse", nil)
	if he, ok := errors.AsType[*weft.HandshakeError](err); !ok || he.StatusCode != http.StatusForbidden {
		return fmt.Errorf("dial of what is forbidden: %v", err)
	}
	_, _, err = c.dialer.Dial(ctx, c.url+"/echo", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	if he, ok := errors.AsType[*weft.HandshakeError](err); !ok || he.StatusCode != http.StatusForbidden {
		return fmt.Errorf("dial from another origin: %v", err)
	}
	return nil
}
