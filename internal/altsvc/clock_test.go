package altsvc

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/weftws/weft/internal/simnet"
)

const day = 24 * time.Hour

// jumps of the wall clock.
var jumps = []time.Duration{-10 * 365 * day, -day, -time.Hour, -time.Second, time.Second, time.Hour, day, 10 * 365 * day}

// Whatever becomes of the wall clock, no alternative is used for longer than the server said, nor for ever.
func TestClockIsSet(t *testing.T) {
	const origin = "https://example.com"
	for _, ma := range []time.Duration{time.Minute, 2 * time.Hour, DefaultMaxAge, 1 << 31 * time.Second} {
		for _, jump := range jumps {
			t.Run(fmt.Sprint(ma, jump), func(t *testing.T) {
				var c Cache
				then := time.Now()
				c.Apply(origin, Parse(fmt.Sprintf(`h3=":443"; ma=%d`, ma/time.Second)), then, 0)
				fresh := func(after time.Duration) bool {
					kept := Cache{origins: map[string]*record{origin: {entries: c.Lookup(origin, then)}}}
					return len(kept.Lookup(origin, simnet.SetWall(then.Add(after), jump))) > 0
				}
				if got, want := fresh(0), jump < ma; got != want {
					t.Errorf("fresh at once: %v, want %v", got, want)
				}
				if fresh(ma) || jump > 0 && fresh(ma-jump) {
					t.Error("fresh for too long")
				}
				// What is said afterwards holds as long as it says.
				now := simnet.SetWall(then.Add(time.Second), jump)
				c.Apply(origin, Parse(`h2=":443"; ma=60`), now, 0)
				if len(c.Lookup(origin, now.Add(59*time.Second))) != 1 || len(c.Lookup(origin, now.Add(time.Minute))) != 0 {
					t.Error("what is said afterwards does not hold as long as it says")
				}
			})
		}
	}
}

// A stored cache has only the wall clock to go by.
func TestClockIsSetBetweenProcesses(t *testing.T) {
	const origin = "https://example.com"
	var c Cache
	then := time.Now()
	c.Apply(origin, Parse(`h3=":443"; ma=7200`), then, 0)
	stored, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, jump := range jumps {
		var c Cache
		if err := json.Unmarshal(stored, &c); err != nil {
			t.Fatal(err)
		}
		now := then.Add(jump)
		if got, want := len(c.Lookup(origin, now)) > 0, jump > -skew && jump < 2*time.Hour; got != want {
			t.Errorf("fresh after %v: %v, want %v", jump, got, want)
		}
	}
	for _, times := range [][2]string{
		{"2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}, {"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}, {"9999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"},
		{"2020-01-01T00:00:00Z", "0000-01-01T00:00:00Z"}, {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	} {
		var c Cache
		text := fmt.Sprintf(`{"version":1,"entries":[{"origin":%q,"service":"h3=\":1\"","since":%q,"expires":%q}]}`, origin, times[0], times[1])
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Error(err)
		}
		if len(c.Lookup(origin, then)) > 0 {
			t.Errorf("fresh from %s to %s", times[0], times[1])
		}
	}
}

// An Age beyond all numbers makes no alternative younger.
func TestAbsurdAge(t *testing.T) {
	age, ok := ParseSeconds("99999999999999999999999")
	var c Cache
	if !ok || c.Apply("https://example.com", Parse(`h3=":443"; ma=2147483648`), start, age) {
		t.Errorf("Age %v is %v, and fresh", age, ok)
	}
}
