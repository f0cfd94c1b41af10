package h1

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// A Stream is a connection after its HTTP/1.1 handshake.
//
//	open --Close--> closed: flush, end our side, discard until the peer ends its side or linger passes --> gone
//	                (a client: flush, discard until the server ends its side or linger passes, end ours)
//	open or closed --Abort, or a Write that failed--> gone
type Stream struct {
	nc     net.Conn
	info   transport.Info
	client bool // we asked for the Upgrade

	// Set with out's mutex held, or by the reader; read without.
	closed    atomic.Bool // by Close or Abort: Send and Receive say net.ErrClosed
	receiving atomic.Bool // somebody is in the connection's Read or in recv

	// out's mutex guards everything down to the reader's part.
	out transport.Queue

	ended   bool          // by CloseWrite: Send says net.ErrClosed
	gone    bool          // the connection is closed
	done    chan struct{} // made on demand, closed when gone
	failed  error         // a Write's error
	handled bool          // Handle was called

	// The reader's part: touched by Receive, or by Handle's goroutine.
	early    []byte // arrived with the handshake
	in       []byte // what the last read returned lies here
	size     int    // of the buffer for the next read
	maxSize  int
	socket   *socket // nil: nc is no socket
	received error   // how the peer's side ended
}

// Options configure a Stream.
type Options struct {
	// Secure says that the connection is TLS. A *tls.Conn is recognised without it.
	Secure bool
	// WriteTimeout bounds one Write to the network; the default is 30 s. A peer that reads nothing for so long loses
	// the connection.
	WriteTimeout time.Duration
	// CloseFirst makes Close end our side at once on a client too, as a net.Conn does: whoever closes then has its own rules
	// about who ends the connection first.
	CloseFirst bool
}

// NewStream returns the stream on nc, which it owns. buffered are bytes of the peer's that were read together with the
// handshake; the stream owns them too.
func NewStream(nc net.Conn, buffered []byte, opt Options) *Stream {
	_, isTLS := nc.(*tls.Conn)
	s := &Stream{
		nc: nc,
		info: transport.Info{
			Proto:      "HTTP/1.1",
			Secure:     opt.Secure || isTLS,
			ConnID:     transport.NextConnID(),
			LocalAddr:  nc.LocalAddr(),
			RemoteAddr: nc.RemoteAddr(),
		},
		early:   buffered,
		size:    minReadSize,
		maxSize: maxReadSize,
	}
	if s.info.Secure {
		// One Read of a tls.Conn returns one record at most. RFC 8446, Section 5.1.
		s.maxSize = maxRecordSize
	}
	s.out.Changed.L = &s.out
	s.out.Conn = nc
	s.out.Timeout = opt.WriteTimeout
	if s.out.Timeout == 0 {
		s.out.Timeout = defaultWriteTimeout
	}
	s.out.Take, s.out.Pooled = s.out.TakeAll, true
	s.out.Refuse = s.refuse
	s.out.Failed = s.writeFailed
	if sc, ok := nc.(syscall.Conn); ok {
		s.socket = newSocket(sc)
	}
	if s.socket != nil {
		s.out.Try = s.socket.tryWrite
	} else if tc, ok := nc.(*tls.Conn); ok {
		if u, ok := tc.NetConn().(*underTLS); ok {
			w := &tlsWriter{tc, u}
			s.out.Conn, s.out.Try = w, w.try
			// Choice: a callback does not encrypt what it sends, unless that is large. The goroutine that called it does so afterwards, which spares
			// it a larger stack for as long as the connection lives.
			s.out.Watch = u.watch
		}
	}
	return s
}

// Info implements [transport.Stream].
func (s *Stream) Info() transport.Info { return s.info }

// SetReadDeadline implements [transport.Stream]. It has no effect after Handle.
func (s *Stream) SetReadDeadline(t time.Time) {
	s.out.Lock()
	if !s.closed.Load() && !s.handled {
		s.nc.SetReadDeadline(t)
	}
	s.out.Unlock()
}

const (
	defaultWriteTimeout = 30 * time.Second
	minReadSize         = 512
	maxReadSize         = 64 << 10
	maxRecordSize       = 16 << 10
)

// longAgo as a deadline interrupts what is blocked.
var longAgo = time.Unix(1, 0)
