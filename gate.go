package weft

import (
	"context"
	"slices"
	"sync"
)

// A gate is a lock that a context can give up waiting for. Waiters are served in order. The mutex is never held across a
// wait, so that fake time (testing/synctest) goes on while somebody waits.
type gate struct {
	mu      sync.Mutex
	held    bool
	waiters []chan struct{}

	total traffic // guarded by mu
	fresh traffic // guarded by the gate itself: not in total yet
}

// lock waits until the gate is ours or ctx is done.
func (g *gate) lock(ctx context.Context) error {
	g.mu.Lock()
	if !g.held {
		g.held = true
		g.mu.Unlock()
		return nil
	}
	if err := ctx.Err(); err != nil {
		g.mu.Unlock()
		return err
	}
	ch := make(chan struct{})
	g.waiters = append(g.waiters, ch)
	g.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	if i := slices.Index(g.waiters, ch); i >= 0 {
		g.waiters = slices.Delete(g.waiters, i, i+1)
		g.mu.Unlock()
		return ctx.Err()
	}
	g.mu.Unlock()
	g.unlock() // it became ours in between
	return ctx.Err()
}

// tryLock takes the gate if nobody has it.
func (g *gate) tryLock() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		return false
	}
	g.held = true
	return true
}

// unlock hands the gate to whoever waits longest.
func (g *gate) unlock() {
	g.mu.Lock()
	g.settleLocked()
	if len(g.waiters) > 0 {
		ch := g.waiters[0]
		g.waiters = slices.Delete(g.waiters, 0, 1)
		if len(g.waiters) == 0 {
			g.waiters = nil
		}
		g.mu.Unlock()
		close(ch)
		return
	}
	g.held = false
	g.mu.Unlock()
}
