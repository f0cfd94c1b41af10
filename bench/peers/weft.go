package peers

import (
	"context"
	"net"
	"net/http"

	"github.com/weftws/weft"

	"github.com/weftws/weft/bench/load"
)

var (
	weftProtos = []load.Proto{load.H3, load.H2, load.H1}
	weftNoTLS  = []load.Proto{load.H2, load.H1}
)

var weftCallbacks = &Peer{
	Name: "weft-callbacks", Weft: true, Protos: weftProtos, NoTLS: weftNoTLS,
	About: "Conn.Handle: no goroutine a WebSocket",
	Serve: func(l net.Listener, o Options) error { return serveWeft(l, o, callbacks) },
}

var weftBlocking = &Peer{
	Name: "weft-blocking", Weft: true, Protos: weftProtos, NoTLS: weftNoTLS,
	About: "Read and Write in a goroutine of its own; the handler has returned",
	Serve: func(l net.Listener, o Options) error {
		return serveWeft(l, o, func(c *weft.Conn) { go readWrite(c) })
	},
}

var weftHandler = &Peer{
	Name: "weft-handler", Weft: true, IdleOnly: true, Protos: weftProtos, NoTLS: weftNoTLS,
	About: "Read and Write inside the handler",
	Serve: func(l net.Listener, o Options) error { return serveWeft(l, o, readWrite) },
}

func serveWeft(l net.Listener, o Options, use func(*weft.Conn)) error {
	return serveWeftWith(l, o, nil, use)
}

func serveWeftWith(l net.Listener, o Options, accept *weft.AcceptOptions, use func(*weft.Conn)) error {
	s := &weft.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := weft.Accept(w, r, accept)
			if err != nil {
				return
			}
			c.SetReadLimit(maxMessageBytes)
			use(c)
		}),
		TLSConfig: o.TLS,
		Options:   weft.ServerOptions{MaxConcurrentStreams: maxStreams},
		ErrorLog:  quiet,
	}
	if o.Packets != nil {
		return s.ServeQUIC(o.Packets)
	}
	if o.TLS != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

func callbacks(c *weft.Conn) { c.Handle(echoHandler{}) }

type echoHandler struct{}

func (echoHandler) OnMessage(c *weft.Conn, typ weft.MessageType, p []byte) {
	c.Write(context.Background(), typ, p)
}

func (echoHandler) OnClose(*weft.Conn, error) {}

func readWrite(c *weft.Conn) {
	defer c.CloseNow()
	ctx := context.Background()
	for {
		typ, p, err := c.Read(ctx)
		if err != nil {
			return
		}
		if err := c.Write(ctx, typ, p); err != nil {
			return
		}
	}
}
