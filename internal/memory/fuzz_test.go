package memory

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftws/weft/negotiate"
)

// Whatever is in the file: it is read or put aside, with at most one complaint; what is put is there afterwards, also for the next
// process; and a dial that knows what the file says goes on.
func FuzzFile(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "memory")
	seed := NewFile(path, FileOptions{})
	seed.Put(key(1), said(negotiate.Settings, 1))
	seed.Put(key(2), said(negotiate.H3, 2))
	seed.Put(negotiate.NetworkKey("home"), said(negotiate.H3, 2))
	seed.Flush()
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"format":"weft memory","version":1,"items":[{"key":"wss://host1.example:443?alpn=h2,http/1.1","entry":{"findings":{"settings":{"verdict":"no","strikes":-1}}}}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var complaints []error
		file := NewFile(path, FileOptions{Limit: 10, OnError: func(err error) { complaints = append(complaints, err) }})
		listed := file.List()
		for _, item := range listed {
			use(t, item.Entry)
			if _, ok := file.Get(item.Key); !ok {
				t.Errorf("%v is listed and not there", item.Key)
			}
		}
		for _, item := range listed { // a Put may let go of what has expired
			file.Put(item.Key, item.Entry.Remember(negotiate.Remember{Rung: negotiate.Settings, Verdict: negotiate.No, Cause: negotiate.CauseSettings, TTL: time.Hour}, epoch))
		}
		file.Delete(key(3))
		latest := time.Now() // what was written last is not evicted, whatever time there is in the file
		file.Put(key(3), negotiate.Entry{}.Remember(negotiate.Remember{Rung: negotiate.Frame, Verdict: negotiate.Yes, TTL: time.Hour}, latest))
		if err := file.Flush(); err != nil {
			t.Error(err)
		}

		switch {
		case len(complaints) > 1:
			t.Errorf("%d complaints: %v", len(complaints), complaints)
		case len(complaints) == 1:
			if _, ok := errors.AsType[*notMemoryError](complaints[0]); !ok {
				t.Errorf("complaint: %v", complaints[0])
			}
			if bad, err := os.ReadFile(path + ".bad"); err != nil || !bytes.Equal(bad, content) {
				t.Errorf("put aside: %q, %v", bad, err)
			}
		}
		next := NewFile(path, FileOptions{Limit: 10, OnError: func(err error) { t.Errorf("the next process: %v", err) }})
		if e, _ := next.Get(key(3)); e.Verdict(negotiate.Frame, latest) != negotiate.Yes {
			t.Errorf("what was put is not there: %+v", e)
		}
		if n := len(next.List()); n > 10 {
			t.Errorf("%d origins", n)
		}
	})
}

// use begins a dial that knows e.
func use(t *testing.T, e negotiate.Entry) {
	m := negotiate.New(negotiate.Policy{}, negotiate.Facts{Secure: true, Known: e})
	now := epoch
	if orders := m.Start(now); len(orders) == 0 {
		t.Fatalf("no orders with %+v", e)
	}
	m.Report(now, negotiate.Cancelled{Err: os.ErrDeadlineExceeded})
	if !m.Done() {
		t.Errorf("cancelled, and not done, with %+v", e)
	}
}
