package negotiate

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// An Entry is what a memory holds about one origin ([Key]). It is a value: methods return a new one and leave the old as it is.
// The zero Entry knows nothing.
type Entry struct {
	Findings map[Rung]Finding `json:"findings,omitempty"`
	// RTT is the network's smoothed round-trip time, last Measured at; 0: not known.
	RTT      time.Duration `json:"rtt_ns,omitempty"`
	Measured time.Time     `json:"measured,omitzero"`
	// Used is when it was last written; what was not for longest is evicted first.
	Used time.Time `json:"used"`
}

// A Finding is what was found about one rung at one origin.
type Finding struct {
	Verdict Verdict   `json:"verdict"`
	Cause   Cause     `json:"cause"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"` // it holds before this time
	// Strikes is how many times in a row a No had expired and was found again. It doubles the time that the next holds.
	Strikes int `json:"strikes,omitempty"`
}

// A Verdict says whether a rung works at an origin.
type Verdict string

const (
	Yes       Verdict = "yes"
	No        Verdict = "no"
	Forgotten Verdict = "forgotten" // nothing is known; a later word than what another process may still hold
)

// A Cause says why a Finding says what it says.
type Cause string

const (
	CauseOpened    Cause = "opened"    // Yes: a WebSocket worked, up to the server's first valid frame
	CauseALPN      Cause = "alpn"      // No: the server chose another protocol
	CauseSettings  Cause = "settings"  // No: the server's first SETTINGS do not allow it
	CauseStatus    Cause = "status"    // No: 501, HTTP_1_1_REQUIRED or H3_VERSION_FALLBACK although SETTINGS allow it
	CauseReset     Cause = "reset"     // No: PROTOCOL_ERROR although SETTINGS allow it
	CauseProtocol  Cause = "protocol"  // No: the server does not speak HTTP/2 as it should
	CauseIgnored   Cause = "ignored"   // No: the server ignored WS_OPEN
	CauseAmbiguous Cause = "ambiguous" // No: an answer that may mean anything, and HTTP/1.1 worked
	CauseKilled    Cause = "killed"    // No: GOAWAY or close_notify inside TLS over an assumption
	CauseLost      Cause = "lost"      // No: the connection was lost over an assumption; an outsider can forge that
	CauseQUIC      Cause = "quic"      // No: QUIC was not answered, or its handshake failed; of a network, Yes: one was completed
)

// Verdict returns what is known about r now: Yes, No, or Forgotten for nothing.
func (e Entry) Verdict(r Rung, now time.Time) Verdict {
	f, ok := e.Findings[r]
	if !ok || !now.Before(f.Until) || f.untimely(now) {
		return Forgotten
	}
	return f.Verdict
}

// Remember returns e with r stored in it.
func (e Entry) Remember(r Remember, now time.Time) Entry {
	now = wall(now)
	e = e.pruned(now)
	old, known := e.Findings[r.Rung]
	f := Finding{Verdict: r.Verdict, Cause: r.Cause, Since: now, Until: now.Add(r.TTL)}
	if known && r.Verdict == No && old.Verdict == No {
		f = again(old, r, now)
	}
	e.Findings[r.Rung] = f
	if r.RTT > 0 {
		if e.RTT > 0 {
			r.RTT = e.RTT + (r.RTT-e.RTT)/8 // RFC 6298, Section 2
		}
		e.RTT, e.Measured = r.RTT, now
	}
	e.Used = now
	return e
}

// again is the finding of a No after a No. Asked again after the first had expired it counts as a strike; found at the same time by
// another dial it does not. The one that holds longer stays.
func again(old Finding, r Remember, now time.Time) Finding {
	f := Finding{Verdict: No, Cause: r.Cause, Since: now}
	if old.Cause == r.Cause {
		f.Strikes = min(max(old.Strikes, 0), maxStrikes) // a file may say anything
		if !now.Before(old.Until) {
			f.Strikes = min(f.Strikes+1, maxStrikes)
		}
	}
	f.Until = now.Add(min(r.TTL<<f.Strikes, max(r.TTL, r.Limit)))
	if old.Until.After(f.Until) {
		f.Until, f.Cause, f.Strikes = old.Until, old.Cause, old.Strikes
	}
	return f
}

