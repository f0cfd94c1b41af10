package negotiate

import "time"

// frame opens the stream by a frame type of its own, WS_OPEN, with a PING behind it: an old server ignores the one and
// acknowledges the other, and its connection lives on. It needs no SETTINGS, and works on a live connection whose SETTINGS
// did not allow Extended CONNECT.
type frame struct{}

func (frame) tokens() []string { return []string{h2ALPN} }

func (frame) speaks(alpn string) bool { return alpn == h2ALPN }

func (frame) assumes() bool { return true }

func (frame) connected(m *Machine, now time.Time, a *attempt) {
	a.state, a.frame = sent, true
	m.order(SendFrame{Attempt: a.ID})
	m.watch(now, a)
}

func (frame) settings(*Machine, time.Time, *attempt, SettingsReceived) {}
