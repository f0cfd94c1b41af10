package peers

import (
	"bufio"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/bench/load"
)

var quicGo = &Peer{
	Name: "quic-go", Module: "github.com/quic-go/quic-go", Protos: []load.Proto{load.H3},
	About: "its http3.Server, whose handler takes the stream over, frames by hand, one write when a stream's input is drained",
	Serve: func(_ net.Listener, o Options) error { return serveQUICGo(o, false) },
}

var quicGoEach = &Peer{
	Name: "quic-go-each", Module: "github.com/quic-go/quic-go", Several: true, Protos: []load.Proto{load.H3},
	About: "the same, one write for every message, as a library's Write has to",
	Serve: func(_ net.Listener, o Options) error { return serveQUICGo(o, true) },
}

func serveQUICGo(o Options, writeEach bool) error {
	s := &http3.Server{
		TLSConfig: o.TLS, QUICConfig: &quic.Config{MaxIncomingStreams: maxStreams},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect || r.Proto != "websocket" {
				http.Error(w, "not a WebSocket", http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusOK)
			q, err := w.(http3.HTTPStreamer).HTTPStream()
			if err != nil {
				return
			}
			defer q.Close()
			echoFrames(q, writeEach)
		}),
	}
	return s.Serve(o.Packets)
}

// echoFrames echoes what comes on q, message by message or, like that, as much as was read at a time.
func echoFrames(q *http3.Stream, writeEach bool) {
	br := bufio.NewReaderSize(q, 4096)
	var payload, out []byte
	for {
		op, p, err := readFrame(br, payload)
		if err != nil {
			return
		}
		payload = p
		out = appendFrame(out, op, p)
		if writeEach || br.Buffered() == 0 || op&15 == opClose {
			if _, err := q.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		if op&15 == opClose {
			return
		}
	}
}
