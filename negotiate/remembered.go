package negotiate

import "time"

// What the memory says steers a dial where there is another way to go; it never makes one fail.

// memorySaysNo reports whether the memory keeps this dial from using r on a new connection to the origin.
func (m *Machine) memorySaysNo(r Rung, now time.Time) bool {
	no := func(r Rung) bool { return m.facts.Known.Verdict(r, now) == No }
	switch r {
	case Upgrade, AltSvc:
		return false
	case H3:
		return no(H3) && m.policy.allowsTCP()
	case Assume:
		// Who may not assume asks first, as settings does.
		return no(Assume) || m.memorySaysNo(Settings, now)
	case Settings:
		return no(r) && m.policy.allows(Upgrade)
	}
	return no(r) && (m.policy.allows(Upgrade) || m.policy.allows(Settings))
}

// memoryForbidsLive: what a server says on a live connection is newer than what is remembered of its SETTINGS and of ALPN. A No
// that was found although SETTINGS allowed it holds there, too.
func (m *Machine) memoryForbidsLive(r Rung, now time.Time) bool {
	if !m.memorySaysNo(r, now) {
		return false
	}
	switch m.facts.Known.Findings[r].Cause {
	case CauseSettings, CauseALPN, CauseProtocol, CauseQUIC:
		return false
	}
	return true
}

// memoryKnows reports whether anything is known about how the origin takes r, so that a spare would be wasted.
func (m *Machine) memoryKnows(r Rung, now time.Time) bool {
	known := func(r Rung) bool { return m.facts.Known.Verdict(r, now) != Forgotten }
	return known(r) || r == Assume && known(Settings)
}

// A findingKind is a row of the table of what is remembered, and for how long.
type findingKind int

const (
	openedFinding findingKind = iota
	alpnFinding
	settingsFinding
	resetFinding
	protocolFinding
	ignoredFinding
	statusFinding
	ambiguousFinding
	killedFinding
	lostFinding
	quicFinding
)

// limit is what a No may grow to when it is found again and again. What an outsider can forge does not grow.
var findings = [...]struct {
	verdict    Verdict
	cause      Cause
	ttl, limit time.Duration
}{
	openedFinding:    {Yes, CauseOpened, day, 0},
	alpnFinding:      {No, CauseALPN, time.Hour, day},
	settingsFinding:  {No, CauseSettings, time.Hour, day},
	resetFinding:     {No, CauseReset, time.Hour, day},
	protocolFinding:  {No, CauseProtocol, time.Hour, day},
	ignoredFinding:   {No, CauseIgnored, time.Hour, day},
	statusFinding:    {No, CauseStatus, day, 7 * day},
	ambiguousFinding: {No, CauseAmbiguous, 10 * time.Minute, day},
	killedFinding:    {No, CauseKilled, 7 * day, 0},
	lostFinding:      {No, CauseLost, forgeable, 0},
	quicFinding:      {No, CauseQUIC, forgeable, day}, // who forges it costs us the better transport, not the WebSocket
}

const (
	day = 24 * time.Hour
	// forgeable is how long to believe what an outsider can forge.
	forgeable = 10 * time.Minute
)

// finding is the entry of kind for rung r. Without TLS everything can be forged.
func (m *Machine) finding(r Rung, kind findingKind) Remember {
	f := findings[kind]
	o := Remember{Rung: r, Verdict: f.verdict, Cause: f.cause, TTL: f.ttl, Limit: f.limit}
	if f.verdict == No && !m.facts.Secure {
		o.TTL, o.Limit = min(o.TTL, forgeable), 0
		if kind == killedFinding {
			o.Cause = CauseLost
		}
	}
	return o
}

// remember orders that kind be stored about r.
func (m *Machine) remember(r Rung, kind findingKind) {
	// A Yes is dropped by one failure of version. Assume and settings rest on the same word of the server's.
	if r == Settings && m.facts.Known.Findings[Assume].Verdict == Yes {
		m.order(Forget{Rung: Assume})
	}
	m.order(m.finding(r, kind))
}

// learn stores what the failure of a says about the origin; of one on an alternative service that is nothing.
func (m *Machine) learn(a *attempt, class Class, o Outcome) {
	r := a.Rung
	if r == Assume {
		r = Settings
	}
	if r == H3 {
		m.learnH3(a, class, o)
		return
	}
	if a.Alt != nil || r == Upgrade {
		return
	}
	switch class {
	case Version:
		m.exclude(r)
		m.remember(r, versionFinding(o))
	case Killed:
		m.exclude(a.Rung)
		kind := lostFinding
		if o := o.(ConnLost); o.CloseNotify || o.GoAway && o.Code != codeNoError {
			kind = killedFinding
		}
		m.remember(a.Rung, kind)
	case Ambiguous:
		m.doubtful = r
	}
}

// exclude: r has failed in this dial.
func (m *Machine) exclude(r Rung) {
	m.excluded[r] = true
	if r == Settings {
		m.excluded[Assume] = true
	}
}

func versionFinding(o Outcome) findingKind {
	switch o := o.(type) {
	case Connected:
		return alpnFinding
	case SettingsReceived:
		return settingsFinding
	case FrameUnsupported:
		return ignoredFinding
	case StreamReset:
		switch o.Code {
		case codeProtocolError, codeH3ProtocolError, codeMessageError:
			return resetFinding
		}
	case ConnLost:
		if o.Local {
			return protocolFinding
		}
	}
	return statusFinding
}

// learnHTTP11: a server that takes http/1.1 where HTTP/2 was offered has none.
func (m *Machine) learnHTTP11(now time.Time, a *attempt) {
	if a.Alt != nil {
		return
	}
	for _, r := range []Rung{H21, Frame, Settings} {
		token := "h2"
		if r == H21 {
			token = h2dot1
		}
		if a.offered(token) && m.may(r, now) {
			m.remember(r, alpnFinding)
		}
	}
}

// confirm is what a WebSocket on a says about the origin once it works.
func (m *Machine) confirm(now time.Time, a *attempt) []Remember {
	r := a.Rung
	if a.Alt != nil && !m.atOrigin(a) {
		r = AltSvc
	}
	yes := m.finding(r, openedFinding)
	yes.RTT = a.rtt
	if f := m.facts.Known.Findings[r]; f.Verdict == Yes && f.Until.Sub(now) > yes.TTL/2 {
		return nil // it would be written again with every dial
	}
	list := []Remember{yes}
	if r == Assume && m.facts.Known.Verdict(Settings, now) == No {
		list = append(list, m.finding(Settings, openedFinding))
	}
	return list
}
