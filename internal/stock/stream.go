package stock

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// IsConnect reports whether r is an Extended CONNECT for a WebSocket as net/http shows it.
func IsConnect(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Method == http.MethodConnect && len(r.Header[":protocol"]) == 1 && r.Header[":protocol"][0] == "websocket"
}

// Accept answers 200 with h and returns the stream, which lives until the handler returns.
func Accept(w http.ResponseWriter, r *http.Request, h http.Header) (transport.Stream, error) {
	clear(w.Header())
	for k, v := range h {
		w.Header()[k] = v
	}
	rc := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if err := rc.Flush(); err != nil {
		return nil, err
	}
	s := &Stream{
		w: w, rc: rc, body: r.Body,
		in: make(chan []byte), taken: make(chan struct{}, 1), over: make(chan struct{}),
		sending: make(chan struct{}, 1),
		info:    transport.Info{Proto: r.Proto, Secure: r.TLS != nil, RemoteAddr: addr(r.RemoteAddr)},
	}
	s.info.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	s.ended = sync.OnceFunc(func() { close(s.over) })
	s.readDeadline.init()
	s.writeDeadline.init()
	// The request's context ends when the handler returns, and with it the response's body.
	context.AfterFunc(r.Context(), s.ended)
	go s.read()
	return s, nil
}

// A Stream is one Extended CONNECT on net/http's HTTP/2. A goroutine reads the body, since a read deadline there cannot be
// taken back.
type Stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	body io.ReadCloser
	info transport.Info

	in      chan []byte   // what was read; closed at the end, after readErr was set
	taken   chan struct{} // the buffer last given is free again
	lent    bool          // guarded by the caller of Receive: a buffer is out
	readErr error

	sending       chan struct{} // a lock that a deadline can end the wait for
	readDeadline  deadline
	writeDeadline deadline
	over          chan struct{}
	ended         func() // closes over, once
}

func (s *Stream) read() {
	defer close(s.in)
	buf := make([]byte, 16<<10)
	for {
		n, err := s.body.Read(buf)
		if n > 0 {
			select {
			case s.in <- buf[:n]:
			case <-s.over:
				s.readErr = net.ErrClosed
				return
			}
			select {
			case <-s.taken:
			case <-s.over:
				s.readErr = net.ErrClosed
				return
			}
		}
		if err != nil {
			s.readErr = err
			return
		}
	}
}

// Receive implements transport.Stream.
func (s *Stream) Receive() ([]byte, error) {
	if s.lent {
		s.lent = false
		s.taken <- struct{}{}
	}
	select {
	case p, ok := <-s.in:
		if !ok {
			return nil, s.readErr
		}
		s.lent = true
		return p, nil
	case <-s.readDeadline.passed():
		return nil, os.ErrDeadlineExceeded
	case <-s.over:
		return nil, net.ErrClosed
	}
}

// Handle implements transport.Stream, with a goroutine.
func (s *Stream) Handle(recv func(p []byte, err error)) {
	s.SetReadDeadline(time.Time{})
	go func() {
		for {
			p, err := s.Receive()
			recv(p, err)
			if err != nil {
				return
			}
		}
	}()
}

// Send implements transport.Stream.
func (s *Stream) Send(head, body []byte) (int, error) {
	select {
	case s.sending <- struct{}{}:
	case <-s.writeDeadline.passed():
		return 0, os.ErrDeadlineExceeded
	case <-s.over:
		return 0, net.ErrClosed
	}
	defer func() { <-s.sending }()
	return s.write(head, body)
}

// TrySend implements transport.Stream.
func (s *Stream) TrySend(p []byte) bool {
	select {
	case s.sending <- struct{}{}:
	default:
		return false
	}
	// net/http's Write waits for the peer's window: not on the caller's time.
	p = append([]byte(nil), p...)
	go func() {
		defer func() { <-s.sending }()
		s.write(p, nil)
	}()
	return true
}

// write is called with sending held.
func (s *Stream) write(head, body []byte) (n int, err error) {
	select {
	case <-s.over:
		return 0, net.ErrClosed
	default:
	}
	defer func() {
		// net/http panics when the handler has returned, and it may return at any time.
		if recover() != nil {
			err = net.ErrClosed
		}
	}()
	n, err = s.w.Write(head)
	if err == nil && len(body) > 0 {
		var m int
		m, err = s.w.Write(body)
		n += m
	}
	if err == nil {
		err = s.rc.Flush()
	}
	return n, err
}

// SetReadDeadline implements transport.Stream.
func (s *Stream) SetReadDeadline(t time.Time) { s.readDeadline.set(t) }

// SetWriteDeadline implements transport.Stream. net/http has it for the stream; it ends the stream when it passes.
func (s *Stream) SetWriteDeadline(t time.Time) {
	s.writeDeadline.set(t)
	s.rc.SetWriteDeadline(t)
}

// Close implements transport.Stream, except that it blocks, for linger at most, until what TrySend took has been written: the
// handler may return next, which ends the stream.
func (s *Stream) Close(linger time.Duration) {
	if linger > 0 {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case s.sending <- struct{}{}:
			<-s.sending
		case <-timer.C:
		case <-s.over:
		}
	}
	s.ended()
	// A body that nobody reads is closed: the peer gets RST_STREAM(NO_ERROR) when the handler returns, if it has not ended.
	go s.body.Close()
}

// Abort implements transport.Stream.
func (s *Stream) Abort() { s.Close(0) }

// Done implements transport.Stream.
func (s *Stream) Done() <-chan struct{} { return s.over }

// Info implements transport.Stream. net/http names neither the connection nor the stream.
func (s *Stream) Info() transport.Info { return s.info }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
