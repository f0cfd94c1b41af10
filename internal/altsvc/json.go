package altsvc

import (
	"encoding/json"
	"fmt"
	"time"
)

// The cache as JSON, entries in the order of their origins' use:
//
//	{"version": 1, "entries": [
//	  {"origin": "https://example.com", "service": "h3=\":443\"",
//	   "since": "2026-01-01T03:04:05Z", "expires": "2026-01-02T03:04:05Z", "persist": true}
//	]}
type cacheJSON struct {
	Version int         `json:"version"`
	Entries []entryJSON `json:"entries"`
}

type entryJSON struct {
	Origin  string    `json:"origin"`
	Service string    `json:"service"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"`
	Persist bool      `json:"persist,omitempty"`
}

const jsonVersion = 1

// MarshalJSON implements json.Marshaler. What has expired is still in it.
func (c *Cache) MarshalJSON() ([]byte, error) {
	out := cacheJSON{Version: jsonVersion, Entries: []entryJSON{}}
	for _, key := range c.byUse() {
		for _, e := range c.origins[key].entries {
			out.Entries = append(out.Entries, entryJSON{key, e.Service.String(), e.Since.UTC().Round(0), e.Expires.UTC().Round(0), e.Persist})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler. It replaces what the cache holds; MaxOrigins stays, and counts. An entry that
// cannot be read is left out. Errors: no JSON of this form, or of another version.
func (c *Cache) UnmarshalJSON(b []byte) error {
	var in cacheJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("alternative services: %w", err)
	}
	if in.Version != jsonVersion {
		return fmt.Errorf("alternative services of version %d, want %d", in.Version, jsonVersion)
	}
	c.origins, c.uses = nil, 0
	for _, e := range in.Entries {
		key, ok := CanonicalOrigin(e.Origin)
		o, reason := parseOffer(e.Service)
		entry := Entry{o.Service, e.Since.UTC(), e.Expires.UTC(), e.Persist}
		if !ok || reason != "" || !entry.storable() {
			continue
		}
		r := c.origins[key]
		switch {
		case r == nil:
			c.put(key, []Entry{entry})
		case len(r.entries) < MaxOffers:
			r.entries = append(r.entries, entry)
		}
	}
	c.evict()
	return nil
}

// storable reports whether JSON can say the times again, and a field can have said that it holds for so long.
func (e Entry) storable() bool {
	for _, t := range []time.Time{e.Since, e.Expires} {
		if t.Year() < 0 || t.Year() > 9999 {
			return false
		}
	}
	return e.Expires.Sub(e.Since) <= maxSeconds*time.Second
}
