package negotiate

import (
	"maps"
	"slices"
	"time"
)

// An Entry is what a memory holds about one origin ([Key]). It is a value: methods return a new one and leave the old as it is.
// The zero Entry knows nothing.
type Entry struct {
	Findings map[Rung]Finding `json:"findings,omitempty"`
	// RTT is the network's smoothed round-trip time; 0: not known.
	RTT time.Duration `json:"rtt_ns,omitempty"`
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
)

// Verdict returns what is known about r now: Yes, No, or Forgotten for nothing.
func (e Entry) Verdict(r Rung, now time.Time) Verdict {
	f, ok := e.Findings[r]
	if !ok || !now.Before(f.Until) {
		return Forgotten
	}
	return f.Verdict
}

// Remember returns e with r stored in it.
func (e Entry) Remember(r Remember, now time.Time) Entry {
	e.Findings = maps.Clone(e.Findings)
	if e.Findings == nil {
		e.Findings = make(map[Rung]Finding)
	}
	f := Finding{Verdict: r.Verdict, Cause: r.Cause, Since: now}
	ttl := r.TTL
	if old, ok := e.Findings[r.Rung]; ok && r.Verdict == No && old.Verdict == No {
		// Asking again backs off, so that an origin that stays old is asked ever less often.
		f.Strikes = old.Strikes
		if !now.Before(old.Until) {
			f.Strikes++
		}
		for range f.Strikes {
			if ttl *= 2; ttl >= maxTTL {
				ttl = max(maxTTL, r.TTL)
				break
			}
		}
	}
	f.Until = now.Add(ttl)
	e.Findings[r.Rung] = f
	if r.RTT > 0 {
		e.RTT = smooth(e.RTT, r.RTT)
	}
	e.Used = now
	return e
}

// maxTTL bounds how long a No holds however often it was found.
const maxTTL = 7 * 24 * time.Hour

// smooth is the estimator of RFC 6298, Section 2: an eighth of each new sample.
func smooth(old, sample time.Duration) time.Duration {
	if old == 0 {
		return sample
	}
	return old + (sample-old)/8
}

// Forget returns e without what it says about r.
func (e Entry) Forget(r Rung, now time.Time) Entry {
	return e.Remember(Remember{Rung: r, Verdict: Forgotten, TTL: 0}, now)
}

// Merge returns what a and b know together; of two findings about a rung the later one.
func Merge(a, b Entry) Entry {
	for _, r := range slices.Sorted(maps.Keys(b.Findings)) {
		if old, ok := a.Findings[r]; !ok || old.Since.Before(b.Findings[r].Since) {
			a.Findings = maps.Clone(a.Findings)
			if a.Findings == nil {
				a.Findings = make(map[Rung]Finding)
			}
			a.Findings[r] = b.Findings[r]
		}
	}
	if b.Used.After(a.Used) {
		a.Used, a.RTT = b.Used, b.RTT
	}
	return a
}
