package weft

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// watch is http.Server's ConnState: it finds connections that http.Server gives up because a handshake or a header does not end, or has no
// end in sight, and says so: http.Server counts none of them, and answers only what is too large.
//
// A connection that is kept in reserve, as browsers do, is none of those: it has sent nothing that a request could begin with.
func (s *Server) watch(c net.Conn, state http.ConnState) {
	a, received := acceptedUnder(c)
	if a == nil {
		return
	}
	switch state {
	case http.StateActive: // a request is there, or has failed
		switch {
		case a.deadline.Load() == 0: // it is there: http.Server has lifted the deadline
		case a.late():
			s.slowHeader(c)
			sayTimeout(c)
		case received-a.begun >= int64(s.http.MaxHeaderBytes):
			s.limitExceeded(c, "http1", "header-list-too-large", "RFC 6585, Section 5", fmt.Sprintf("client sent a request header of more than %d bytes", s.http.MaxHeaderBytes))
		}
		a.ready, a.idle = true, false
		a.opened()
	case http.StateIdle:
		a.idle, a.deadlines, a.begun = true, 0, received
	case http.StateClosed:
		tc, secure := c.(*tls.Conn)
		switch {
		case !a.late():
		case a.ready:
			if a.idle && a.deadlines > 1 { // http.Server had all of what came before it asked for more
				s.slowHeader(c)
			}
		case secure && !tc.ConnectionState().HandshakeComplete:
			s.limitExceeded(c, "tls", "handshake-timeout", "", fmt.Sprintf("client did not end the TLS handshake within %v", s.http.ReadHeaderTimeout))
		case !secure && received > 0:
			s.slowHeader(c)
		}
	}
}

func (s *Server) slowHeader(c net.Conn) {
	s.limitExceeded(c, "http1", "headers-timeout", "RFC 9110, Section 15.5.9", fmt.Sprintf("client did not end the header of a request within %v", s.http.ReadHeaderTimeout))
}

func (s *Server) limitExceeded(c net.Conn, protocol, name, section, detail string) {
	s.Options.Observer.violation(Violation{
		Side: "client", Protocol: protocol, Name: name, Limit: true, Section: section, Detail: detail, RemoteAddr: c.RemoteAddr().String(),
	})
}

// sayTimeout answers a request whose header has not ended; http.Server closes the connection then.
//
// "The 408 (Request Timeout) status code indicates that the server did not receive a complete request message within the time that it was
// prepared to wait." RFC 9110, Section 15.5.9.
func sayTimeout(c net.Conn) {
	c.SetWriteDeadline(time.Now().Add(lastWord))
	io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// sendAlert ends a TLS handshake in which nothing has been encrypted.
//
// "user_canceled: This alert notifies the recipient that the sender is canceling the handshake for some reason unrelated to a protocol
// failure. ... This alert SHOULD be followed by a 'close_notify'." RFC 8446, Section 6.1.
func sendAlert(c net.Conn) {
	c.SetWriteDeadline(time.Now().Add(lastWord))
	io.WriteString(c, "\x15\x03\x03\x00\x02\x01\x5a"+"\x15\x03\x03\x00\x02\x01\x00")
}

// lastWord is how long a client may take to accept one.
const lastWord = 100 * time.Millisecond
