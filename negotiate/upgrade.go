package negotiate

import "time"

// upgrade is the rung of RFC 6455: a GET with Upgrade on a connection of its own.
type upgrade struct{}

func (upgrade) tokens() []string { return []string{"http/1.1"} }

// speaks: a server that selects no protocol speaks HTTP/1.1. It may not know ALPN at all.
func (upgrade) speaks(alpn string) bool { return alpn == "http/1.1" || alpn == "" }

func (upgrade) connected(m *Machine, _ time.Time, a *attempt) {
	a.state = sent
	m.timer = time.Time{} // there is no other way to go
	m.order(SendUpgrade{Attempt: a.ID})
}

func (upgrade) settings(*Machine, time.Time, *attempt, SettingsReceived) {}

func (upgrade) assumes() bool { return false }
