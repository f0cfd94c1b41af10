package negotiate

import "time"

// assume is the rung that this package is about: the Extended CONNECT goes out in the first flight of a fresh HTTP/2 connection, as if
// the server's SETTINGS had allowed it already, and what is answered counts only if they do.
//
// It is sent on fresh connections only, where it is the first stream: a server that does not know :protocol may close the connection,
// and on a live one the SETTINGS are known.
type assume struct{}

func (assume) speaks(alpn string) bool { return alpn == "h2" }

func (assume) connected(m *Machine, now time.Time, a *attempt) {
	a.assumed = true
	m.sendEarly(now, a)
}

// settings: a server that does not know Extended CONNECT may answer it with anything, a 200 too. So without the setting there is no
// need to wait for what it answers, and nothing of it counts.
func (assume) settings(m *Machine, now time.Time, a *attempt, o SettingsReceived) {
	if !o.ConnectProtocol {
		m.failed(now, a, o, m.settle(a))
		return
	}
	m.proceed(now, a)
}

// sendEarly sends the CONNECT on a fresh connection without waiting for SETTINGS. No answer counts before they have arrived.
//
// "This sequence [the preface] MUST be followed by a SETTINGS frame ... The server connection preface consists of a potentially empty
// SETTINGS frame that MUST be the first frame the server sends in the HTTP/2 connection." RFC 9113, Section 3.4.
func (m *Machine) sendEarly(now time.Time, a *attempt) {
	a.awaitsSettings = true
	m.send(a, sent)
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
}

// settle is what becomes of a's connection, on which the server does not do what was asked. How an alternative service takes that
// says nothing about the origin.
func (m *Machine) settle(a *attempt) Order {
	if a.Alt != nil {
		return Discard{Attempt: a.ID, How: CloseConn}
	}
	return Settle{Attempt: a.ID, IfKilled: m.finding(a.Rung, killedFinding)}
}
