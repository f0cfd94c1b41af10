package peers

import (
	"net"
	"net/http"

	"github.com/lxzan/gws"

	"github.com/weftws/weft/bench/load"
)

var gwsPeer = &Peer{
	Name: "gws", Module: "github.com/lxzan/gws",
	Protos: []load.Proto{load.H1}, NoTLS: []load.Proto{load.H1},
	About: "its README's echo in net/http: ReadLoop in a goroutine, callbacks",
	Serve: func(l net.Listener, o Options) error {
		up := gws.NewUpgrader(gwsEcho{}, &gws.ServerOption{CheckUtf8Enabled: true, ReadMaxPayloadSize: maxMessageBytes})
		return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := up.Upgrade(w, r); err == nil {
				go c.ReadLoop()
			}
		}))
	},
}

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	c.WriteMessage(m.Opcode, m.Bytes())
}
