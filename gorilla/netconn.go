package websocket

import (
	"errors"
	"net"
	"time"
)

// NetConn returns the connection under c: the *net.TCPConn, *tls.Conn or whatever the server or the Dialer was given. Over HTTP/2
// there is none for c alone; what is returned then has c's addresses, deadlines and Close, and fails to read and write. Reading
// from it or writing to it breaks the WebSocket.
func (c *Conn) NetConn() net.Conn {
	if s, ok := c.stream.(interface{ NetConn() net.Conn }); ok {
		return s.NetConn()
	}
	return streamConn{c}
}

// UnderlyingConn is NetConn.
//
// Deprecated: use NetConn.
func (c *Conn) UnderlyingConn() net.Conn { return c.NetConn() }

// A streamConn stands for the connection under a WebSocket that is one stream of it.
type streamConn struct{ c *Conn }

var errShared = errors.New("websocket: the connection carries other streams of HTTP/2 and is not the WebSocket's to read or write")

func (s streamConn) Read([]byte) (int, error)  { return 0, errShared }
func (s streamConn) Write([]byte) (int, error) { return 0, errShared }
func (s streamConn) Close() error              { return s.c.Close() }
func (s streamConn) LocalAddr() net.Addr       { return s.c.LocalAddr() }
func (s streamConn) RemoteAddr() net.Addr      { return s.c.RemoteAddr() }

func (s streamConn) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s streamConn) SetReadDeadline(t time.Time) error { return s.c.SetReadDeadline(t) }

func (s streamConn) SetWriteDeadline(t time.Time) error {
	s.c.stream.SetWriteDeadline(t)
	return nil
}
