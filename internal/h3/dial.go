package h3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/transport"
)

// DialOptions configure Dial.
type DialOptions struct {
	// TLS is cloned. ServerName is the caller's to set; the application protocol is set here.
	TLS *tls.Config
	// Sessions, if set, keep under SessionKey what the server gives for the next connection.
	Sessions   *Sessions
	SessionKey string
	// Early lets requests leave in early data where Sessions have what that takes. Early data may be replayed (RFC 8470).
	Early bool

	KeepAlive   time.Duration // a PING after so much silence; 0: never
	IdleTimeout time.Duration // ends the connection after so much silence; default 30 s, and the smaller one of both sides counts
	// HandshakeTimeout ends a Dial in which the peer is silent for so long, and one that takes twice as long. Default 5 s.
	HandshakeTimeout time.Duration
	WriteTimeout     time.Duration // a peer that accepts nothing for so long loses the stream; default 30 s
	// MaxStreamsHint is how many streams the server is supposed to allow; default 100. QUIC's limit itself is not to be seen:
	// State says that there are slots, up to this number, as long as one more stream could be opened.
	MaxStreamsHint int

	// Idle, if set, is called when the last stream ended; Closed when the connection ended, with the reason. Neither may
	// block. Closed is not called where Dial fails.
	Idle   func(*ClientConn)
	Closed func(*ClientConn, error)
}

// Dial makes an HTTP/3 connection to remote over pc, which it owns, and closes also when it fails. It returns when the QUIC
// handshake is complete; at once, if opt.Early is set and Sessions remember a ticket and SETTINGS that allow Extended CONNECT.
// ctx bounds Dial alone. The error is a *ConnError.
func Dial(ctx context.Context, pc net.PacketConn, remote net.Addr, opt DialOptions) (*ClientConn, error) {
	cc := &ClientConn{
		opt: opt, pc: listen(pc), id: transport.NextConnID(),
		settings: make(chan struct{}), done: make(chan struct{}), live: make(map[*Call]struct{}),
	}
	cc.tr = &quic.Transport{Conn: cc.pc}
	conf := opt.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.NextProtos = []string{http3.NextProtoH3}
	qconf := &quic.Config{
		KeepAlivePeriod: opt.KeepAlive, MaxIdleTimeout: opt.IdleTimeout, HandshakeIdleTimeout: opt.HandshakeTimeout,
		InitialStreamReceiveWindow: initialWindow, MaxStreamReceiveWindow: defaultStreamWindow,
		InitialConnectionReceiveWindow: defaultConnWindow, MaxConnectionReceiveWindow: defaultConnWindow,
		MaxIncomingStreams: -1, // "HTTP/3 does not use server-initiated bidirectional streams." RFC 9114, Section 6.1.
	}
	dial := cc.tr.Dial
	if opt.Sessions != nil {
		cc.sessions = &connSessions{all: opt.Sessions, key: opt.SessionKey}
		conf.ClientSessionCache = cc.sessions
		qconf.TokenStore = tokenStore{cc.sessions}
		if remembered, ok := opt.Sessions.remembered(opt.SessionKey, time.Now()); ok && opt.Early {
			cc.remembered, dial = remembered, cc.tr.DialEarly
		}
	}
	q, err := dial(ctx, remote, conf, qconf)
	if err != nil {
		return nil, cc.dialFailed(err)
	}
	cc.q = q
	cc.start()
	return cc, nil
}

func (cc *ClientConn) dialFailed(err error) error {
	e := connError(err, cc.pc.heard())
	cc.tr.Close()
	cc.pc.Close()
	return e
}

// start begins HTTP/3 on the connection.
func (cc *ClientConn) start() {
	select {
	case <-cc.q.HandshakeComplete():
		cc.remembered = settings{} // there was no early data after all
	default:
		cc.early = true
		// Choice: now, not when it is needed. quic-go v0.65 opens a stream by limits of the server's that it reads without a lock, and the
		// end of the handshake writes them. That cannot have come yet, and what the control stream sends next tells quic-go of this read.
		cc.openSpare()
	}
	if err := cc.openControl(); err != nil {
		cc.q.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeInternalError), "")
	}
	context.AfterFunc(cc.q.Context(), cc.ended)
	go cc.acceptStreams()
}

// openControl opens our control stream. It does not wait for the network.
func (cc *ClientConn) openControl() error {
	control, err := cc.q.OpenUniStream()
	if err == nil {
		_, err = control.Write(appendControlStream(nil, settings{maxSection: maxResponseSection}))
	}
	return err
}

// acceptStreams takes the server's unidirectional streams until the connection ends.
func (cc *ClientConn) acceptStreams() {
	for {
		s, err := cc.q.AcceptUniStream(context.Background())
		switch {
		case err == nil:
			go recvStream(cc, s)
		case !errors.Is(err, quic.Err0RTTRejected):
			return
		case !cc.goOn():
			return
		}
	}
}
