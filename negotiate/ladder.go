package negotiate

import (
	"fmt"
	"time"
)

// ALPN protocol identifiers. RFC 7301; RFC 9113, Section 3.1.
const (
	alpnH1 = "http/1.1"
	alpnH2 = "h2"
)

// ladder gives the next attempt its place: a live connection, another dial's that is under way, or one of its own.
func (m *Machine) ladder(now time.Time) []Order {
	if m.fellBack {
		return m.connect(Upgrade, alpnH1)
	}
	if !m.mayUseHTTP2() {
		if !m.policy.allows(Upgrade) {
			return m.fail(nil, failure{Disallowed, fmt.Sprintf("policy allows only %v, and without TLS that takes prior knowledge", m.policy.Rungs), nil})
		}
		return m.connect(Upgrade, alpnH1)
	}
	knownH2, knownOld := false, false
	for _, l := range m.facts.Live {
		if l.Draining || m.fresh {
			continue
		}
		if l.SettingsReceived && !l.ConnectProtocol {
			knownOld = true
			continue
		}
		knownH2 = true
		if l.SettingsReceived && l.Slots > 0 {
			return m.useLive(l, now)
		}
	}
	// A server whose SETTINGS said no is not asked again as long as that connection lives.
	if knownOld && !knownH2 && m.policy.allows(Upgrade) {
		return m.connect(Upgrade, alpnH1)
	}
	// Several dials to one unknown origin share one probe. Where it found no HTTP/2 there is nothing to share, and each
	// goes its own way.
	if m.facts.Probing > 0 && (!m.awaited || knownH2) {
		m.awaited = true
		m.current = nil
		return []Order{AwaitProbe{}}
	}
	switch {
	case !m.facts.Secure:
		return m.connect(Settings, alpnH2)
	case m.policy.allows(Upgrade):
		return m.connect(Settings, alpnH2, alpnH1)
	default:
		return m.connect(Settings, alpnH2)
	}
}

// mayUseHTTP2: over TLS ALPN tells; without, prior knowledge is needed (RFC 9113, Section 3.3).
func (m *Machine) mayUseHTTP2() bool {
	return m.policy.allows(Settings) && (m.facts.Secure || m.facts.PriorKnowledge)
}

func (m *Machine) connect(r Rung, alpn ...string) []Order {
	if len(m.attempts) == maxAttempts {
		return m.fail(m.attempts[maxAttempts-1], failure{Refused, fmt.Sprintf("gave up after %d attempts", maxAttempts), nil})
	}
	a := m.start(r)
	a.alpn = alpn
	return []Order{Connect{Attempt: a.ID, TLS: m.facts.Secure, ALPN: alpn, Probe: alpn[0] == alpnH2}}
}

func (m *Machine) useLive(l LiveConn, now time.Time) []Order {
	if len(m.attempts) == maxAttempts {
		return m.connect(Settings)
	}
	a := m.start(Settings)
	a.ALPN, a.Conn, a.reused, a.pooled = l.ALPN, l.ID, true, true
	a.strategy = strategies[Settings]
	return a.strategy.begin(m, a, now)
}
