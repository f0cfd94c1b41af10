package altsvc

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A Cache holds the alternative services that origins have named. Its zero value is empty and ready. Origins are given in
// any form that CanonicalOrigin takes; what it does not take is unknown. RFC 7838, Section 2.2.
type Cache struct {
	// MaxOrigins is how many origins are kept, those that were used last; 0: 1000.
	MaxOrigins int

	origins map[string]*record
	uses    uint64 // counts up
}

// An Entry is a Service in the cache.
type Entry struct {
	Service
	Since, Expires time.Time
	Persist        bool
}

// fresh reports whether e holds now, by both clocks: while the machine sleeps the monotonic one may stand still, and the wall clock may be set
// back. Where e comes from a file and has no monotonic reading, one that begins in the future is of a clock that was wrong.
func (e Entry) fresh(now time.Time) bool {
	return now.Before(e.Expires) && now.Round(0).Before(e.Expires) && e.Since.Sub(now) <= skew
}

// skew is how far the clocks of machines that share a file may be apart.
const skew = 5 * time.Minute

// A record is what one origin has named, in the order of its preference.
type record struct {
	entries []Entry // Invariant: not empty
	used    uint64  // when, by Cache.uses
}

// Apply takes what an origin has said in a response (or ALTSVC frame) that is age old, and reports whether the cache has
// changed. A Value without alternatives that could be read says nothing. Not for the field of a 421: "An Alt-Svc header field
// in a 421 (Misdirected Request) response MUST be ignored." RFC 7838, Section 6.
func (c *Cache) Apply(origin string, v Value, now time.Time, age time.Duration) bool {
	key, ok := CanonicalOrigin(origin)
	if !ok || !v.Clear && len(v.Offers) == 0 {
		return false
	}
	// "When an Alt-Svc response header field is received from an origin, its value invalidates and replaces all cached
	// alternative services for that origin." RFC 7838, Section 3.1.
	had := c.origins[key] != nil
	delete(c.origins, key)
	// "The delta-seconds value indicates the number of seconds since the response was generated for which the alternative
	// service is considered fresh." RFC 7838, Section 3.1.
	var entries []Entry
	for _, o := range v.Offers {
		if left := o.MaxAge - max(age, 0); left > 0 {
			entries = append(entries, Entry{o.Service, now, now.Add(left), o.Persist})
		}
	}
	if len(entries) == 0 {
		return had
	}
	c.put(key, entries)
	if len(c.origins) > c.limit() {
		c.Origins(now) // what has expired goes first
		c.evict()
	}
	return true
}

// Lookup returns what is fresh for an origin, in the order of its preference.
func (c *Cache) Lookup(origin string, now time.Time) []Entry {
	key, _ := CanonicalOrigin(origin)
	r := c.origins[key]
	if r == nil {
		return nil
	}
	c.expire(key, r, now)
	c.uses++
	r.used = c.uses
	return slices.Clone(r.entries)
}

// Remove forgets one alternative of an origin, and reports whether it was there: "Clients receiving 421 (Misdirected Request)
// from an alternative service MUST remove the corresponding entry from its alternative service cache [...] for that origin."
// RFC 7838, Section 6.
func (c *Cache) Remove(origin string, s Service) bool {
	key, _ := CanonicalOrigin(origin)
	return c.origins[key] != nil && c.keep(key, c.origins[key], func(e Entry) bool { return e.Service != s })
}

// Clear forgets all alternatives of an origin, and reports whether there were any.
func (c *Cache) Clear(origin string) bool {
	key, _ := CanonicalOrigin(origin)
	had := c.origins[key] != nil
	delete(c.origins, key)
	return had
}

// NetworkChanged: "clients SHOULD remove from cache all alternative services that lack the "persist" flag with the value "1"
// when they detect such a change". RFC 7838, Section 2.2.
func (c *Cache) NetworkChanged() {
	for key, r := range c.origins {
		c.keep(key, r, func(e Entry) bool { return e.Persist })
	}
}

// Origins returns the origins of which something is fresh, sorted.
func (c *Cache) Origins(now time.Time) []string {
	for key, r := range c.origins {
		c.expire(key, r, now)
	}
	return slices.Sorted(maps.Keys(c.origins))
}

func (c *Cache) put(key string, entries []Entry) {
	if c.origins == nil {
		c.origins = make(map[string]*record)
	}
	c.uses++
	c.origins[key] = &record{entries: entries, used: c.uses}
}

func (c *Cache) expire(key string, r *record, now time.Time) {
	c.keep(key, r, func(e Entry) bool { return e.fresh(now) })
}

// keep forgets the entries of a record that want refuses, and the record with the last of them; it reports whether there
// were any.
func (c *Cache) keep(key string, r *record, want func(Entry) bool) bool {
	n := len(r.entries)
	r.entries = slices.DeleteFunc(r.entries, func(e Entry) bool { return !want(e) })
	if len(r.entries) == 0 {
		delete(c.origins, key)
	}
	return len(r.entries) < n
}

// evict makes the cache small enough: what was not used for longest goes.
func (c *Cache) evict() {
	for _, key := range c.byUse()[:max(0, len(c.origins)-c.limit())] {
		delete(c.origins, key)
	}
}

func (c *Cache) limit() int {
	if c.MaxOrigins <= 0 {
		return defaultMaxOrigins
	}
	return c.MaxOrigins
}

const defaultMaxOrigins = 1000

// byUse returns the origins, that which was not used for longest first.
func (c *Cache) byUse() []string {
	return slices.SortedFunc(maps.Keys(c.origins), func(a, b string) int {
		return cmp.Compare(c.origins[a].used, c.origins[b].used)
	})
}
