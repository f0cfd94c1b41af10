package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftws/weft"
)

// A connLog writes a line for every WebSocket that opens or closes.
type connLog struct {
	mu   sync.Mutex
	w    io.Writer
	open sync.WaitGroup // the WebSockets whose close was not written yet
}

func newConnLog(w io.Writer) *connLog { return &connLog{w: w} }

func (l *connLog) printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.mu.Lock() // lines of several goroutines do not mix; a terminal that stands still stops its own server
	defer l.mu.Unlock()
	io.WriteString(l.w, line)
}

// wait returns when every WebSocket's close was written, or ctx is done.
func (l *connLog) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.open.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// A session is one WebSocket of the playground, as the log sees it.
type session struct {
	*weft.Conn
	log     *connLog
	label   string // "/echo HTTP/2.0 conn=3 stream=5 remote=127.0.0.1:5000"
	start   time.Time
	in, out atomic.Int64 // messages
	over    atomic.Bool
}

// newSession logs that c is open. With ?hello=1 it tells the peer what carries c.
func newSession(l *connLog, r *http.Request, c *weft.Conn) *session {
	tr := c.Trace()
	s := &session{Conn: c, log: l, start: time.Now()}
	l.open.Add(1)
	s.label = fmt.Sprintf("%s %s conn=%d stream=%d remote=%s",
		r.URL.EscapedPath(), c.Version(), tr.ConnID, tr.StreamID, tr.RemoteAddr)
	l.printf("open  %s%s%s\n", s.label, field("subprotocol", c.Subprotocol()), field("compression", tr.Compression))
	if r.URL.Query().Get("hello") == "1" {
		hello, _ := json.Marshal(hello{c.Version(), tr.ConnID, tr.StreamID, c.Subprotocol(), tr.Compression})
		s.send(weft.MessageText, hello)
	}
	return s
}

// hello is a WebSocket's first message with ?hello=1.
type hello struct {
	Version     string `json:"version"`     // "HTTP/1.1", "HTTP/2.0" or "HTTP/3.0"
	Conn        uint64 `json:"conn"`        // connection, counted from 1 by the server
	Stream      uint64 `json:"stream"`      // stream of HTTP/2 or QUIC; 0 on HTTP/1.1
	Subprotocol string `json:"subprotocol"` // agreed, or ""
	Compression string `json:"compression"` // permessage-deflate's agreed parameters, or ""
}

func field(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(" %s=%q", name, value)
}

// send writes a message and counts it. It blocks as Conn.Write does.
func (s *session) send(typ weft.MessageType, p []byte) error {
	err := s.Write(context.Background(), typ, p)
	if err == nil {
		s.out.Add(1)
	}
	return err
}

// ended logs that the WebSocket is over and why. Only the first call counts.
func (s *session) ended(err error) {
	if s.over.Swap(true) {
		return
	}
	s.log.printf("close %s duration=%s in=%d out=%d %s\n", s.label,
		time.Since(s.start).Round(time.Millisecond), s.in.Load(), s.out.Load(), describeEnd(err))
	s.log.open.Done()
}

// describeEnd gives the close code for the log: the peer's, ours, or 1006 with the error.
func describeEnd(err error) string {
	if ce, ok := errors.AsType[*weft.CloseError](err); ok {
		return fmt.Sprintf("code=%d%s", int(ce.Code), field("reason", ce.Reason))
	}
	if pe, ok := errors.AsType[*weft.ProtocolError](err); ok {
		return fmt.Sprintf("code=%d error=%q", int(pe.Code), pe.Detail)
	}
	if errors.Is(err, net.ErrClosed) {
		return `code=1006 error="closed by the server"`
	}
	return fmt.Sprintf("code=1006 error=%q", strings.TrimPrefix(fmt.Sprint(err), "weft: "))
}
