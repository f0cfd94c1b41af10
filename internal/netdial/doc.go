// Package netdial makes connections to origins: resolve, TCP with Happy Eyeballs (RFC 8305; package net's), an HTTP or SOCKS5 proxy, TLS
// with a list of ALPN protocols. Every step is reported when it is over, and an error says which step failed and at which address.
//
// It decides nothing about WebSockets: what to offer and what to make of the outcome is package negotiate's business.
package netdial
