package load

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/weftws/weft"
)

// A socket is one WebSocket under load. It is its Conn's Handler.
type socket struct {
	run   *run
	conn  *weft.Conn
	tally *tally

	mu     sync.Mutex
	due    []time.Duration // when each message on the way was due, the oldest first
	sent   uint64          // messages
	over   bool
	writes sync.Mutex // keeps the order of messages that of their numbers
}

// send sends the next message, due at a time of the run's clock.
func (s *socket) send(due time.Duration) {
	s.writes.Lock()
	defer s.writes.Unlock()
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	n := s.sent
	s.sent++
	s.due = append(s.due, due)
	s.mu.Unlock()
	b := buffers.Get().(*[]byte)
	*b = appendMessage((*b)[:0], n, s.run.Size)
	s.conn.Write(s.run.writing, s.run.typ, *b) // of an error OnClose is told
	buffers.Put(b)
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// OnMessage implements weft.Handler.
func (s *socket) OnMessage(_ *weft.Conn, typ weft.MessageType, p []byte) {
	now := s.run.now()
	if s.run.Listen {
		s.tally.message(len(p), 0)
		return
	}
	s.mu.Lock()
	if len(s.due) == 0 {
		s.mu.Unlock()
		s.fail(fmt.Errorf("a message that answers none: %d bytes", len(p)))
		return
	}
	due := s.due[0]
	n := s.sent - uint64(len(s.due))
	if len(s.due) == 1 {
		s.due = s.due[:0] // its memory serves on
	} else {
		s.due = s.due[1:]
	}
	s.mu.Unlock()
	b := buffers.Get().(*[]byte)
	*b = appendMessage((*b)[:0], n, s.run.Size)
	same := typ == s.run.typ && bytes.Equal(*b, p)
	buffers.Put(b)
	if !same {
		s.fail(fmt.Errorf("an answer that is no echo of what was sent: %v, %d bytes", typ, len(p)))
		return
	}
	s.tally.message(len(p), max(now-due, 0))
	if s.run.Rate == 0 && !s.run.stopped.Load() {
		s.send(now)
	}
}

// OnClose implements weft.Handler.
func (s *socket) OnClose(_ *weft.Conn, err error) {
	s.mu.Lock()
	over := s.over
	s.over = true
	s.mu.Unlock()
	if !over && !s.run.stopped.Load() {
		s.run.fail(err)
	}
	s.run.closed.Done()
}

// fail gives the WebSocket up.
func (s *socket) fail(err error) {
	s.mu.Lock()
	over := s.over
	s.over = true
	s.mu.Unlock()
	if !over {
		s.run.fail(err)
		go s.conn.CloseNow()
	}
}

// unanswered returns how many messages are on the way.
func (s *socket) unanswered() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0
	}
	return int64(len(s.due))
}

// failures are counted by their text, as far as that is the same for many.
type failures struct {
	mu sync.Mutex
	by map[string]int
}

var streamNumber = regexp.MustCompile(`,? stream \d+`)

// maxFailures is how many kinds are told apart.
const maxFailures = 20

func (f *failures) fail(err error) {
	text := streamNumber.ReplaceAllString(strings.TrimPrefix(err.Error(), "weft: "), "")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[string]int)
	}
	if _, known := f.by[text]; !known && len(f.by) >= maxFailures {
		text = "other failures"
	}
	f.by[text]++
}

var _ weft.Handler = (*socket)(nil)
