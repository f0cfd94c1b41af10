// Package peers holds the echo servers that the benchmark sets beside each other, each written the way its own
// documentation advises for speed. Everybody's compression is off.
package peers

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/weftws/weft/bench/load"
)

// A Peer is a kind of server.
type Peer struct {
	Name      string
	About     string
	Module    string // where its version stands in this program; "" for the standard library and Node
	Weft      bool
	IdleOnly  bool         // measured for memory alone
	Several   bool         // measured with several messages in flight alone
	Broadcast bool         // no echo: what one sends goes to all
	Deflate   bool         // compresses, with context takeover
	Floor     bool         // no WebSocket server: what the connection alone costs
	Debug     string       // what its process needs in GODEBUG
	Protos    []load.Proto // what it serves over TLS
	NoTLS     []load.Proto // and without
	Serve     func(net.Listener, Options) error
	Client    func(addr string, cfg *tls.Config) Dial // instead: it is the client that is measured
	Command   []string                                // instead of Serve: a program to run, with arguments PROTO ADDR [CERT KEY]
}

// Options are what a Peer's server is given.
type Options struct {
	Proto load.Proto
	TLS   *tls.Config // with a certificate and nothing else; nil: without TLS

	Packets net.PacketConn // for HTTP/3, instead of the listener
	Room    *Room          // for a Peer that broadcasts
}

// All lists the peers, the subject first.
var All = []*Peer{
	weftCallbacks, weftBlocking, weftHandler,
	netHTTP, netHTTPEach, xNet, node,
	quicGo, quicGoEach,
	gwsPeer, gorilla, coder, gobwas,
	raw,
	weftBroadcast, gwsBroadcast, gorillaBroadcast,
	weftDeflate, gwsDeflate, coderDeflate,
	weftClient, weftClientBlocking, xNetClient, gwsClient, gorillaClient, coderClient,
}

// Named returns the peer of that name, or nil.
func Named(name string) *Peer {
	for _, p := range All {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Serves reports whether p can be loaded like that.
func (p *Peer) Serves(proto load.Proto, useTLS bool) bool {
	protos := p.Protos
	if !useTLS {
		protos = p.NoTLS
	}
	for _, x := range protos {
		if x == proto {
			return true
		}
	}
	return false
}

// Version is the version of the module in this program.
func (p *Peer) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || p.Module == "" {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == p.Module {
			return d.Version
		}
	}
	return ""
}

// maxMessageBytes is the read limit of servers that have one.
const maxMessageBytes = 4 << 20

var quiet = log.New(io.Discard, "", 0)

// serveHTTP1 serves h over HTTP/1.1 with net/http.
func serveHTTP1(l net.Listener, o Options, h http.Handler) error {
	s := &http.Server{Handler: h, TLSConfig: o.TLS, Protocols: new(http.Protocols), ErrorLog: quiet}
	s.Protocols.SetHTTP1(true)
	if o.TLS != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// serveConns serves each connection in a goroutine.
func serveConns(l net.Listener, o Options, alpn []string, serve func(net.Conn) error) error {
	if o.TLS != nil {
		cfg := o.TLS.Clone()
		cfg.NextProtos = alpn
		l = tls.NewListener(l, cfg)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}
