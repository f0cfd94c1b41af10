package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/weftws/weft"
)

// A catSession is an open WebSocket between standard input and output. One goroutine sends, one receives, and run decides.
type catSession struct {
	cat  *cat
	conn *weft.Conn
	out  *printer

	received int
	code     weft.StatusCode // with which the WebSocket ended; 0: without a Close frame
	reason   string
}

// A message is one that has arrived.
type message struct {
	typ  weft.MessageType
	data []byte
}

// run returns when the WebSocket has ended. A nil error is a normal end.
func (s *catSession) run(ctx context.Context) error {
	defer s.conn.CloseNow()
	messages := make(chan message)
	lost := make(chan error, 1)
	done := make(chan struct{})
	defer close(done)
	go s.receive(messages, lost, done)
	sent := make(chan error, 1)
	go func() { sent <- s.send() }()

	var quiet <-chan time.Time // fires when nothing has arrived for the time of --linger
	var timer *time.Timer
	for {
		select {
		case m := <-messages:
			s.received++
			if err := s.out.message(m); err != nil {
				return err // nobody reads our output
			}
			if s.received == s.cat.count {
				return s.close(ctx, messages, false)
			}
			if timer != nil {
				timer.Reset(s.cat.linger)
			}
		case err := <-lost:
			return s.ended(err)
		case err := <-sent:
			if err != nil {
				return s.sendFailed(err, lost)
			}
			wait := s.lingerAtEOF()
			if wait == 0 {
				return s.close(ctx, messages, true)
			}
			if wait > 0 {
				timer = time.NewTimer(wait)
				quiet = timer.C
			}
		case <-quiet:
			return s.close(ctx, messages, true)
		case <-ctx.Done():
			return s.abandon(ctx)
		}
	}
}

// lingerAtEOF is how long to go on after the end of standard input; less than 0: until the peer closes.
func (s *catSession) lingerAtEOF() time.Duration {
	if s.cat.lingerSet {
		return s.cat.linger
	}
	if isTerminal(s.cat.stdin) {
		return 0
	}
	if s.cat.count > 0 {
		return -1
	}
	return s.cat.linger
}

// receive passes messages on until the WebSocket ends.
func (s *catSession) receive(messages chan<- message, lost chan<- error, done <-chan struct{}) {
	for {
		typ, data, err := s.conn.Read(context.Background())
		if err != nil {
			lost <- err
			return
		}
		select {
		case messages <- message{typ, data}:
		case <-done:
			return
		}
	}
}

// send sends standard input line by line until it ends.
func (s *catSession) send() error {
	typ := weft.MessageText
	if s.cat.binary {
		typ = weft.MessageBinary
	}
	in := bufio.NewReader(s.cat.stdin)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if typ == weft.MessageText && !utf8.Valid(line) {
				return fmt.Errorf("line %d of standard input is not UTF-8; --binary sends bytes", number)
			}
			if err := s.conn.Write(context.Background(), typ, line); err != nil {
				return &writeError{err}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}

// A writeError is the WebSocket's failure, as opposed to standard input's.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// sendFailed returns why sending failed. If the WebSocket is what failed, the receiving side knows the reason.
func (s *catSession) sendFailed(err error, lost <-chan error) error {
	if _, ok := errors.AsType[*writeError](err); ok {
		select {
		case err := <-lost:
			return s.ended(err)
		case <-time.After(farewell):
			return err
		}
	}
	s.conn.Close(weft.StatusNormalClosure, "")
	return err
}

// farewell bounds how long a WebSocket that is of no use any more is waited for.
const farewell = time.Second

// close closes the WebSocket normally and waits for the peer to do so too. What arrives until then is printed, or not.
func (s *catSession) close(ctx context.Context, messages <-chan message, keep bool) error {
	closed := make(chan error, 1)
	go func() { closed <- s.conn.Close(weft.StatusNormalClosure, "") }()
	for {
		select {
		case m := <-messages:
			if keep {
				s.received++
				if err := s.out.message(m); err != nil {
					return err
				}
			}
		case err := <-closed:
			if err != nil {
				return fmt.Errorf("close: %w", trimmed{err})
			}
			s.code = weft.StatusNormalClosure
			return s.shortfall()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// abandon closes the WebSocket because ctx ended; the peer gets a moment.
func (s *catSession) abandon(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		s.conn.Close(weft.StatusGoingAway, "")
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(farewell):
	}
	return context.Cause(ctx)
}

// ended turns the end of the WebSocket into the command's.
func (s *catSession) ended(err error) error {
	ce, ok := errors.AsType[*weft.CloseError](err)
	if !ok {
		return err
	}
	s.code, s.reason = ce.Code, ce.Reason
	s.conn.Close(weft.StatusNormalClosure, "") // waits until our answer is out: the process is about to end
	if s.code != weft.StatusNormalClosure && s.code != weft.StatusNoStatusRcvd {
		return err
	}
	return s.shortfall()
}

// shortfall says that fewer messages have arrived than -n asked for.
func (s *catSession) shortfall() error {
	if s.received < s.cat.count {
		return fmt.Errorf("%d of %d messages arrived", s.received, s.cat.count)
	}
	return nil
}

// report prints how it ended, for --json.
func (s *catSession) report(err error) {
	if s.code != 0 {
		s.out.closed(s.code, s.reason)
	} else if err != nil {
		s.out.failure(err, nil)
	}
}
