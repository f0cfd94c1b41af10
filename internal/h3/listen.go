package h3

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A listener is a socket that a Server listens on.
type listener struct {
	*quic.EarlyListener
	transport *quic.Transport
	pc        net.PacketConn
}

// listen begins to take what arrives on pc.
func (s *Server) listen(pc net.PacketConn) (*listener, error) {
	if s.TLSConfig == nil {
		return nil, errors.New("server has no TLS configuration")
	}
	l := &listener{pc: pc, transport: &quic.Transport{Conn: pc, VerifySourceAddress: s.Prove}}
	if udp, ok := pc.(*net.UDPConn); ok {
		l.transport.Conn = newSocket(udp)
	}
	if s.Begin != nil || s.Violation != nil {
		l.transport.ConnContext = s.begin
	}
	var err error
	l.EarlyListener, err = l.transport.ListenEarly(s.tickets(http3.ConfigureTLSConfig(s.TLSConfig)), s.quicConfig())
	if err != nil {
		return nil, err
	}
	return l, nil
}

// closeSocket ends what is left of the connections, and closes the socket.
func (l *listener) closeSocket() {
	l.transport.Close()
	l.pc.Close()
}

// tickets has cfg note our SETTINGS in session tickets, and take no early data where they were others.
//
// "A server can remember the settings that it advertised or store an integrity-protected copy of the values in the ticket and recover the
// information when accepting 0-RTT data. [...] If the server cannot determine that the settings remembered by a client are compatible with
// its current settings, it MUST NOT accept 0-RTT data." RFC 9114, Section 7.2.4.2.
func (s *Server) tickets(cfg *tls.Config) *tls.Config {
	note := appendControlStream([]byte("weft h3 "), s.settings())
	wrap, unwrap := cfg.WrapSession, cfg.UnwrapSession
	if wrap == nil {
		wrap = cfg.EncryptTicket
	}
	if unwrap == nil {
		unwrap = cfg.DecryptTicket
	}
	cfg.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, bytes.Clone(note))
		return wrap(cs, ss)
	}
	cfg.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := unwrap(identity, cs)
		if err != nil || ss == nil {
			return ss, err
		}
		same := false
		for _, extra := range ss.Extra {
			same = same || bytes.Equal(extra, note)
		}
		ss.EarlyData = ss.EarlyData && same
		return ss, nil
	}
	if choose := cfg.GetConfigForClient; choose != nil {
		cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return chosen, err
			}
			return s.tickets(chosen), nil
		}
	}
	return cfg
}
