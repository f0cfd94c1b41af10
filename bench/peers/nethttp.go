package peers

import (
	"bufio"
	"net"
	"net/http"

	"golang.org/x/net/http2"

	"github.com/weftws/weft/bench/load"
)

const xconnect = "http2xconnect=1" // without it neither offers Extended CONNECT

var netHTTP = &Peer{
	Name: "net/http", Debug: xconnect,
	Protos: []load.Proto{load.H2}, NoTLS: []load.Proto{load.H2},
	About: "the standard library's HTTP/2, frames by hand in the handler, flushed when a stream's input is drained",
	Serve: func(l net.Listener, o Options) error { return serveNetHTTP(l, o, extendedConnect(false)) },
}

var netHTTPEach = &Peer{
	Name: "net/http-each", Several: true, Debug: xconnect,
	Protos: []load.Proto{load.H2}, NoTLS: []load.Proto{load.H2},
	About: "the same, flushed after every message, as a library's Write has to",
	Serve: func(l net.Listener, o Options) error { return serveNetHTTP(l, o, extendedConnect(true)) },
}

func serveNetHTTP(l net.Listener, o Options, h http.Handler) error {
	s := &http.Server{
		Handler: h, TLSConfig: o.TLS, Protocols: new(http.Protocols), ErrorLog: quiet,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if o.TLS != nil {
		s.Protocols.SetHTTP2(true)
		return s.ServeTLS(l, "", "")
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

var xNet = &Peer{
	Name: "x/net", Module: "golang.org/x/net", Debug: xconnect,
	Protos: []load.Proto{load.H2},
	About:  "golang.org/x/net/http2 by ConfigureServer, the same handler",
	Serve: func(l net.Listener, o Options) error {
		s := &http.Server{Handler: extendedConnect(false), TLSConfig: o.TLS, ErrorLog: quiet}
		//lint:ignore SA1019 deprecated, and still what many programs run
		if err := http2.ConfigureServer(s, &http2.Server{MaxConcurrentStreams: maxStreams}); err != nil {
			return err
		}
		return s.ServeTLS(l, "", "")
	},
}

const maxStreams = 10_000

// extendedConnect echoes WebSocket messages on an Extended CONNECT (RFC 8441, Section 4).
func extendedConnect(flushEach bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" {
			http.Error(w, "not a WebSocket", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusOK)
		flush := w.(http.Flusher).Flush
		flush()
		br := bufio.NewReaderSize(r.Body, 4096)
		var payload, out []byte
		for {
			op, p, err := readFrame(br, payload)
			if err != nil {
				return
			}
			payload = p
			out = appendFrame(out[:0], op, p)
			if _, err := w.Write(out); err != nil {
				return
			}
			if flushEach || br.Buffered() == 0 {
				flush()
			}
			if op&15 == opClose {
				return
			}
		}
	}
}
