// Package interop has tests of weft against the programs and libraries of others: proxies, servers, browsers, clients. It is a
// module of its own, so that what it needs never reaches users of weft.
//
// The tests start their peers as processes on free loopback ports with configuration files of their own, and end them.
// Where a peer is missing, its tests skip and say how to install it. They need a Unix system.
//
// Nearly every test is the same conversation (conversation_test.go) between a client and an echo server, either of which, or
// a proxy between them, is not weft. Clients are adapted to the socket interface; servers share a small vocabulary:
//
//	GET /echo?id=N             N names the socket in the server's record
//	    &deflate=MODE          weft servers accept permessage-deflate: "takeover" or "no-takeover"
//	    &api=callbacks         weft servers answer from callbacks
//	    &fragments=1           answers come in fragments
//	text "close CODE REASON"   the server closes with that
package interop
