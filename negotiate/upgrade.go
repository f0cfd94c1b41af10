package negotiate

import (
	"fmt"
	"time"
)

// upgrade is RFC 6455 on HTTP/1.1: GET with Upgrade, 101.
type upgrade struct{}

func (upgrade) begin(_ *Machine, a *attempt, _ time.Time) []Order {
	return []Order{SendUpgrade{Attempt: a.ID}}
}

func (upgrade) report(m *Machine, a *attempt, now time.Time, o Outcome) []Order {
	switch o := o.(type) {
	case Response:
		m.trips++
		switch {
		case o.Status == 101 && o.Invalid == nil:
			return m.succeed(a)
		case o.Status == 101:
			return m.failed(a, now, failure{Handshake, o.Invalid.Error(), o.Invalid})
		default:
			// "the client handles the response per HTTP procedures". RFC 6455, Section 4.1. What it says is final: there is
			// no other way left.
			return m.failed(a, now, failure{Application, fmt.Sprintf("server answered %d to the Upgrade", o.Status), nil})
		}
	case ConnLost:
		return m.failed(a, now, failure{Transport, "connection ended before the response to the Upgrade" + because(o.Err), o.Err})
	}
	return nil
}
