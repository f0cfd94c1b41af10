package resolver

import (
	"sync"
	"time"
)

// A cache holds answers until they expire, those without records too. The zero value is empty and ready.
type cache struct {
	mu      sync.Mutex
	entries map[string]entry // Invariant: at most maxEntries
}

type entry struct {
	records []HTTPS
	expires time.Time
}

// get returns copies of the records, whose TTL is what is left at now.
func (c *cache) get(name string, now time.Time) (records []HTTPS, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[name]
	if !ok || e.left(now) <= 0 {
		return nil, false
	}
	return e.at(now), true
}

// put keeps records for ttl, and returns what get would.
func (c *cache) put(name string, records []HTTPS, ttl time.Duration, now time.Time) []HTTPS {
	e := entry{records, now.Add(ttl)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ttl <= 0 {
		delete(c.entries, name)
		return e.at(now)
	}
	if c.entries == nil {
		c.entries = make(map[string]entry)
	}
	if _, known := c.entries[name]; !known && len(c.entries) >= maxEntries {
		c.makeRoom(now)
	}
	c.entries[name] = e
	return e.at(now)
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

const maxEntries = 1000
