package negotiate

import (
	"fmt"
	"time"
)

// A QUICState says whether the network that the machine is in lets QUIC through.
type QUICState int

const (
	QUICUnknown QUICState = iota
	QUICWorks             // a handshake of QUIC was completed
	QUICBlocked           // QUIC was not answered where something had said that it would be, and TCP was
)

func (s QUICState) String() string {
	switch s {
	case QUICUnknown:
		return "unknown"
	case QUICWorks:
		return "works"
	case QUICBlocked:
		return "blocked"
	}
	return fmt.Sprintf("QUICState(%d)", int(s))
}

// NetworkKey is where a memory keeps what is known of a network; network is as in Key.Network.
func NetworkKey(network string) Key { return Key{Scheme: "udp", Network: network} }

// QUICStateOf reads what a memory holds under NetworkKey.
func QUICStateOf(e Entry, now time.Time) QUICState {
	switch e.Verdict(H3, now) {
	case Yes:
		return QUICWorks
	case No:
		return QUICBlocked
	}
	return QUICUnknown
}

// Remember is o in the form in which an Entry takes it.
func (o RememberNetwork) Remember() Remember {
	r := Remember{Rung: H3, Verdict: Yes, Cause: CauseQUIC, TTL: o.TTL, Limit: o.Limit}
	if o.QUIC == QUICBlocked {
		r.Verdict = No
	}
	return r
}

// rememberNetwork orders that what has turned out about the network be stored.
func (m *Machine) rememberNetwork(s QUICState) {
	o := RememberNetwork{QUIC: s, TTL: day}
	if s == QUICBlocked {
		o.TTL, o.Limit = forgeable, day
	}
	m.facts.QUIC = s
	m.order(o)
}
