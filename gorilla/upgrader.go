package websocket

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/stock"
	"github.com/weftws/weft/internal/transport"
)

// A BufferPool is a pool of write buffers; *sync.Pool is one. It is not used here.
type BufferPool interface {
	Get() any
	Put(any)
}

// An Upgrader says what a server agrees to. The zero value: no subprotocol, same origin only, no compression. Safe for concurrent
// use.
type Upgrader struct {
	// HandshakeTimeout has no effect.
	HandshakeTimeout time.Duration

	// WriteBufferSize is the size in bytes of the fragments that NextWriter's writer sends; 0: 4096. ReadBufferSize has no effect.
	ReadBufferSize, WriteBufferSize int
	// WriteBufferPool has no effect.
	WriteBufferPool BufferPool

	// Subprotocols that the server speaks, in order of preference; the first that the client offers is chosen. nil: the one in
	// the response header that Upgrade gets, if the client offers it.
	Subprotocols []string

	// Error answers a request that failed; nil: http.Error with the status's text. status is 400, 403, 405, 429 (weft.IPLimits) or 500, reason
	// a HandshakeError.
	Error func(w http.ResponseWriter, r *http.Request, status int, reason error)

	// CheckOrigin says whether a browser's page may connect; nil: if its host is the request's, or there is no Origin.
	CheckOrigin func(r *http.Request) bool

	// EnableCompression accepts permessage-deflate (RFC 7692), without context takeover.
	EnableCompression bool
}

// Upgrade answers a client's request for a WebSocket, by whatever version of HTTP it came; see weft.Accept. responseHeader goes with
// the answer (Set-Cookie, Sec-WebSocket-Protocol). If there can be no WebSocket, it answers with an error.
//
// When a weft.Server, or an http.Server that weft.ConfigureServer has set up, shuts down, the peer gets a Close frame with
// [CloseGoingAway], writing returns [ErrCloseSent] from then on, and c is closed 5 s later if nobody else has.
//
// On net/http's own HTTP/2 (GODEBUG=http2xconnect=1) the WebSocket ends when the handler returns; on weft's it does not.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request, responseHeader http.Header) (*Conn, error) {
	const prefix = "websocket: the client is not using the websocket protocol: "
	if !IsWebSocketUpgrade(r) {
		return u.refuse(w, r, http.StatusBadRequest, prefix+"it sent no 'Upgrade: websocket' with 'Connection: Upgrade'")
	}
	if err := checkRequest(r); err != nil {
		status := err.Status
		if status == http.StatusUpgradeRequired {
			status = http.StatusBadRequest // gorilla has no 426
		}
		return u.refuse(w, r, status, prefix+err.Error())
	}
	if _, ok := responseHeader["Sec-Websocket-Extensions"]; ok {
		return u.refuse(w, r, http.StatusInternalServerError, "websocket: the response header must not have Sec-WebSocket-Extensions")
	}
	check := u.CheckOrigin
	if check == nil {
		check = isSameOrigin
	}
	if !check(r) {
		return u.refuse(w, r, http.StatusForbidden, "websocket: request origin not allowed by Upgrader.CheckOrigin")
	}
	opts := &weft.AcceptOptions{Subprotocols: u.Subprotocols, InsecureSkipVerify: true, KeepAlive: -1}
	if u.Subprotocols == nil {
		opts.Subprotocols = responseHeader["Sec-Websocket-Protocol"]
	}
	if u.EnableCompression {
		opts.CompressionMode = weft.CompressionNoContextTakeover
	}
	a := &answer{ResponseWriter: w, header: responseHeader.Clone()}
	wc, err := weft.Accept(a, r, opts)
	if err != nil {
		return u.notAccepted(w, r, a, err)
	}
	d, err := transport.Detach(wc)
	if err != nil {
		return nil, err // the server is shutting down
	}
	c := newConn(d, u.WriteBufferSize)
	if d.Join != nil {
		c.onServer(d.Join)
	}
	return c, nil
}

// notAccepted deals with a request that Accept refused, or could not answer.
func (u *Upgrader) notAccepted(w http.ResponseWriter, r *http.Request, a *answer, err error) (*Conn, error) {
	switch {
	case a.refused != 0:
		if after := a.header["Retry-After"]; after != nil {
			w.Header()["Retry-After"] = after
		}
		return u.refuse(w, r, a.refused, "websocket: "+strings.TrimPrefix(err.Error(), "weft: "))
	case errors.Is(err, http.ErrNotSupported):
		return u.refuse(w, r, http.StatusInternalServerError, "websocket: response does not implement http.Hijacker")
	}
	return nil, err
}

func (u *Upgrader) refuse(w http.ResponseWriter, r *http.Request, status int, reason string) (*Conn, error) {
	err := HandshakeError{reason}
	if u.Error != nil {
		u.Error(w, r, status, err)
		return nil, err
	}
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, http.StatusText(status), status)
	return nil, err
}

// An answer holds back Accept's refusal, which is Upgrader.Error's to make, and keeps the header apart from the
// http.ResponseWriter's.
type answer struct {
	http.ResponseWriter
	header  http.Header
	refused int // the status; 0: not refused
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = make(http.Header)
	}
	return a.header
}

func (a *answer) WriteHeader(status int) {
	if status >= 300 {
		a.refused = status
		return
	}
	for k, v := range a.header {
		a.ResponseWriter.Header()[k] = v
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.refused != 0 {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

func checkRequest(r *http.Request) *handshake.Error {
	return handshake.CheckRequest(handshake.Request{
		Method: r.Method, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, Host: r.Host, Header: r.Header,
	})
}

func isSameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Upgrade is Upgrader.Upgrade without a check of the origin and without an answer to a request that failed.
//
// Deprecated: use [Upgrader].
func Upgrade(w http.ResponseWriter, r *http.Request, responseHeader http.Header, readBufSize, writeBufSize int) (*Conn, error) {
	u := Upgrader{
		ReadBufferSize: readBufSize, WriteBufferSize: writeBufSize,
		CheckOrigin: func(*http.Request) bool { return true },
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}
	return u.Upgrade(w, r, responseHeader)
}

// Subprotocols returns what r offers in its Sec-WebSocket-Protocol.
func Subprotocols(r *http.Request) []string { return splitList(r.Header.Get("Sec-Websocket-Protocol")) }

// splitList returns the elements of a list; nil for an empty one.
func splitList(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// IsWebSocketUpgrade reports whether r asks for a WebSocket, by whatever version of HTTP.
func IsWebSocketUpgrade(r *http.Request) bool {
	return stock.IsConnect(r) || hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for _, t := range splitList(line) {
			if strings.EqualFold(t, token) {
				return true
			}
		}
	}
	return false
}
