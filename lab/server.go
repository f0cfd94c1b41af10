package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/devcert"
	"github.com/weftws/weft/negotiate"
)

// A site is where the measured servers are: in this process or started by it, each behind a relay.
type site struct {
	rtt   time.Duration
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	udp   func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)
	cert  tls.Certificate
	roots *x509.CertPool
	dir   string // of what the peers' configurations name

	places map[place]string // of a relay: host:port
	stops  []func()         // in the order they were asked for
	plain  int              // the port of the server behind the peers; 0: it does not run yet
}

// A place is one server.
type place struct {
	peer     string // "": ours
	features Features
	next     string // where its Alt-Svc points to, host:port of a relay; "": to itself, if it has HTTP/3, or nowhere
	noUDP    bool
}

func newSite(rtt time.Duration) (*site, error) {
	s := &site{rtt: rtt, dial: farDialer(rtt), udp: dialUDP, places: make(map[place]string), roots: x509.NewCertPool()}
	var err error
	if s.cert, err = devcert.New(time.Now()); err != nil {
		return nil, err
	}
	s.roots.AddCert(s.cert.Leaf)
	if s.dir, err = os.MkdirTemp("", "weft-lab-"); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, func() { os.RemoveAll(s.dir) })
	// Servers read it before they give up root's rights, and write beside it after.
	return s, os.Chmod(s.dir, 0o755)
}

func (s *site) close() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}

// find returns host:port of the relay in front of what c dials, and starts what is not there yet.
func (s *site) find(ctx context.Context, c Case) (string, error) {
	p := place{features: c.origin, noUDP: c.Network == NoUDP}
	if c.peer != nil {
		p.peer = c.peer.Name
	}
	if c.next != nil {
		var err error
		if p.next, err = s.start(ctx, place{features: *c.next}, nil); err != nil {
			return "", err
		}
	}
	return s.start(ctx, p, c.peer)
}

func (s *site) start(ctx context.Context, p place, peer *Peer) (string, error) {
	if addr, ok := s.places[p]; ok {
		return addr, nil
	}
	var r *relay
	var err error
	if peer == nil {
		r, err = s.startOurs(p)
	} else if r, err = s.startPeer(ctx, peer); err != nil {
		err = fmt.Errorf("%s: %w", peer.Name, err)
	}
	if err != nil {
		return "", err
	}
	s.stops = append(s.stops, r.close)
	s.places[p] = fmt.Sprintf("localhost:%d", r.addr().Port)
	return s.places[p], nil
}

// startOurs starts a server of this module, or net/http's where there is to be no HTTP/2.
func (s *site) startOurs(p place) (*relay, error) {
	l, socket, err := listenBoth()
	if err != nil {
		return nil, err
	}
	var datagram net.Addr
	if p.features.HTTP3 && !p.noUDP {
		datagram = socket.LocalAddr()
	}
	r, err := newRelay(l.Addr().String(), datagram, s.rtt/2)
	if err != nil {
		l.Close()
		socket.Close()
		return nil, err
	}
	s.serve(l, socket, p, r.addr().Port)
	return r, nil
}

// serve serves p on l and socket until s is closed. Clients know it by port.
func (s *site) serve(l net.Listener, socket net.PacketConn, p place, port int) {
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}}
	quiet := log.New(io.Discard, "", 0)
	handler := echo(p.features.Early)
	if !p.features.HTTP2 {
		srv := &http.Server{Handler: handler, TLSConfig: config, ErrorLog: quiet, Protocols: new(http.Protocols)}
		srv.Protocols.SetHTTP1(true)
		s.run(func() error { return srv.ServeTLS(l, "", "") }, srv.Close)
		socket.Close()
		return
	}
	srv := &weft.Server{Handler: handler, TLSConfig: config, ErrorLog: quiet, Options: p.options(port)}
	s.run(func() error { return srv.ServeTLS(l, "", "") }, srv.Close)
	if p.features.HTTP3 {
		s.run(func() error { return srv.ServeQUIC(socket) }, srv.Close)
	} else {
		socket.Close()
	}
}

