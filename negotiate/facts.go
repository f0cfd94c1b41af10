package negotiate

import (
	"fmt"
	"strings"
	"time"
)

// Facts are what is known about an origin when a dial starts, or when it looks again.
type Facts struct {
	Secure         bool // wss: connections are TLS
	PriorKnowledge bool // ws: the server is known to speak HTTP/2 without TLS (RFC 9113, Section 3.3)
	Proxied        bool // connections go through a proxy

	// Addr is host:port of the origin, as Alternative.Addr writes it: what is found out about h3 at an alternative with this address is
	// found out about the origin's own. "": not known.
	Addr string

	// QUIC is what is known of the network: QUICStateOf of what a memory holds under NetworkKey.
	QUIC QUICState
	// EarlySession says that a session ticket for this origin is at hand, and beside it the server's SETTINGS, which allow Extended
	// CONNECT (RFC 9114, Section 7.2.4.2).
	EarlySession bool

	// Live are the HTTP/2 and HTTP/3 connections to this origin that are open now.
	Live []LiveConn

	// Known is what the memory says of this origin; the zero Entry: nothing.
	Known Entry

	// Alternatives are the alternative services that an earlier response named for this origin and that are still
	// fresh, the server's favourite first (RFC 7838, Section 3). Entries that were dropped are not among them.
	Alternatives []Alternative

	// Hints are what an HTTPS record says (RFC 9460), the most wanted first. They are used as Alternatives are, after those, but there is
	// no cache to drop them from: DropAlternative is never ordered for one.
	Hints []Alternative

	// Probing is the number of other dials' connections to this origin that are under way, were ordered with Connect.Probe, and are
	// worth waiting for: 0 where those that wait already will fill them.
	Probing int

	// Deadline is when the dial as a whole is over; zero: never.
	Deadline time.Time
}

// A LiveConn is an open HTTP/2 or HTTP/3 connection in the executor's pool.
type LiveConn struct {
	ID               uint64
	ALPN             string // "h2", with prior knowledge too; "h2.1", "wsoverh2", "h3"
	SettingsReceived bool
	ConnectProtocol  bool // Extended CONNECT is allowed, by the rule of the connection's ALPN; see SettingsReceived
	NoFrames         bool // a WS_OPEN was proposed on it, and the PING's ack came first
	Slots            int  // streams that can be opened on it now
	Draining         bool // no new stream will be taken
	Coalesced        bool // it was made for another origin (RFC 9113, Section 9.1.1)
	// Alt is the alternative service that it was made to; nil: it was made to the origin.
	Alt *Alternative
}

// An Alternative is another place where an origin can be reached (RFC 7838, Section 2).
type Alternative struct {
	ALPN string // the protocol that it is for: "h2", "h3" ...
	Host string // never empty: the origin's host where Alt-Svc names none
	Port string
	// Hint says that it comes from an HTTPS record, as all of Facts.Hints do. A request there carries no Alt-Used.
	Hint bool
}

// String is the form of the Alt-Used and Alt-Svc fields: h2="host:port".
func (a Alternative) String() string { return fmt.Sprintf("%s=%q", a.ALPN, a.Addr()) }

// Addr is host:port, an IPv6 address in brackets.
func (a Alternative) Addr() string {
	if strings.Contains(a.Host, ":") {
		return "[" + a.Host + "]:" + a.Port
	}
	return a.Host + ":" + a.Port
}
