package negotiate

import "time"

// upgrade is the rung of RFC 6455: a GET with Upgrade on a connection of its own.
type upgrade struct{}

// speaks: a server that selects no protocol speaks HTTP/1.1. It may not know ALPN at all.
func (upgrade) speaks(alpn string) bool { return alpn == http11 || alpn == "" }

func (upgrade) connected(m *Machine, now time.Time, a *attempt) {
	m.learnHTTP11(now, a)
	if m.relieved {
		m.dropSpare(otherWasFaster)
	} else {
		m.dropSpare("the first connection speaks HTTP/1.1")
	}
	if a.Alt != nil {
		m.send(a, sent)
		m.order(SendUpgrade{Attempt: a.ID})
		m.watch(now, a) // there is the origin to go back to
		return
	}
	m.timer, m.relieveAt = time.Time{}, time.Time{} // there is no other way to go
	m.fellBack = true
	m.send(a, sent)
	m.order(SendUpgrade{Attempt: a.ID})
}

func (upgrade) settings(*Machine, time.Time, *attempt, SettingsReceived) {}
