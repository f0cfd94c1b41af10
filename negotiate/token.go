package negotiate

import "time"

// token is the ALPN protocol wsoverh2: HTTP/2 on which both sides know from the handshake on that Extended CONNECT may be used.
// It is never offered beside h2, which every server that does not know it would pick.
type token struct{}

const tokenALPN = "wsoverh2"

func (token) tokens() []string { return []string{tokenALPN} }

func (token) speaks(alpn string) bool { return alpn == tokenALPN }

func (token) assumes() bool { return false }

func (token) connected(m *Machine, now time.Time, a *attempt) {
	a.state = sent
	m.order(SendConnect{Attempt: a.ID})
	m.watch(now, a)
}

func (token) settings(*Machine, time.Time, *attempt, SettingsReceived) {}
