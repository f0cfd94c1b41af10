package weft

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/handshake"
	"github.com/weftws/weft/internal/transport"
)

// A tunnel is a WebSocket whose frames are another library's: the bytes behind an opening handshake. It outlives the context
// that dialed it.
type tunnel struct {
	*streamConn
	trace Trace
}

func newTunnel(s transport.Stream, h http.Header, d *dialed) *tunnel {
	t := &tunnel{streamConn: &streamConn{stream: s}, trace: d.trace()}
	t.trace.Subprotocol = h.Get(fieldProtocol)
	if d.confirm != nil {
		first := &firstFrame{extended: len(h[fieldExtensions]) > 0}
		t.seen = func(p []byte) {
			if done, valid := first.recv(p); done {
				t.seen = nil
				if valid {
					d.confirm()
				}
			}
		}
	}
	return t
}

// Trace says how the WebSocket came to be and where it rides.
func (t *tunnel) Trace() Trace {
	tr := t.trace
	tr.ridesOn(t.stream.Info())
	return tr
}

// A firstFrame looks at the header of the first frame from a server: does it speak WebSocket?
type firstFrame struct {
	extended bool // reserved bits may have a meaning
	head     []byte
}

// recv takes what arrives until it knows.
func (f *firstFrame) recv(p []byte) (done, valid bool) {
	f.head = append(f.head, p[:min(len(p), frame.MaxHeaderLen-len(f.head))]...)
	h, n, fault := frame.ParseHeader(f.head)
	if fault != frame.NoFault {
		return true, false
	}
	// "A server MUST NOT mask any frames that it sends to the client." RFC 6455, Section 5.1.
	wrong := h.Masked || h.Opcode == frame.Continuation || !f.extended && (h.RSV1 || h.RSV2 || h.RSV3)
	return wrong || n > 0, !wrong
}

// A carriedHandshake is the opening handshake of another library's client. Its fields go out as they are, except what belongs to
// one connection of HTTP/1.1: Upgrade, Connection and Sec-WebSocket-Key are each attempt's own.
type carriedHandshake struct {
	key    string
	fields http.Header // Sec-WebSocket-Version, -Protocol, -Extensions
	header http.Header // the others

	keyUsed bool // by the first attempt
}

// isUpgrade reports whether req asks for a WebSocket as RFC 6455, Section 4.1 wants it.
func isUpgrade(req *http.Request) bool {
	return req.Method == http.MethodGet && httpguts.HeaderValuesContainsToken(req.Header["Upgrade"], "websocket") &&
		httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade")
}

// newCarriedHandshake takes a request for which isUpgrade holds.
func newCarriedHandshake(req *http.Request) (*carriedHandshake, error) {
	if req.ContentLength != 0 && req.Body != nil && req.Body != http.NoBody || len(req.TransferEncoding) > 0 {
		return nil, errors.New("client's WebSocket handshake has content, which it cannot have (RFC 6455, Section 4.1)")
	}
	c := &carriedHandshake{fields: make(http.Header), header: make(http.Header)}
	var keys []string
	for name, values := range req.Header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Upgrade", "Connection", fieldAccept, "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Keep-Alive", "Proxy-Connection":
		case fieldKey:
			keys = append(keys, values...)
		case fieldVersion, fieldProtocol, fieldExtensions:
			c.fields[name] = append(c.fields[name], values...)
		default:
			c.header[name] = append(c.header[name], values...)
		}
	}
	// "The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value that has been
	// base64-encoded." RFC 6455, Section 4.1.
	if len(keys) != 1 {
		return nil, fmt.Errorf("client sent %d Sec-WebSocket-Key, not one (RFC 6455, Section 4.1)", len(keys))
	}
	if b, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(b) != 16 {
		return nil, errors.New("client sent a Sec-WebSocket-Key that is not 16 bytes in base64 (RFC 6455, Section 4.1)")
	}
	c.key = keys[0]
	for name, values := range c.fields {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("header field %s has a value that is not allowed (RFC 9110, Section 5.5)", name)
			}
		}
	}
	return c, nil
}

// takeKey returns the client's key for the first attempt that wants one, and "" for others.
func (c *carriedHandshake) takeKey() string {
	if c.keyUsed {
		return ""
	}
	c.keyUsed = true
	return c.key
}

// dialTunnel opens a WebSocket for another library. With a nil tunnel it returns the server's refusal, whose Body is the caller's
// to close, or an error, which is a *DialError.
func (d *Dialer) dialTunnel(ctx context.Context, rawURL, host string, c *carriedHandshake) (*tunnel, *http.Response, error) {
	r, err := d.newRace(rawURL, &DialOptions{HTTPHeader: c.header, Host: host})
	if err != nil {
		return nil, nil, &DialError{URL: rawURL, Err: err}
	}
	r.carried = c
	ctx, cancel := context.WithTimeout(ctx, orDuration(d.HandshakeTimeout, 30*time.Second))
	defer cancel()
	_, res, err := r.run(ctx)
	if err == nil {
		return r.tunnel, c.switched(res, r.tunnel), nil
	}
	if res == nil {
		return nil, nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		res.Body.Close() // it breaks a rule: the error says which
		return nil, nil, err
	}
	return nil, res, nil
}

// switched is the response to the handshake as the client wants it, whatever version of HTTP it came by. "Implementations using
// this extended CONNECT to bootstrap WebSockets do not do the processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header
// fields of [RFC6455]." RFC 8441, Section 5.
func (c *carriedHandshake) switched(res *http.Response, t *tunnel) *http.Response {
	h := res.Header.Clone()
	// "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a successful response to
	// CONNECT." RFC 9110, Section 9.3.6.
	h.Del("Content-Length")
	h.Del("Transfer-Encoding")
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set(fieldAccept, handshake.AcceptKey(c.key))
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, Status: "101 Switching Protocols",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: t, TLS: res.TLS,
	}
}

// withoutAgreement is h without what was agreed on beyond the WebSocket itself.
func withoutAgreement(h http.Header) http.Header {
	h = h.Clone()
	h.Del(fieldProtocol)
	h.Del(fieldExtensions)
	return h
}

const (
	fieldKey        = "Sec-Websocket-Key"
	fieldAccept     = "Sec-Websocket-Accept"
	fieldVersion    = "Sec-Websocket-Version"
	fieldProtocol   = "Sec-Websocket-Protocol"
	fieldExtensions = "Sec-Websocket-Extensions"
)
