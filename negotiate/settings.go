package negotiate

import "time"

// settings is the rung of RFC 8441 to the letter: the Extended CONNECT waits until the server's SETTINGS have allowed it.
type settings struct{}

func (settings) speaks(alpn string) bool { return alpn == "h2" }

func (settings) connected(m *Machine, now time.Time, a *attempt) {
	m.send(a, waiting)
	m.order(WaitSettings{Attempt: a.ID})
	m.watch(now, a)
}

// "Upon receipt of SETTINGS_ENABLE_CONNECT_PROTOCOL with a value of 1, a client MAY use the Extended CONNECT as defined in this
// document when creating new streams." RFC 8441, Section 3.
func (settings) settings(m *Machine, now time.Time, a *attempt, o SettingsReceived) {
	if !o.ConnectProtocol || o.Slots <= 0 {
		m.failed(now, a, o, Keep{Attempt: a.ID})
		return
	}
	m.send(a, sent)
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
}
