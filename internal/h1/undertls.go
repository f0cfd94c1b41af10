package h1

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/weftws/weft/internal/transport"
)

// Listener returns l with connections on which a WebSocket over TLS can be written to without waiting, where the system and l allow
// that. They are otherwise l's.
func Listener(l net.Listener) net.Listener { return listener{l, new(transport.Watch)} }

type listener struct {
	net.Listener
	watch *transport.Watch
}

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if c, ok := nc.(tcpConn); ok {
		if s := newSocket(c); s != nil {
			return &underTLS{tcpConn: c, socket: s, watch: l.watch}, err
		}
	}
	return nc, err
}

// A tcpConn is a *net.TCPConn, or what is around one.
type tcpConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// An underTLS is a TCP connection under a tls.Conn, whose Write encrypts first and then has to get rid of the records. During a try
// they are kept here if the system does not take them.
type underTLS struct {
	tcpConn
	socket   *socket
	watch    *transport.Watch // of all that came from the Listener
	received int64

	mu      sync.Mutex // never held while anybody waits
	trying  bool
	writing bool   // somebody writes what was held
	held    []byte // Invariant: what is written later does not overtake it
}

// NetConn returns what the Listener accepted.
func (u *underTLS) NetConn() net.Conn { return u.tcpConn }

// Received returns how many bytes Read has returned; it is called by who reads.
func (u *underTLS) Received() int64 { return u.received }

// Read implements net.Conn, for one caller at a time: a tls.Conn holds a lock meanwhile.
func (u *underTLS) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := u.socket.readInto(p)
	u.received += int64(n)
	switch e := err.(type) {
	case nil:
		return n, nil
	case *net.OpError: // of the net package's raw connection
		e.Op = "read"
	case *os.SyscallError:
		err = &net.OpError{Op: "read", Net: u.LocalAddr().Network(), Source: u.LocalAddr(), Addr: u.RemoteAddr(), Err: err}
	}
	return n, err
}

// Write implements net.Conn.
func (u *underTLS) Write(p []byte) (int, error) {
	u.mu.Lock()
	if !u.trying && !u.writing && len(u.held) == 0 {
		u.mu.Unlock()
		return u.tcpConn.Write(p)
	}
	defer u.mu.Unlock()
	n := 0
	if len(u.held) == 0 && !u.writing && len(p) <= smallRecord {
		var err error
		if n, _, err = u.socket.tryWrite(p); err != nil {
			return n, err
		}
	}
	u.hold(p[n:])
	return len(p), nil
}

// hold is called with mu held.
func (u *underTLS) hold(p []byte) {
	if len(p) == 0 {
		return
	}
	if need := len(u.held) + len(p); need > cap(u.held) {
		larger := append(transport.GetBuffer(max(need, 2*cap(u.held))), u.held...)
		transport.PutBuffer(u.held)
		u.held = larger
	}
	u.held = append(u.held, p...)
}

// push writes of what is held as much as the system takes at once. Called with mu held.
func (u *underTLS) push() error {
	if len(u.held) == 0 || u.writing {
		return nil
	}
	n, _, err := u.socket.tryWrite(u.held)
	u.held = u.held[:copy(u.held, u.held[n:])]
	u.shed()
	return err
}

// drain writes all that is held.
func (u *underTLS) drain() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.held) > 0 {
		p := u.held
		u.held, u.writing = nil, true
		u.mu.Unlock()
		_, err := u.tcpConn.Write(p)
		transport.PutBuffer(p)
		u.mu.Lock()
		u.writing = false
		if err != nil {
			return err
		}
	}
	return nil
}

// shed is called with mu held.
func (u *underTLS) shed() {
	if len(u.held) == 0 && u.held != nil {
		transport.PutBuffer(u.held)
		u.held = nil
	}
}

// A tlsWriter writes to a tls.Conn over an underTLS: what a Flusher's Try and Conn need to be.
type tlsWriter struct {
	tls *tls.Conn
	u   *underTLS
}

// try encrypts p, unless something is held, and gives the system what it takes.
func (w *tlsWriter) try(p []byte) (n int, clear bool, err error) {
	u := w.u
	u.mu.Lock()
	if err = u.push(); err != nil || len(u.held) > 0 || len(p) == 0 {
		clear = len(u.held) == 0
		u.mu.Unlock()
		return 0, clear, err
	}
	u.trying = true
	u.mu.Unlock()
	n, err = w.tls.Write(p[:min(len(p), maxTry)])
	u.mu.Lock()
	u.trying = false
	if err == nil {
		err = u.push()
	}
	clear = len(u.held) == 0
	u.mu.Unlock()
	return n, clear, err
}

// Write writes what is held and then p, and waits for it.
func (w *tlsWriter) Write(p []byte) (int, error) {
	if err := w.u.drain(); err != nil || len(p) == 0 {
		return 0, err
	}
	return w.tls.Write(p)
}

func (w *tlsWriter) SetWriteDeadline(t time.Time) error { return w.tls.SetWriteDeadline(t) }

const (
	// smallRecord is the size of records in bytes up to which each is written by itself.
	smallRecord = 1 << 10
	// maxTry is how much is encrypted at a time, for it may have to be held.
	maxTry = 64 << 10
)
