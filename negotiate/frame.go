package negotiate

import "time"

// frame is the rung of the frames WS_OPEN and WS_ACCEPT: a stream of type WebSocket is proposed on stream 0, which servers that do not
// know the frame ignore, and a PING goes behind it. What comes back first, WS_ACCEPT or the PING's ack, is the answer.
type frame struct{}

func (frame) speaks(alpn string) bool { return alpn == "h2" }

func (frame) connected(m *Machine, now time.Time, a *attempt) {
	a.assumed, a.awaitsSettings, a.awaitsAccept = true, true, true
	m.send(a, sent)
	m.order(SendFrame{Attempt: a.ID})
	m.watch(now, a)
}

func (frame) settings(m *Machine, now time.Time, a *attempt, _ SettingsReceived) { m.proceed(now, a) }

func (m *Machine) recvFrameAccepted(now time.Time, o FrameAccepted) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != sent || !a.awaitsAccept || a.unsupported {
		return
	}
	m.answered(a)
	a.awaitsAccept, a.assumed = false, false
	m.proceed(now, a)
}

func (m *Machine) recvFrameUnsupported(now time.Time, o FrameUnsupported) {
	a := m.attempt(o.Attempt)
	if a == nil || a.state != sent || !a.awaitsAccept {
		return
	}
	m.answered(a)
	a.unsupported = true
	m.proceed(now, a)
}

// proposalIgnored: if the server announces RFC 8441 the same connection will do.
func (m *Machine) proposalIgnored(now time.Time, a *attempt) {
	if a.connectAllowed && m.policy.allows(Settings) && !m.memoryForbidsLive(Settings, now) {
		m.learn(a, Version, FrameUnsupported{Attempt: a.ID})
		a.Rung, a.assumed, a.awaitsAccept, a.answer = Settings, false, false, nil
		m.send(a, sent)
		m.order(SendConnect{Attempt: a.ID})
		m.watch(now, a)
		return
	}
	o := FrameUnsupported{Attempt: a.ID}
	if a.live {
		m.failed(now, a, o)
		return
	}
	if !a.connectAllowed && a.Alt == nil && m.policy.allows(Settings) {
		m.remember(Settings, settingsFinding) // its SETTINGS have said so by the way
	}
	m.failed(now, a, o, Keep{Attempt: a.ID})
}
