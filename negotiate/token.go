package negotiate

import "time"

// token is the rung of the ALPN protocol wsoverh2: HTTP/2 on which Extended CONNECT is certain from the handshake on.
type token struct{}

func (token) speaks(alpn string) bool { return alpn == wsoverh2 }

func (token) connected(m *Machine, now time.Time, a *attempt) { m.sendEarly(now, a) }

// settings: to take back what the protocol means is an error of the connection.
func (token) settings(m *Machine, now time.Time, a *attempt, o SettingsReceived) {
	if !o.ConnectProtocol {
		m.failed(now, a, o, Discard{Attempt: a.ID, How: CloseConn})
		return
	}
	m.proceed(now, a)
}
