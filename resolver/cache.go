package resolver

import (
	"sync"
	"time"
)

// A cache holds answers until they expire, those without records too, and failures to get one. The zero value is empty and ready.
type cache struct {
	mu      sync.Mutex
	entries map[string]entry // Invariant: at most maxEntries
}

type entry struct {
	records []HTTPS
	failed  error // instead of an answer
	expires time.Time
}

// get returns copies of the records, whose TTL is what is left at now, or why there is no answer.
func (c *cache) get(name string, now time.Time) (records []HTTPS, failed error, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[name]
	if !ok || e.left(now) <= 0 {
		return nil, nil, false
	}
	return e.at(now), e.failed, true
}

// put keeps records for ttl, and returns what get would.
func (c *cache) put(name string, records []HTTPS, ttl time.Duration, now time.Time) []HTTPS {
	e := entry{records: records, expires: now.Add(ttl)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ttl <= 0 {
		delete(c.entries, name)
		return e.at(now)
	}
	c.set(name, e, now)
	return e.at(now)
}

// putFailure keeps err for failureTTL, unless another lookup has got an answer meanwhile.
func (c *cache) putFailure(name string, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[name]; !ok || e.left(now) <= 0 {
		c.set(name, entry{failed: err, expires: now.Add(failureTTL)}, now)
	}
}

// set needs mu held.
func (c *cache) set(name string, e entry, now time.Time) {
	if c.entries == nil {
		c.entries = make(map[string]entry)
	}
	if _, known := c.entries[name]; !known && len(c.entries) >= maxEntries {
		c.makeRoom(now)
	}
	c.entries[name] = e
}

// makeRoom drops what has expired, or else what does so next.
func (c *cache) makeRoom(now time.Time) {
	next := ""
	for name, e := range c.entries {
		if e.left(now) <= 0 {
			delete(c.entries, name)
		} else if next == "" || e.expires.Before(c.entries[next].expires) {
			next = name
		}
	}
	if len(c.entries) >= maxEntries {
		delete(c.entries, next)
	}
}

// left is for how long e holds, by the clock that says less: while the machine sleeps the monotonic one may stand still, and the wall clock may be
// set back.
func (e entry) left(now time.Time) time.Duration {
	return min(e.expires.Sub(now), e.expires.Sub(now.Round(0)))
}

func (e entry) at(now time.Time) []HTTPS {
	var records []HTTPS
	for _, h := range e.records {
		h = h.clone()
		h.TTL = e.left(now)
		records = append(records, h)
	}
	return records
}

const (
	maxEntries = 1000
	// failureTTL: RFC 9520, Section 3.2, wants a second at least and five minutes at most. Choice: short, since a network that is back is worth
	// finding out, and long enough that dials which are tried again and again do not each wait for a server that does not answer.
	failureTTL = 5 * time.Second
)
