package negotiate

import (
	"fmt"
	"strings"
)

// A Rung is one way of getting a WebSocket onto a connection.
type Rung string

const (
	Upgrade  Rung = "upgrade"  // GET with Upgrade on HTTP/1.1 (RFC 6455)
	Settings Rung = "settings" // Extended CONNECT after the server's SETTINGS allowed it (RFC 8441)
	Assume   Rung = "assume"   // Extended CONNECT in the first flight, accepted only if SETTINGS then allow it
	Token    Rung = "token"    // ALPN wsoverh2
	H21      Rung = "h2.1"     // ALPN h2.1
	Frame    Rung = "frame"    // an HTTP/2 frame type of our own
	AltSvc   Rung = "alt-svc"  // the endpoint that an earlier response named (RFC 7838)
	H3       Rung = "h3"       // Extended CONNECT over HTTP/3, raced against TCP (RFC 9220)
)

// Rungs lists all rungs there are names for, in the order of the documentation.
func Rungs() []Rung {
	return []Rung{Upgrade, Settings, Assume, Token, H21, Frame, AltSvc, H3}
}

func (r Rung) String() string { return string(r) }

// Available reports whether r is implemented in this version.
func (r Rung) Available() bool { return strategies[r] != nil }

// ParseRung returns the rung with the name s. The error lists the names.
func ParseRung(s string) (Rung, error) {
	for _, r := range Rungs() {
		if string(r) == s {
			return r, nil
		}
	}
	var names []string
	for _, r := range Rungs() {
		names = append(names, string(r))
	}
	return "", fmt.Errorf("no rung is called %q; there are %s", s, strings.Join(names, ", "))
}

// ParseRungs parses rungs separated by commas.
func ParseRungs(s string) ([]Rung, error) {
	var rungs []Rung
	for name := range strings.SplitSeq(s, ",") {
		r, err := ParseRung(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		rungs = append(rungs, r)
	}
	return rungs, nil
}
