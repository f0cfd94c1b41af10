package negotiate

import "time"

// How long findings hold.
const (
	ttlYes       = 24 * time.Hour
	ttlSettings  = time.Hour          // no by SETTINGS, by ALPN, by an ignored WS_OPEN
	ttlStatus    = 24 * time.Hour     // no by 501, HTTP_1_1_REQUIRED
	ttlAmbiguous = 10 * time.Minute   // if HTTP/1.1 then worked
	ttlKilled    = 7 * 24 * time.Hour // GOAWAY or close_notify inside TLS over an assumption
	ttlLost      = 10 * time.Minute   // an end that an outsider can forge
)

// remembersNone: memory says that the origin has no WebSockets over any HTTP/2 that the policy would try.
func (m *Machine) remembersNone(now time.Time) bool {
	if !m.policy.allows(Settings) && !m.policy.allows(Assume) || m.facts.Known.Verdict(Settings, now) != No {
		return false
	}
	for _, r := range []Rung{Token, H21, Frame} {
		if m.policy.allows(r) && m.mayExperiment(now, r) {
			return false
		}
	}
	return true
}

// learn remembers what the failure of a says about the origin. Transport and silence say nothing.
func (m *Machine) learn(now time.Time, a *attempt, class Class, o Outcome) {
	if a.Rung == Upgrade {
		return
	}
	rung := a.Rung
	if rung == Assume {
		rung = Settings // what was assumed of
	}
	switch class {
	case Killed:
		r := Remember{Rung: Assume, Verdict: No, Cause: CauseLost, TTL: ttlLost}
		if l, ok := o.(ConnLost); ok && (l.GoAway && !l.Local && l.Code != codeNoError || l.CloseNotify) {
			r.Cause, r.TTL = CauseKilled, ttlKilled
		}
		if a.Rung == H21 {
			r.Rung = H21
		}
		m.order(r)
	case Version:
		r := Remember{Rung: rung, Verdict: No, Cause: CauseStatus, TTL: ttlStatus}
		switch o := o.(type) {
		case SettingsReceived:
			r.Cause, r.TTL = CauseSettings, ttlSettings
		case FrameUnsupported:
			r.Cause, r.TTL = CauseIgnored, ttlSettings
		case StreamReset:
			if o.Code == codeProtocolError {
				r.Cause, r.TTL = CauseReset, ttlSettings
			}
		case ConnLost:
			if o.Local {
				r.Cause, r.TTL = CauseProtocol, ttlSettings
			}
		}
		m.order(r)
	case Ambiguous:
		m.notices = append(m.notices, Remember{Rung: rung, Verdict: No, Cause: CauseAmbiguous, TTL: ttlAmbiguous})
	}
}

// confirm is what to store once a, which is open, has proved to speak WebSocket.
func (m *Machine) confirm(a *attempt) []Remember {
	if a.Rung == Upgrade {
		return m.notices
	}
	rung := a.Rung
	if rung == Assume {
		rung = Settings
	}
	return []Remember{{Rung: rung, Verdict: Yes, Cause: CauseOpened, TTL: ttlYes}}
}
