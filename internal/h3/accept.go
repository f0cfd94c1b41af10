package h3

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/weftws/weft/internal/fields"
	"github.com/weftws/weft/internal/transport"
)

// IsConnect reports whether r is an Extended CONNECT for a WebSocket as quic-go's own http3.Server shows it.
func IsConnect(r *http.Request) bool { return isExtended(r) && r.Proto == "websocket" }

// Accept answers 200 with h on quic-go's own http3.Server and returns the stream, which outlives the handler. It fails where w
// is no response writer of quic-go's, nor wraps one with Unwrap, and where an answer was given already.
func Accept(w http.ResponseWriter, r *http.Request, h http.Header) (transport.Stream, error) {
	info := transport.Info{}
	info.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	info.RemoteAddr, _ = r.Context().Value(http3.RemoteAddrContextKey).(net.Addr)
	streamer := streamerOf(w)
	if streamer == nil {
		return nil, errors.New("the response writer is none of quic-go's HTTP/3 server")
	}
	header := w.Header()
	clear(header)
	header["Date"] = nil // quic-go adds one otherwise
	for name, values := range h {
		if !fields.ConnectionSpecific(strings.ToLower(name)) {
			header[name] = values
		}
	}
	w.WriteHeader(http.StatusOK)
	hs, err := streamer.HTTPStream()
	if err != nil {
		return nil, err
	}
	return newStream(hs.QUICStream(), &accepted{hs: hs}, &foreignWriter, info, 0), nil
}

func streamerOf(w http.ResponseWriter) http3.HTTPStreamer {
	for {
		switch v := w.(type) {
		case http3.HTTPStreamer:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// isExtended reports whether r is an Extended CONNECT, whose :protocol quic-go puts into Proto.
func isExtended(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.ProtoMajor == 3 && r.Proto != "HTTP/3.0"
}

// An accepted is what a stream needs to know of a connection of a server that is not ours. It shows neither itself nor its number.
type accepted struct{ hs *http3.Stream }

// foreignWriter is for all of them: it never waits.
var foreignWriter writer

func (a *accepted) lost(err error) *ConnError { return connError(err, true) }

// violated can only end the stream: the connection is out of reach.
func (a *accepted) violated(st *stream, v *violation) { st.reset(v.code) }

// recvEmpty implements under. Nobody counts them on such a connection, and the content of its requests is read by quic-go.
func (a *accepted) recvEmpty(int) error { return nil }

// released takes the stream, which has ended on both sides, off quic-go's books.
func (a *accepted) released(*stream) { a.hs.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError)) }
