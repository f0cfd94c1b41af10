package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weftws/weft"
)

const (
	maxStreamRate = 10_000  // messages a second
	maxStreamSize = 1 << 20 // bytes
	// streamTick is the shortest pause between batches; at higher rates a batch has several messages.
	streamTick = 5 * time.Millisecond
)

// serveStream pushes rate messages of size bytes a second.
func (s *site) serveStream(w http.ResponseWriter, r *http.Request) {
	rate, err1 := intParam(r.URL.Query(), "rate", 10, maxStreamRate)
	size, err2 := intParam(r.URL.Query(), "size", 100, maxStreamSize)
	if err := errors.Join(err1, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := s.accept(w, r, weft.AcceptOptions{CompressionMode: weft.CompressionNoContextTakeover})
	if c == nil {
		return
	}
	c.ended(c.stream(rate, size))
}

// stream sends until the WebSocket ends. A peer that does not keep up gets fewer messages a second: at most a second's
// worth is made up for.
func (s *session) stream(rate, size int) error {
	ended := make(chan error, 1)
	s.Handle(weft.HandlerFuncs{
		Message: func(c *weft.Conn, _ weft.MessageType, _ []byte) {
			s.in.Add(1)
			go c.Close(weft.StatusPolicyViolation, "stream takes no messages")
		},
		Close: func(_ *weft.Conn, err error) { ended <- err },
	})
	interval := max(time.Second/time.Duration(rate), streamTick)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	text := make([]byte, size)
	last, due, number := time.Now(), 1.0, 0 // the first at once
	for {
		for ; due >= 1; due-- {
			number++
			if s.send(weft.MessageText, appendStreamText(text[:0], number, size)) != nil {
				return <-ended
			}
		}
		select {
		case err := <-ended:
			return err
		case now := <-ticker.C:
			due = min(due+now.Sub(last).Seconds()*float64(rate), float64(rate))
			last = now
		}
	}
}

// appendStreamText appends the message's number, cut or filled with dots to size bytes.
func appendStreamText(dst []byte, number, size int) []byte {
	dst = strconv.AppendInt(dst, int64(number), 10)
	for len(dst) < size {
		dst = append(dst, '.')
	}
	return dst[:size]
}

// intParam returns the number called name, from 1 to limit.
func intParam(q url.Values, name string, fallback, limit int) (int, error) {
	s := q.Get(name)
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > limit {
		return 0, fmt.Errorf("%s is %q; it must be a number from 1 to %d", name, s, limit)
	}
	return n, nil
}
