package h2net

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/h2/wire"
	"github.com/weftws/weft/internal/transport"
)

// A conn is one HTTP/2 connection, either side of it: the engine, the batching writer, and the goroutine that reads.
//
//	       Read          Recv, NextEvent          callbacks, handlers, Receive
//	nc ──────────▶ run ──────────────────▶ streams
//	nc ◀────────── flusher ◀────────────── engine ◀── Send, Close, ResponseWriter
//	       Write         AppendOutput
//
// Everything below f is guarded by f's mutex unless it says otherwise; the engine is only called with it held. It is
// never held across I/O, a callback or a wait.
type conn struct {
	nc        net.Conn
	side      h2.Side
	id        uint64
	sendQueue int // bytes of DATA queued on a stream at which Send waits
	tls       *tls.ConnectionState
	local     net.Addr
	remote    net.Addr
	role      role
	done      chan struct{} // closed when the connection has ended and everybody on it was told

	f   transport.Flusher
	eng *h2.Conn

	reading reading
	timer   connTimer

	// streams are those that are not released yet, in no particular order.
	streams  *stream
	nstreams int
	// ending are the streams whose callback is owed the last call.
	ending []*stream
	// awaitingEnd are the streams on which only what is queued has to be written.
	awaitingEnd []*stream

	pings  map[[8]byte]chan<- time.Duration
	fields []h2.Field // used again for every field section that is sent
	names  []string   // the same, for what sorts it

	goAway   *ConnError // the peer's GOAWAY
	failure  *ConnError // why the engine gave the connection up; the reading goroutine ends it
	err      *ConnError // why the connection has ended
	draining bool       // the final GOAWAY was sent, or the peer's received: close when no stream is left
	closing  bool       // closeSoon was called
	held     int64      // what account has told memory
	mute     bool       // our side of the network connection is closed: nothing is written any more

	// goneAway is closed with the peer's GOAWAY; nil while nobody waits.
	goneAway chan struct{}
	// memory is what all connections of a server hold together; nil: nobody counts.
	memory *transport.Budget
	// altSvc appends Alt-Svc to the fields of a response; nil: not wanted.
	altSvc func(dst []h2.Field, st *stream, status int, h http.Header) []h2.Field
}

// A role is what differs between the sides. Its methods are called with the lock held.
type role interface {
	recvHeaders(ev *h2.Event)
	recvSettings(ev *h2.Event)
	violated(v *h2.Violation, detail string)
	streamsChanged() // nstreams became 0, or 1 from 0
	pong(ev *h2.Event)
	recvAdvert(ev *h2.Event)
	ended() // err was set
	trim()  // the connection is quiet
	// hooks tells the owner what it is to be told, without the lock: at the end of a batch and where streams end. hooksSoon
	// leaves that to another goroutine.
	hooks()
	hooksSoon()
	logf(format string, args ...any)
}

func newConn(nc net.Conn, cfg h2.Config, writeTimeout time.Duration, r role) *conn {
	c := &conn{
		nc: nc, side: cfg.Side, role: r, done: make(chan struct{}),
		local: nc.LocalAddr(), remote: nc.RemoteAddr(), sendQueue: cfg.MaxSendQueue,
	}
	if c.sendQueue <= 0 {
		c.sendQueue = defaultSendQueue
		cfg.MaxSendQueue = defaultSendQueue
	}
	if writeTimeout == 0 {
		writeTimeout = defaultWriteTimeout
	}
	if c.side == h2.Server {
		c.id = serverConns.Add(1)
	} else {
		c.id = clientConns.Add(1)
	}
	cfg.StallTimeout = writeTimeout
	cfg.NewStream = newStream
	cfg.MaxEvents = maxEvents
	c.eng = h2.New(time.Now(), cfg)
	c.f.Conn = nc
	c.f.Timeout = writeTimeout
	c.f.Watched = true
	c.f.Take = c.take
	c.f.Size = c.eng.OutputSize
	c.f.Failed = c.writeFailed
	return c
}

// take is the Flusher's source of bytes.
func (c *conn) take(dst []byte) []byte {
	if c.mute {
		return dst
	}
	if out := c.eng.SwapOutput(dst); out != nil {
		dst = out
	} else {
		dst = c.eng.AppendOutput(dst, cap(dst))
	}
	if c.eng.Waiting() {
		c.rearm()
	}
	c.account()
	if len(c.awaitingEnd) > 0 {
		c.written()
	}
	if !c.reading.dispatching {
		c.quietEvents()
	}
	return dst
}

// written looks which of the streams that wait for it have nothing queued any more.
func (c *conn) written() {
	waiting := c.awaitingEnd
	c.awaitingEnd = c.awaitingEnd[:0]
	for _, st := range waiting {
		st.awaitsEnd = false
		st.endWhenWritten()
	}
	clear(waiting[len(c.awaitingEnd):])
}

