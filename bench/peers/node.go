package peers

import (
	_ "embed"

	"github.com/weftws/weft/bench/load"
)

var node = &Peer{
	Name: "node", Command: []string{"node", "--expose-gc", "-e", nodeScript},
	Protos: []load.Proto{load.H2, load.H1}, NoTLS: []load.Proto{load.H1},
	About: "Node's http2 and http, frames by hand, one write for each 'data' event",
}

//go:embed node/server.js
var nodeScript string
