package memory

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/negotiate"
)

// What another process wrote with another clock, or whoever wrote the file, is worth what it is worth now: nothing from the future, nothing that has
// expired, nothing that claims to hold for ever. It keeps nothing newer out, and does not stay for longer than what was written since.
func TestFileOfAnotherClock(t *testing.T) {
	const hour, year = time.Hour, 365 * 24 * time.Hour
	for _, tt := range []struct {
		since, until time.Duration // from now
		want         negotiate.Verdict
	}{
		{-time.Minute, time.Minute, negotiate.No},
		{time.Minute, hour, negotiate.No}, // small differences are none
		{hour, 2 * hour, negotiate.Forgotten},
		{10 * year, 10*year + hour, negotiate.Forgotten},
		{-10 * year, -10*year + hour, negotiate.Forgotten},
		{-10 * year, hour, negotiate.Forgotten},
		{-hour, 200 * year, negotiate.Forgotten},
		{-290 * year, hour, negotiate.Forgotten},
		{200 * year, -200 * year, negotiate.Forgotten},
	} {
		t.Run(fmt.Sprint(tt.since, tt.until), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory")
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				at := now.Add(tt.since)
				old := negotiate.Entry{Findings: map[negotiate.Rung]negotiate.Finding{
					negotiate.Settings: {Verdict: negotiate.No, Cause: negotiate.CauseSettings, Since: at, Until: now.Add(tt.until)},
				}, Used: at, Measured: at, RTT: 1 << 62}
				writeItems(t, path, negotiate.Item{Key: key(1), Entry: old}, negotiate.Item{Key: key(2), Entry: old}, negotiate.Item{Key: key(3), Entry: old})
				open := func() *File {
					return NewFile(path, FileOptions{Limit: 3, OnError: func(err error) { t.Error(err) }})
				}
				verdict := func(i int, r negotiate.Rung) negotiate.Verdict {
					e, _ := open().Get(key(i))
					return e.Verdict(r, time.Now())
				}
				if got := verdict(1, negotiate.Settings); got != tt.want {
					t.Errorf("it says %s, want %s", got, tt.want)
				}
				put := func(i int, r negotiate.Remember) {
					f := open()
					e, _ := f.Get(key(i))
					f.Put(key(i), e.Remember(r, time.Now()))
					f.Flush()
				}
				if tt.want == negotiate.No {
					time.Sleep(max(tt.since+1, 0)) // later than it
				}
				put(1, negotiate.Remember{Rung: negotiate.Settings, Verdict: negotiate.Yes, Cause: negotiate.CauseOpened, TTL: hour})
				if got := verdict(1, negotiate.Settings); got != negotiate.Yes {
					t.Errorf("what was put says %s", got)
				}
				// The machine sleeps, and two origins are new.
				time.Sleep(30 * time.Minute)
				if got := verdict(1, negotiate.Settings); got != negotiate.Yes {
					t.Errorf("what was put says %s after half its time", got)
				}
				for _, i := range []int{4, 5} {
					put(i, negotiate.Remember{Rung: negotiate.Frame, Verdict: negotiate.No, Cause: negotiate.CauseIgnored, TTL: hour})
				}
				if verdict(4, negotiate.Frame) != negotiate.No || verdict(5, negotiate.Frame) != negotiate.No || len(open().List()) != 3 {
					t.Errorf("what was written last went first: %v", open().List())
				}
				time.Sleep(10 * year)
				for _, item := range open().List() {
					for r := range item.Entry.Findings {
						if got := item.Entry.Verdict(r, time.Now()); got != negotiate.Forgotten {
							t.Errorf("ten years later %v says %s of %s", item.Key, got, r)
						}
					}
				}
			})
		})
	}
}

func writeItems(t *testing.T, path string, items ...negotiate.Item) {
	t.Helper()
	b, err := json.Marshal(document{Format: format, Version: version, Items: items})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
