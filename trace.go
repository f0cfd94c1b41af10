package weft

import (
	"time"

	"github.com/weftws/weft/internal/transport"
)

// A Trace says how a WebSocket came to be and where it rides.
type Trace struct {
	URL     string // dialed; "" on a server
	Version string // "HTTP/1.1" or "HTTP/2.0"
	Rung    Rung   // by which the Dial succeeded; "" on a server
	Reused  bool   // it rides on a connection that was there before the Dial

	// ConnID numbers the connections of this process, from 1; StreamID is the HTTP/2 stream, 0 over HTTP/1.1.
	ConnID   uint64
	StreamID uint64

	LocalAddr  string
	RemoteAddr string

	Subprotocol string
	Compression string // the agreed parameters of permessage-deflate; "" without

	// RoundTrips is what the Dial cost, from its start to the open WebSocket, in round trips of the network.
	RoundTrips int
	Attempts   []Attempt // in the order they began; nil on a server
}

// An Attempt is one way that a Dial tried.
type Attempt struct {
	ID      int    `json:"id"` // counted from 1
	Rung    Rung   `json:"rung"`
	Addr    string `json:"addr"` // host:port, or the proxy's
	ALPN    string `json:"alpn"` // that the server chose; "" if none
	Steps   []Step `json:"steps"`
	Verdict string `json:"verdict"` // "open", or the class of its failure: "transport", "version", "refused", "application" ...
	Reason  string `json:"reason"`  // the failure in words
}

// A Step is a part of an attempt.
type Step struct {
	Name     string        `json:"name"`     // "resolve", "tcp", "proxy", "tls", "settings", "request", "response"
	Start    time.Duration `json:"start"`    // since the Dial began
	Duration time.Duration `json:"duration"` // 0 for what takes no time
	Detail   string        `json:"detail,omitempty"`
}

// A TraceEvent is told to [DialOptions.Trace] when a step is over, and when the Dial decides.
type TraceEvent struct {
	Attempt int           // 0: about the Dial as a whole
	Time    time.Duration // since the Dial began
	Name    string        // a Step's name, or "order"
	Detail  string
}

// Trace says how the WebSocket came to be and where it rides.
func (c *Conn) Trace() Trace {
	var t Trace
	if c.trace != nil {
		t = *c.trace
	}
	t.ridesOn(c.stream.Info())
	t.Subprotocol = c.subprotocol
	if c.opt.deflate != nil {
		t.Compression = c.opt.deflate.String()
	}
	return t
}

// ridesOn notes the connection under the WebSocket.
func (t *Trace) ridesOn(info transport.Info) {
	t.Version, t.ConnID, t.StreamID = info.Proto, info.ConnID, info.StreamID
	if info.LocalAddr != nil {
		t.LocalAddr = info.LocalAddr.String()
	}
	if info.RemoteAddr != nil {
		t.RemoteAddr = info.RemoteAddr.String()
	}
}
