package negotiate

import "time"

// h21 is the ALPN protocol h2.1: HTTP/2 on which Extended CONNECT may be used unless the server's first SETTINGS say 0. The
// request goes out in the first flight and counts when they have not.
//
// h2 is offered behind it, so that a server that knows only that need not fail; it leads to whatever other rung the policy has.
type h21 struct{}

const h21ALPN = "h2.1"

func (h21) tokens() []string { return []string{h21ALPN, h2ALPN} }

func (h21) speaks(alpn string) bool { return alpn == h21ALPN }

func (h21) assumes() bool { return true }

func (h21) connected(m *Machine, now time.Time, a *attempt) { assume{}.connected(m, now, a) }

func (h21) settings(*Machine, time.Time, *attempt, SettingsReceived) {}
