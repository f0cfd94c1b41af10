package negotiate

import (
	"fmt"
	"time"
)

// settings is RFC 8441 to the letter: wait for the server's SETTINGS, then send the Extended CONNECT.
type settings struct{}

func (settings) begin(m *Machine, a *attempt, now time.Time) []Order {
	var orders []Order
	if a.reused {
		orders = append(orders, UseLive{Attempt: a.ID, Conn: a.Conn})
	} else {
		orders = append(orders, WaitSettings{Attempt: a.ID})
	}
	return append(orders, m.silence(now)...)
}

func (settings) report(m *Machine, a *attempt, now time.Time, o Outcome) []Order {
	switch o := o.(type) {
	case SettingsReceived:
		return recvSettings(m, a, now, o)
	case Response:
		m.trips++
		if o.Status/100 == 2 && !o.Ended && o.Invalid == nil {
			return m.succeed(a)
		}
		return m.failed(a, now, classifyResponse(o))
	case NoSlot:
		return m.failed(a, now, failure{Refused, "connection takes no more streams", nil})
	case StreamReset:
		return m.failed(a, now, classifyReset(o))
	case ConnLost:
		return m.failed(a, now, classifyLoss(o))
	}
	return nil
}

func recvSettings(m *Machine, a *attempt, now time.Time, o SettingsReceived) []Order {
	if a.pooled {
		return nil
	}
	a.pooled = true
	m.trips++
	switch {
	case !o.ConnectProtocol:
		return m.failed(a, now, failure{Version, "server's SETTINGS lack ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441, Section 3)", nil})
	case o.Slots == 0:
		return m.failed(a, now, failure{Refused, "server's SETTINGS allow no stream (MAX_CONCURRENT_STREAMS = 0)", nil})
	}
	return []Order{SendConnect{Attempt: a.ID}}
}

// silence sets the time at which a server that says nothing is given up, so that half of what the dial has left remains for
// another way.
func (m *Machine) silence(now time.Time) []Order {
	if m.facts.Deadline.IsZero() || !m.policy.allows(Upgrade) {
		return nil
	}
	return []Order{SetTimer{At: now.Add(m.facts.Deadline.Sub(now) / 2)}}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(": %v", err)
}
