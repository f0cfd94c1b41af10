package negotiate

import "time"

// h21 is the rung of the ALPN protocol h2.1: HTTP/2 on which Extended CONNECT is allowed unless the server's first SETTINGS say no.
//
// It is offered beside h2. A server that takes h2 leads to the rungs that speak it; if the policy has none of them, to HTTP/1.1.
type h21 struct{}

func (h21) speaks(alpn string) bool { return alpn == h2dot1 }

func (h21) connected(m *Machine, now time.Time, a *attempt) { m.sendEarly(now, a) }

func (h21) settings(m *Machine, now time.Time, a *attempt, o SettingsReceived) {
	if !o.ConnectProtocol {
		m.failed(now, a, o, m.settle(a))
		return
	}
	m.proceed(now, a)
}
