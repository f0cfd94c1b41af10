package fakeorigin

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An Origin says how a server behaves. The zero value has TLS, HTTP/2 without WebSockets that never answers a CONNECT, and HTTP/1.1
// with WebSockets.
//
// Answers over HTTP/2 are frames in the notation of internal/h2/wire, %d being the stream; those over HTTP/1.1 and TLS are bytes.
// Each may end with one of [CloseNotify], [FIN], [RST] and [Silence], or consist of it.
type Origin struct {
	Plain bool     // without TLS; ALPN[0] is spoken, http/1.1 if there is none
	ALPN  []string // in the order of preference; nil: h2, http/1.1; empty: none is chosen
	Hello string   // answers the ClientHello, instead of a handshake; "": the handshake

	Greeting string // the first frames; "": SETTINGS with the parameters Settings
	Settings string
	Connect  string // to an Extended CONNECT; "": nothing
	Later    string // to those behind the first on a connection; "": what Connect says
	Early    string // to one with DATA right behind it; "": what Connect says
	Idle     string // to an unknown frame on a stream
	WSOpen   string // to WS_OPEN; %x is the nonce
	Deaf     bool   // neither PING nor requests are answered

	Upgrade    string // to an HTTP/1.1 Upgrade; %k is the accept key; "": [Switching]
	Head       string // fields of the response to another request over HTTP/1.1
	Impatience string // is said on an HTTP/1.1 connection without a request for Patience
	Patience   time.Duration

	Delay time.Duration // before the answer to a handshake

	// Serve has the connection instead of all this; nil: nothing is special.
	Serve func(nc net.Conn)
	// Pick returns who has a connection whose ClientHello offers alpn; nil: this Origin. It may be called at any time, by many.
	Pick func(alpn []string) *Origin
}

// Answers over HTTP/2, and a parameter of SETTINGS.
const (
	Yes     = "HEADERS stream=%d END_HEADERS\n  :status: 200\n"
	Reset   = "RST_STREAM stream=%d PROTOCOL_ERROR\n"
	Refused = "RST_STREAM stream=%d REFUSED_STREAM\n"
	GoAway  = "GOAWAY last=0 PROTOCOL_ERROR\n" + CloseNotify
	Flag    = "ENABLE_CONNECT_PROTOCOL=1"
)

// Switching is the 101 of HTTP/1.1.
const Switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %k\r\n\r\n"

// What an answer may end with.
const (
	CloseNotify = "CLOSE_NOTIFY\n" // inside TLS, and FIN
	FIN         = "FIN\n"          // without close_notify
	RST         = "RST\n"          // of TCP
	Silence     = "SILENCE\n"      // the connection stays
)

// Alert is what a server says that finds nothing to its taste in ALPN. RFC 7301, Section 3.2.
const Alert = "\x15\x03\x03\x00\x02\x02\x78" + FIN

// Status is a final response over HTTP/2.
func Status(code int) string {
	return fmt.Sprintf("HEADERS stream=%%d END_HEADERS END_STREAM\n  :status: %d\n", code)
}

// HTTP11 is a final response over HTTP/1.1.
func HTTP11(code int) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n", code, http.StatusText(code))
}

// Answers is an Origin that answers a handshake with code over both versions.
func Answers(code int) *Origin {
	return &Origin{Settings: Flag, Connect: Status(code), Upgrade: HTTP11(code)}
}

// SpareOnly is a Pick: on connections that offer http/1.1 and nothing else there is b.
func SpareOnly(b *Origin) func(alpn []string) *Origin {
	return func(alpn []string) *Origin {
		if slices.Equal(alpn, []string{"http/1.1"}) {
			return b
		}
		return nil
	}
}

// ServerHello is the first record of a server that speaks TLS 1.2 and names alpn, whether it was offered or not. crypto/tls has no such
// server: nothing can follow.
func ServerHello(alpn string) string {
	ext := append([]byte{0, 16, 0, byte(len(alpn) + 3), 0, byte(len(alpn) + 1), byte(len(alpn))}, alpn...)
	ext = append([]byte{0xff, 1, 0, 1, 0}, ext...)     // behind renegotiation_info
	hello := append([]byte{3, 3}, make([]byte, 32)...) // version, random
	hello = append(hello, 0, 0xc0, 0x2b, 0)            // no session, a cipher suite, no compression
	hello = append(append(hello, 0, byte(len(ext))), ext...)
	message := append([]byte{2, 0, 0, byte(len(hello))}, hello...)
	return string(append([]byte{22, 3, 3, 0, byte(len(message))}, message...))
}

func (o *Origin) protocols() []string {
	if o.ALPN == nil && !o.Plain {
		return []string{"h2", "http/1.1"}
	}
	return o.ALPN
}

// cutEnd splits an answer into what is sent and how it ends; "": the conversation goes on.
func cutEnd(answer string) (text, end string) {
	for _, end := range []string{CloseNotify, FIN, RST, Silence} {
		if text, ok := strings.CutSuffix(answer, end); ok {
			return text, end
		}
	}
	return answer, ""
}
