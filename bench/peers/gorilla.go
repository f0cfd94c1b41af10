package peers

import (
	"net"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/weftws/weft/bench/load"
)

var gorilla = &Peer{
	Name: "gorilla", Module: "github.com/gorilla/websocket",
	Protos: []load.Proto{load.H1}, NoTLS: []load.Proto{load.H1},
	About: "its examples/echo: ReadMessage and WriteMessage in the handler",
	Serve: func(l net.Listener, o Options) error {
		var up websocket.Upgrader
		return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetReadLimit(maxMessageBytes)
			for {
				typ, p, err := c.ReadMessage()
				if err != nil {
					return
				}
				if err := c.WriteMessage(typ, p); err != nil {
					return
				}
			}
		}))
	},
}