// Forget returns e without what it says about r. That it was forgotten is kept for a while: others that share the memory may still
// hold what it said.
func (e Entry) Forget(r Rung, now time.Time) Entry {
	now = wall(now)
	e = e.pruned(now)
	e.Findings[r] = Finding{Verdict: Forgotten, Since: now, Until: now}
	e.Used = now
	return e
}

// Empty reports whether e says nothing, about the past either.
func (e Entry) Empty() bool { return len(e.Findings) == 0 && e.RTT == 0 }

// Timely returns e without what was found at a time that has not come yet: the clock was wrong then, and was set back. Of two findings
// the later one counts ([Merge]), so it would outlast all that is found until then.
func (e Entry) Timely(now time.Time) Entry {
	if now.Add(skew).Before(e.Used) {
		e.Used = now
	}
	if now.Add(skew).Before(e.Measured) {
		e.RTT, e.Measured = 0, time.Time{}
	}
	for _, f := range e.Findings {
		if f.untimely(now) {
			return e.pruned(now)
		}
	}
	return e
}

// untimely: from a time that has not come yet, or to hold for longer than anything does. A file may say anything.
func (f Finding) untimely(now time.Time) bool {
	return f.Since.Sub(now) > skew || f.Until.Sub(f.Since) > longest
}

// wall is now without its monotonic reading, which stands still while some machines sleep, and which a file does not keep: an entry means
// the same wherever it is kept.
func wall(now time.Time) time.Time { return now.Round(0) }

// pruned returns a copy of e without what expired long ago, or is from a time that has not come yet.
func (e Entry) pruned(now time.Time) Entry {
	findings := make(map[Rung]Finding, len(e.Findings)+1)
	for r, f := range e.Findings {
		if now.Sub(f.Until) < kept && !f.untimely(now) {
			findings[r] = f
		}
	}
	e.Findings = findings
	return e
}

// Merge returns what a and b know together; of two findings about a rung the later one. Which is a and which is b makes no difference.
func Merge(a, b Entry) Entry {
	findings := make(map[Rung]Finding, len(a.Findings))
	maps.Copy(findings, a.Findings)
	for r, f := range b.Findings {
		if old, ok := findings[r]; !ok || old.before(f) {
			findings[r] = f
		}
	}
	a.Findings = findings
	if len(findings) == 0 {
		a.Findings = nil
	}
	if cmp.Or(a.Measured.Compare(b.Measured), cmp.Compare(a.RTT, b.RTT)) < 0 {
		a.RTT, a.Measured = b.RTT, b.Measured
	}
	if a.Used.Before(b.Used) {
		a.Used = b.Used
	}
	return a
}

// before orders findings by time, and at one time in some way that is always the same.
func (f Finding) before(g Finding) bool {
	return cmp.Or(f.Since.Compare(g.Since), f.Until.Compare(g.Until), cmp.Compare(f.Verdict, g.Verdict),
		cmp.Compare(f.Cause, g.Cause), cmp.Compare(f.Strikes, g.Strikes)) < 0
}

// Bound returns the max of items that were written last, the least recently written first. It sorts items.
func Bound(items []Item, max int) []Item {
	slices.SortStableFunc(items, func(a, b Item) int { return a.Entry.Used.Compare(b.Entry.Used) })
	if n := len(items) - max; n > 0 {
		items = items[n:]
	}
	return items
}

const (
	// kept is how long a finding that has expired is kept: if it is found again in this time, it is a strike.
	kept       = 7 * day
	maxStrikes = 10
	// longest is more than any finding holds.
	longest = 31 * day
	// skew is how far the clocks of machines that share a memory may be apart.
	skew = 5 * time.Minute
)