// run lets a server serve until s is closed.
func (s *site) run(serve, stop func() error) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve()
	}()
	s.stops = append(s.stops, func() {
		stop()
		<-served
	})
}

// options are those of a server with p's features, which clients know by port.
func (p place) options(port int) weft.ServerOptions {
	opt := weft.ServerOptions{DisableConnectProtocol: !p.features.Connect}
	for _, f := range []struct {
		on   bool
		rung negotiate.Rung
	}{{p.features.Token, negotiate.Token}, {p.features.H21, negotiate.H21}, {p.features.Frame, negotiate.Frame}} {
		if f.on {
			opt.Rungs = append(opt.Rungs, f.rung)
		}
	}
	if _, there, err := net.SplitHostPort(p.next); err == nil {
		opt.AltSvc = fmt.Sprintf("%s=%q", nextDoor.ALPN, ":"+there)
	} else if p.features.HTTP3 {
		opt.AltSvc = fmt.Sprintf("%s=\":%d\"", origin.ALPN, port)
	}
	return opt
}

// echo opens a WebSocket, with early where the handshake comes in early data, and answers what comes.
func echo(early bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := weft.Accept(w, r, &weft.AcceptOptions{AllowEarlyData: early})
		if err != nil {
			return
		}
		c.Handle(weft.HandlerFuncs{Message: func(c *weft.Conn, typ weft.MessageType, p []byte) {
			c.Write(context.Background(), typ, p)
		}})
	}
}

// startPeer starts one of the other servers, and behind it one of ours.
func (s *site) startPeer(ctx context.Context, peer *Peer) (*relay, error) {
	if err := s.startPlain(); err != nil {
		return nil, err
	}
	b := &behind{Behind: s.plain, Modules: "/usr/lib/apache2/modules"}
	// Of its own, also after a start that failed.
	var err error
	if b.Dir, err = os.MkdirTemp(s.dir, peer.Name); err != nil {
		return nil, err
	}
	if err := s.writeCertificate(b); err != nil {
		return nil, err
	}
	if b.Port, err = freePort(); err != nil {
		return nil, err
	}
	proc, err := peer.run(ctx, b)
	if err != nil {
		return nil, err
	}
	s.stops = append(s.stops, proc.close)
	s.warmUp(ctx, b.Port)
	return newRelay(fmt.Sprintf("127.0.0.1:%d", b.Port), nil, s.rtt/2)
}

// warmUp has a server do once what it is going to be measured at: Node compiles what it runs when it first does, which takes tens of
// milliseconds. A server that fails will fail again where that is reported.
func (s *site) warmUp(ctx context.Context, port int) {
	d := &weft.Dialer{TLSConfig: &tls.Config{RootCAs: s.roots}, NetDial: s.dial, Proxy: noProxy}
	defer d.Close()
	for _, p := range []negotiate.Policy{settings, onlyUpgrade} {
		if conn, _, err := d.Dial(ctx, fmt.Sprintf("wss://localhost:%d/", port), &weft.DialOptions{Policy: &p}); err == nil {
			conn.CloseNow()
		}
	}
}

// startPlain starts the server behind the peers.
func (s *site) startPlain() error {
	if s.plain != 0 {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &weft.Server{Handler: echo(false), ErrorLog: log.New(io.Discard, "", 0)}
	s.run(func() error { return srv.Serve(l) }, srv.Close)
	s.plain = l.Addr().(*net.TCPAddr).Port
	return nil
}

// writeCertificate writes the certificate's files to b.Dir.
func (s *site) writeCertificate(b *behind) error {
	key, err := x509.MarshalPKCS8PrivateKey(s.cert.PrivateKey)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Certificate[0]})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	b.Cert, b.Key, b.Both = filepath.Join(b.Dir, "cert.pem"), filepath.Join(b.Dir, "key.pem"), filepath.Join(b.Dir, "both.pem")
	for path, text := range map[string][]byte{b.Cert: certPEM, b.Key: keyPEM, b.Both: append(certPEM, keyPEM...)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
