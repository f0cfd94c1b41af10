package fakeorigin

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

// A Server is an Origin at an address. It is safe for concurrent use.
type Server struct {
	listener *simnet.Listener
	cert     tls.Certificate
	closing  chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	origin *Origin
	conns  map[*conn]struct{}
	counts Counts
}

// Counts are what clients have done.
type Counts struct {
	TCP        int // connections
	TLS        int // handshakes completed
	Upgrades   int // GETs with Upgrade
	Connects   int // Extended CONNECTs, and WS_OPEN
	WebSockets int // opened
	EarlyData  int // DATA, or bytes behind a GET, before the handshake was answered

	Handshakes []Handshake // Upgrades and CONNECTs, as they came
	Frames     []string    // of HTTP/2, the first line of each

	// How clients ended connections that the server had not, after TLS was done.
	CloseNotify, FIN, RST int
}

// A Handshake is what asked for a WebSocket. With a Status, an application may have acted on it.
type Handshake struct {
	Method string
	Path   string
	Header http.Header
	Status int // of the answer; 0: there was none
}

// Start starts a server at addr, "10.0.0.2:443". cert is not used by a plain one.
func Start(n *simnet.Network, addr string, cert tls.Certificate, o *Origin) *Server {
	s := &Server{
		listener: n.Listen(addr), cert: cert, closing: make(chan struct{}), origin: o, conns: make(map[*conn]struct{}),
	}
	s.running.Go(s.accept)
	return s
}

// Set changes the behaviour on connections that are accepted from now on.
func (s *Server) Set(o *Origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin = o
}

// Close ends the server and its connections, and waits for that.
func (s *Server) Close() {
	close(s.closing)
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.raw.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Conns is the number of connections that neither end has closed.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Counts returns the counts as they stand.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Handshakes, c.Frames = slices.Clone(c.Handshakes), slices.Clone(c.Frames)
	return c
}

func (s *Server) count(f func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{server: s, raw: &rawConn{Conn: nc}}
		c.nc = c.raw
		s.mu.Lock()
		c.origin = s.origin
		s.conns[c] = struct{}{}
		s.counts.TCP++
		s.mu.Unlock()
		s.running.Go(c.serve)
	}
}

// A conn is one connection.
type conn struct {
	server *Server
	origin *Origin
	raw    *rawConn
	nc     net.Conn // raw, or TLS on it
}

func (c *conn) serve() {
	defer c.leave()
	if c.origin.Serve != nil {
		c.origin.Serve(c.raw)
		return
	}
	alpn := append(c.origin.protocols(), "http/1.1")[0]
	if !c.origin.Plain {
		var err error
		if alpn, err = c.handshake(); err != nil {
			return
		}
	}
	if alpn == "http/1.1" || alpn == "" {
		c.serveHTTP1()
		return
	}
	c.serveHTTP2()
}

func (c *conn) leave() {
	c.nc.Close()
	c.raw.Close()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c)
}

var errHello = errors.New("the ClientHello has another answer")

// handshake returns the protocol that was chosen.
func (c *conn) handshake() (alpn string, err error) {
	tc := tls.Server(c.raw, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c.origin.Pick != nil {
			if o := c.origin.Pick(hello.SupportedProtos); o != nil {
				c.origin = o
			}
		}
		if c.origin.Hello != "" {
			c.raw.mute = true // crypto/tls wants to send an alert
			return nil, errHello
		}
		return &tls.Config{Certificates: []tls.Certificate{c.server.cert}, NextProtos: c.origin.protocols()}, nil
	}})
	if err := tc.Handshake(); errors.Is(err, errHello) {
		c.raw.mute = false
		c.say(c.origin.Hello)
		c.drain(c.raw)
		return "", errHello
	} else if err != nil {
		return "", err
	}
	c.nc = tc
	c.server.count(func(n *Counts) { n.TLS++ })
	return tc.ConnectionState().NegotiatedProtocol, nil
}

// say sends an answer in bytes.
func (c *conn) say(answer string) {
	text, end := cutEnd(answer)
	io.WriteString(c.nc, text)
	c.finish(end)
}

func (c *conn) finish(end string) {
	switch end {
	case CloseNotify:
		c.nc.Close()
	case FIN:
		c.raw.Close()
	case RST:
		c.raw.Conn.(*simnet.Conn).Reset()
	}
}

// drain reads until the connection is over and returns how that came.
func (c *conn) drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	if err == nil {
		err = io.EOF
	}
	return err
}

// ended counts how the client ended the connection.
func (c *conn) ended(err error) {
	c.server.count(func(n *Counts) {
		switch {
		case errors.Is(err, net.ErrClosed):
		case errors.Is(err, syscall.ECONNRESET):
			n.RST++
		case c.raw.fin:
			n.FIN++
		case errors.Is(err, io.EOF):
			n.CloseNotify++
		}
	})
}

// pause lets d pass, and reports whether the server goes on.
func (c *conn) pause(d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.server.closing:
		return false
	}
}

// A rawConn is a TCP connection that sees FIN, which crypto/tls does not tell from close_notify.
type rawConn struct {
	net.Conn
	mute bool
	fin  bool
}

func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.fin = true
	}
	return n, err
}

func (c *rawConn) Write(p []byte) (int, error) {
	if c.mute {
		return len(p), nil
	}
	return c.Conn.Write(p)
}
