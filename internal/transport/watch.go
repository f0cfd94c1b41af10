package transport

import (
	"sync"
	"time"
)

// A Watch notices batches that take long for many Flushers with one timer, which runs while there are batches. The zero value works.
type Watch struct {
	mu     sync.Mutex // taken with a Flusher's held, never the other way round
	listed []*Flusher // had a batch since the tick before the last
	spare  []*Flusher
	timer  *time.Timer
}

// add is called with f's mutex held.
func (w *Watch) add(f *Flusher) {
	w.mu.Lock()
	if w.listed = append(w.listed, f); len(w.listed) == 1 {
		w.arm()
	}
	w.mu.Unlock()
}

func (w *Watch) arm() {
	if w.timer == nil {
		w.timer = time.AfterFunc(maxDeferral, w.tick)
	} else {
		w.timer.Reset(maxDeferral)
	}
}

// tick takes the list, so that no lock is held while it asks; who is added meanwhile finds it empty and arms the timer again.
func (w *Watch) tick() {
	w.mu.Lock()
	listed := w.listed
	w.listed, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	kept := listed[:0]
	for _, f := range listed {
		if f.watchTick() {
			kept = append(kept, f)
		}
	}
	clear(listed[len(kept):])
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(kept) == 0 {
		w.spare = kept
		return
	}
	if len(w.listed) == 0 {
		w.arm()
	}
	added := w.listed
	w.listed = append(kept, added...)
	clear(added)
	w.spare = added[:0]
}
