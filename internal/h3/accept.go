package h3

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

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
	st, err := accept(w, h, foreignConn{}, &foreignWriter, info, 0)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// accept takes the stream over from quic-go's server.
func accept(w http.ResponseWriter, h http.Header, conn under, wr *writer, info transport.Info, writeTimeout time.Duration) (*stream, error) {
	streamer := streamerOf(w)
	if streamer == nil {
		return nil, errors.New("the response writer is none of quic-go's HTTP/3 server")
	}
	header := w.Header()
	clear(header)
	header["Date"] = nil // quic-go adds one otherwise
	for name, values := range h {
		if !connectionSpecific(strings.ToLower(name)) {
			header[name] = values
		}
	}
	w.WriteHeader(http.StatusOK)
	hs, err := streamer.HTTPStream()
	if err != nil {
		return nil, err
	}
	return newStream(hs.QUICStream(), &accepted{under: conn, hs: hs}, wr, info, writeTimeout), nil
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

// An accepted is the connection under a stream that quic-go's server keeps account of.
type accepted struct {
	under
	hs *http3.Stream
}

func (a *accepted) released(st *stream) {
	// The stream has ended on both sides: this only takes it off quic-go's books.
	a.hs.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError))
	a.under.released(st)
}

func (sc *serverConn) violated(_ *stream, v *violation) {
	sc.q.CloseWithError(quic.ApplicationErrorCode(v.code), v.detail)
}

func (sc *serverConn) released(st *stream) {
	if st.wasReset() {
		sc.chargeReset()
	}
	sc.add(-1)
}

// A foreignConn is a connection of a server that is not ours. It shows neither itself nor its number.
type foreignConn struct{}

// foreignWriter is for all of them: it never waits.
var foreignWriter writer

func (foreignConn) lost(err error) *ConnError { return connError(err, true) }
func (foreignConn) released(*stream)          {}

// violated can only end the stream: the connection is out of reach.
func (foreignConn) violated(st *stream, v *violation) { st.reset(v.code) }
