package weft_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/weftws/weft"
	fake "github.com/weftws/weft/internal/fakeorigin"
	"github.com/weftws/weft/negotiate"
)

// What a Dial has found out is in the file when the Dialer is closed, as a program does before it ends: the next process dials as it would have.
func TestCloseWritesTheMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	open := func() weft.Memory { return weft.FileMemory(path, func(err error) { t.Error(err) }) }
	overFake(t, new(fake.Origin), func(t *testing.T, e *fakeEnv) {
		for i, want := range []string{"4 assume:version upgrade:open tcp=2", "3 upgrade:open tcp=1"} {
			e.dialer = e.fork()
			e.dialer.Memory = open()
			if got := e.account(nil); got != want {
				t.Errorf("process %d: %s, want %s", i+1, got, want)
			}
			if err := e.dialer.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if got := open().List(); len(got) != 1 || got[0].Entry.Findings[weft.Settings].Verdict != negotiate.No {
		t.Errorf("the file has %+v", got)
	}
}

// behindMemory is a Memory that writes behind, and cannot.
type behindMemory struct {
	weft.Memory
	flushed int
}

var errDiskFull = errors.New("disk is full")

func (m *behindMemory) Flush() error {
	m.flushed++
	return errDiskFull
}

func TestCloseFlushesAnyMemory(t *testing.T) {
	m := new(behindMemory)
	if err := (&weft.Dialer{Memory: m}).Close(); err != errDiskFull || m.flushed != 1 {
		t.Errorf("%v, flushed %d times", err, m.flushed)
	}
}
