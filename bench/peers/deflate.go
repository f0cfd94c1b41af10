package peers

import (
	"net"
	"net/http"

	"github.com/coder/websocket"
	"github.com/lxzan/gws"

	"github.com/weftws/weft"

	"github.com/weftws/weft/bench/load"
)

// The servers that keep a window of what they sent and received (RFC 7692, Section 7.1.1). gorilla and gobwas have none, Node's
// core neither.
var (
	weftDeflate = &Peer{
		Name: "weft-deflate", Weft: true, Deflate: true, IdleOnly: true, Protos: []load.Proto{load.H2, load.H1}, NoTLS: []load.Proto{load.H2, load.H1},
		About: "Conn.Handle, CompressionContextTakeover: windows of 4 KiB, codecs shared",
		Serve: func(l net.Listener, o Options) error {
			return serveWeftWith(l, o, &weft.AcceptOptions{CompressionMode: weft.CompressionContextTakeover}, callbacks)
		},
	}

	gwsDeflate = &Peer{
		Name: "gws-deflate", Module: "github.com/lxzan/gws", Deflate: true, IdleOnly: true, NoTLS: []load.Proto{load.H1},
		About: "context takeover both ways, its default windows of 4 KiB",
		Serve: func(l net.Listener, o Options) error {
			up := gws.NewUpgrader(gwsEcho{}, &gws.ServerOption{
				CheckUtf8Enabled: true, ReadMaxPayloadSize: maxMessageBytes,
				PermessageDeflate: gws.PermessageDeflate{Enabled: true, ServerContextTakeover: true, ClientContextTakeover: true},
			})
			return serveHTTP1(l, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, err := up.Upgrade(w, r); err == nil {
					go c.ReadLoop()
				}
			}))
		},
	}

	coderDeflate = &Peer{
		Name: "coder-deflate", Module: "github.com/coder/websocket", Deflate: true, IdleOnly: true, NoTLS: []load.Proto{load.H1},
		About: "CompressionContextTakeover: windows of 32 KiB, a compressor for each connection",
		Serve: func(l net.Listener, o Options) error {
			return serveCoder(l, o, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		},
	}
)