// endWhenWritten settles st when what is queued on it was written, which is at once if nothing is.
func (st *stream) endWhenWritten() {
	switch {
	case st.s.Pending() == 0:
		if st.resetAtEnd {
			st.reset(noError) // behind END_STREAM, which is in the output
		}
		st.settle()
	case !st.awaitsEnd:
		st.awaitsEnd = true
		st.c.awaitingEnd = append(st.c.awaitingEnd, st)
	}
}

// writeFailed is the Flusher's report, without the lock.
func (c *conn) writeFailed(err error) {
	c.f.Lock()
	if c.failure == nil && c.err == nil && !c.closing {
		c.failure = networkError(err, c.goAway)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.role.violated(writeTimeout, fmt.Sprintf("peer took nothing of what was sent for %v", c.f.Timeout))
		}
	}
	c.f.Unlock()
	c.kill()
}

// writeTimeout is no rule of the engine's, which has no clock of its own.
var writeTimeout = &h2.Violation{Name: "write-timeout", Conn: true, Code: wire.EnhanceYourCalm, Section: "RFC 9113, Section 10.5"}

// kill closes the network connection without ceremony; the reading goroutine notices.
func (c *conn) kill() {
	if t, ok := c.nc.(*tls.Conn); ok {
		t.NetConn().Close() // Close would try to send close_notify first
	}
	c.nc.Close()
}

// add takes a stream of the engine's into the connection's books. Called with the lock held.
func (c *conn) add(s *h2.Stream) *stream {
	st := s.User.(*stream)
	st.c = c
	st.next = c.streams
	if st.next != nil {
		st.next.prev = st
	}
	c.streams = st
	c.nstreams++
	if c.nstreams == 1 {
		c.role.streamsChanged()
	}
	return st
}

func (c *conn) remove(st *stream) {
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		c.streams = st.next
	}
	if st.next != nil {
		st.next.prev = st.prev
	}
	st.prev, st.next = nil, nil
	c.nstreams--
	if c.nstreams == 0 && c.err == nil {
		c.role.streamsChanged()
		if c.draining {
			c.closeSoon()
		}
	}
}

// goAwayNow announces that no further stream is taken, and closes when none is left. Called with the lock held.
func (c *conn) goAwayNow() {
	if c.side == h2.Server && !c.eng.Draining() {
		c.eng.GoAway(noError, "") // the first one names the highest identifier
	}
	c.eng.GoAway(noError, "")
	c.draining = true
	if c.nstreams == 0 {
		c.closeSoon()
	}
}

// closeSoon ends the connection in good order: what is queued is written, then our side is closed, then the peer has
// closeLinger to close its own. Called with the lock held; it does not block.
func (c *conn) closeSoon() {
	if c.closing || c.err != nil {
		return
	}
	c.closing = true
	go func() {
		overdue := time.AfterFunc(closeLinger, c.kill)
		c.f.Finish()
		overdue.Stop()
		c.closeWrite()
	}()
}

// closeWrite closes our side and bounds what remains of the peer's.
func (c *conn) closeWrite() {
	c.f.Lock()
	c.mute = true
	c.nc.SetReadDeadline(time.Now().Add(closeLinger))
	c.f.Unlock()
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		t.CloseWrite()
		nc = t.NetConn()
	}
	if cw, ok := nc.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite()
		return
	}
	c.nc.Close()
}

// lost ends the connection for all streams. Called with the lock held; what it leaves in ending is the reading goroutine's to tell.
func (c *conn) lost(err *ConnError) {
	if c.err != nil {
		return
	}
	c.err = err
	c.forget()
	c.timer.stop()
	clear(c.awaitingEnd)
	c.awaitingEnd = c.awaitingEnd[:0]
	for st := c.streams; st != nil; {
		next := st.next
		st.end(err)
		st = next
	}
	for _, ch := range c.pings {
		close(ch)
	}
	c.pings = nil
	c.role.ended()
}

// finish is the last thing the reading goroutine does, in a batch but without the lock.
func (c *conn) finish(linger bool) {
	c.role.hooks()
	overdue := time.AfterFunc(closeLinger, c.kill)
	c.f.End()
	if linger {
		// The GOAWAY must not be lost to the reset that closing with unread input causes.
		c.f.Finish()
		overdue.Stop()
		c.closeWrite()
		var sink [512]byte
		for {
			if _, err := c.nc.Read(sink[:]); err != nil {
				break
			}
		}
	}
	overdue.Stop()
	c.nc.Close()
	// No event is left that points into it.
	transport.PutBuffer(c.reading.in)
	c.reading.in = nil
	close(c.done)
}

var serverConns, clientConns atomic.Uint64

const (
	defaultSendQueue    = 64 << 10
	defaultWriteTimeout = 30 * time.Second
	// closeLinger is how long the peer has to close its side after we closed ours.
	closeLinger = time.Second
)
