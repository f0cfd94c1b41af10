package negotiate

import "time"

// Facts are what is known about an origin when a dial starts, or when it looks again.
type Facts struct {
	Secure         bool // wss: connections are TLS
	PriorKnowledge bool // ws: the server is known to speak HTTP/2 without TLS (RFC 9113, Section 3.3)
	Proxied        bool // connections go through a proxy

	// Live are the HTTP/2 connections to this origin that are open now.
	Live []LiveConn

	// Probing is the number of other dials' connections to this origin that are under way and were ordered with
	// Connect.Probe.
	Probing int

	// Deadline is when the dial as a whole is over; zero: never.
	Deadline time.Time
}

// A LiveConn is an open HTTP/2 connection in the executor's pool.
type LiveConn struct {
	ID               uint64
	ALPN             string // "h2"; with prior knowledge too
	SettingsReceived bool
	ConnectProtocol  bool // the server's SETTINGS allow Extended CONNECT
	Slots            int  // streams that can be opened on it now
	Draining         bool // no new stream will be taken
	Coalesced        bool // it was made for another origin (RFC 9113, Section 9.1.1)
}
