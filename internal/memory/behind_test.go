package memory

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftws/weft/negotiate"
)

// While another process has the file, or the disk is slow, a Put does not wait: what was put is known at once, and in the file when that is possible.
func TestPutWaitsForNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	synctest.Test(t, func(t *testing.T) {
		f := NewFile(path, FileOptions{OnError: func(err error) { t.Error(err) }})
		unlock, err := lock(path + ".lock")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i := range 10 {
			f.Put(key(i), said(negotiate.Settings, i))
			f.Put(key(i), said(negotiate.Frame, i))
		}
		for i := range 10 {
			if e, _ := f.Get(key(i)); len(e.Findings) != 2 {
				t.Errorf("%s: %+v", key(i), e)
			}
		}
		if got := f.List(); len(got) != 10 {
			t.Errorf("%d origins are listed", len(got))
		}
		time.AfterFunc(time.Second, unlock)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); canLock && took < time.Second {
			t.Errorf("flushed after %v, though another has the file for a second", took)
		}
		if got := NewFile(path, FileOptions{}).List(); len(got) != 10 {
			t.Errorf("the next process finds %d origins", len(got))
		}
	})
	noLitter(t, filepath.Dir(path))
}

// A process that holds the lock and has stopped holds nobody up for good.
func TestLockIsNotAwaitedForEver(t *testing.T) {
	if !canLock {
		t.Skip("there are no advisory locks here")
	}
	path := filepath.Join(t.TempDir(), "memory")
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		f := NewFile(path, FileOptions{OnError: func(err error) { errs = append(errs, err) }})
		unlock, err := lock(path + ".lock")
		if err != nil {
			t.Fatal(err)
		}
		f.Put(key(1), said(negotiate.Settings, 1))
		if err := f.Flush(); err == nil || !strings.Contains(err.Error(), "held it for 5s") {
			t.Errorf("Flush: %v", err)
		}
		time.Sleep(time.Minute)
		if len(errs) != 1 {
			t.Errorf("errors %v, want one", errs)
		}
		unlock()
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
		if _, ok := NewFile(path, FileOptions{}).Get(key(1)); !ok {
			t.Error("what could not be written was not tried again")
		}
	})
}

// What cannot be written is bounded, too: what was put last stays.
func TestUnwritableIsBounded(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "nowhere", "memory"), FileOptions{Limit: 3})
	for i := range 5 {
		f.Put(key(i), said(negotiate.Settings, 9-i))
		f.Put(key(2), said(negotiate.Frame, i))
	}
	f.Flush()
	for i, want := range []bool{false, false, true, true, true} {
		if _, ok := f.Get(key(i)); ok != want {
			t.Errorf("%s: %v, want %v", key(i), ok, want)
		}
	}
}
