package peers

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/weftws/weft/bench/load"
)

var coder = &Peer{
	Name: "coder", Module: "github.com/coder/websocket",
	Protos: []load.Proto{load.H1}, NoTLS: []load.Proto{load.H1},
	About: "Read and Write in the handler, with a background context, which is its cheapest",
	Serve: func(l net.Listener, o Options) error {
		return serveCoder(l, o, nil)
	},
}

func serveCoder(l net.Listener, o Options, opts *websocket.AcceptOptions) error {
	return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, opts)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(maxMessageBytes)
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
	}))
}
