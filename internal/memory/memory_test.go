package memory

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft/negotiate"
)

var (
	_ negotiate.Store = (*Map)(nil)
	_ negotiate.Store = (*File)(nil)

	epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
)

func key(i int) negotiate.Key {
	return negotiate.Key{Scheme: "wss", Host: fmt.Sprintf("host%d.example", i), Port: "443", ALPNSet: "h2,http/1.1"}
}

// said is an entry that says no to r since i seconds.
func said(r negotiate.Rung, i int) negotiate.Entry {
	return negotiate.Entry{}.Remember(negotiate.Remember{Rung: r, Verdict: negotiate.No, Cause: negotiate.CauseSettings, TTL: time.Hour},
		epoch.Add(time.Duration(i)*time.Second))
}

// stores runs f with every implementation, for limit origins.
func stores(t *testing.T, limit int, f func(t *testing.T, s negotiate.Store)) {
	t.Run("Map", func(t *testing.T) { f(t, NewMap(limit)) })
	t.Run("File", func(t *testing.T) {
		s := NewFile(filepath.Join(t.TempDir(), "memory"), FileOptions{Limit: limit, OnError: func(err error) { t.Error(err) }})
		defer s.Flush() // before its folder goes
		f(t, s)
	})
}

func TestStore(t *testing.T) {
	stores(t, 0, func(t *testing.T, s negotiate.Store) {
		if _, ok := s.Get(key(1)); ok || len(s.List()) != 0 {
			t.Error("a new memory is not empty")
		}
		s.Put(key(1), said(negotiate.Settings, 1))
		s.Put(key(2), said(negotiate.Settings, 2))
		e, ok := s.Get(key(1))
		if !ok || e.Verdict(negotiate.Settings, epoch.Add(time.Minute)) != negotiate.No {
			t.Errorf("Get: %+v, %v", e, ok)
		}
		// Somebody who has not read that.
		s.Put(key(1), said(negotiate.Frame, 3))
		e, _ = s.Get(key(1))
		if len(e.Findings) != 2 {
			t.Errorf("Put does not merge: %+v", e)
		}
		if got := s.List(); len(got) != 2 || got[0].Key != key(2) || got[1].Key != key(1) {
			t.Errorf("List: %+v, want the least recently written first", got)
		}
		s.Delete(key(1))
		s.Delete(key(3))
		if _, ok := s.Get(key(1)); ok || len(s.List()) != 1 {
			t.Error("Delete does not")
		}
	})
}

func TestLimit(t *testing.T) {
	stores(t, 3, func(t *testing.T, s negotiate.Store) {
		for i := range 5 {
			s.Put(key(i), said(negotiate.Settings, i))
		}
		s.Put(key(2), said(negotiate.Frame, 9))
		s.Put(key(5), said(negotiate.Frame, 10))
		if f, ok := s.(*File); ok {
			f.Flush()
		}
		var got []negotiate.Key
		for _, i := range s.List() {
			got = append(got, i.Key)
		}
		if want := []negotiate.Key{key(4), key(2), key(5)}; !slices.Equal(got, want) {
			t.Errorf("holds %v, want %v", got, want)
		}
		if _, ok := s.Get(key(3)); ok {
			t.Error("Get finds what was evicted")
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	stores(t, 0, func(t *testing.T, s negotiate.Store) {
		rungs := negotiate.Rungs()
		var wg sync.WaitGroup
		for i, r := range rungs {
			wg.Go(func() {
				for n := range 5 {
					s.Put(key(n), said(r, i))
					s.Get(key(n))
					s.List()
				}
			})
		}
		wg.Wait()
		for n := range 5 {
			if e, _ := s.Get(key(n)); len(e.Findings) != len(rungs) {
				t.Errorf("%d of %d findings are left", len(e.Findings), len(rungs))
			}
		}
	})
}
