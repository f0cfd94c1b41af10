package peers

import (
	"net"

	"github.com/weftws/weft/bench/load"
)

var raw = &Peer{
	Name: "raw", Floor: true,
	Protos: []load.Proto{load.Raw}, NoTLS: []load.Proto{load.Raw},
	About: "Go's crypto/tls and nothing else: returns the bytes of each read in one write",
	Serve: func(l net.Listener, o Options) error { return serveConns(l, o, nil, returnBytes) },
}

func returnBytes(c net.Conn) error {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
	}
}
