package weft

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// A gate is a lock that a context can give up waiting for. Waiters are served in order. No mutex is held across a wait, so
// that fake time (testing/synctest) goes on while somebody waits.
type gate struct {
	state   atomic.Int64
	mu      sync.Mutex       // guards waiters
	waiters *[]chan struct{} // nil: nobody waits

	fresh traffic // guarded by the gate itself: not in what sum returns yet
	bytes atomic.Int64
}

// What the state of a gate says: two bits, and above them how many messages sum counts.
const (
	gateHeld      = 1 << iota
	gateContended // somebody may wait: the gate is handed over by unlockSlowly
	gateMessage
)

// lock waits until the gate is ours or ctx is done.
func (g *gate) lock(ctx context.Context) error {
	if g.tryLock() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	for {
		if g.tryLock() {
			g.mu.Unlock()
			return nil
		}
		if old := g.state.Load(); old&gateHeld != 0 && g.state.CompareAndSwap(old, old|gateContended) {
			break
		}
	}
	ch := make(chan struct{})
	if g.waiters == nil {
		g.waiters = new([]chan struct{})
	}
	*g.waiters = append(*g.waiters, ch)
	g.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	found := g.drop(ch)
	g.mu.Unlock()
	if found {
		return ctx.Err()
	}
	g.unlock() // it became ours in between
	return ctx.Err()
}

// taken reports whether somebody has the gate.
func (g *gate) taken() bool { return g.state.Load()&gateHeld != 0 }

// drop takes ch out of the waiters, if it is there. Called with mu held.
func (g *gate) drop(ch chan struct{}) bool {
	if g.waiters == nil {
		return false
	}
	i := slices.Index(*g.waiters, ch)
	if i < 0 {
		return false
	}
	*g.waiters = slices.Delete(*g.waiters, i, i+1)
	if len(*g.waiters) == 0 {
		g.waiters = nil
	}
	return true
}

// tryLock takes the gate if nobody has it.
func (g *gate) tryLock() bool {
	for {
		old := g.state.Load()
		if old&gateHeld != 0 {
			return false
		}
		if g.state.CompareAndSwap(old, old|gateHeld) {
			return true
		}
	}
}

// unlock hands the gate to whoever waits longest.
func (g *gate) unlock() {
	n := g.take()
	old := g.state.Load()
	if old&gateContended != 0 || !g.state.CompareAndSwap(old, old+n-gateHeld) {
		g.unlockSlowly(n)
	}
}

// unlockSlowly is unlock where somebody waits or came just now.
func (g *gate) unlockSlowly(n int64) {
	g.mu.Lock()
	if g.waiters == nil { // whoever waited has given up
		g.state.Add(n - gateHeld - g.state.Load()&gateContended)
		g.mu.Unlock()
		return
	}
	g.state.Add(n)
	ch := (*g.waiters)[0]
	g.drop(ch)
	g.mu.Unlock()
	close(ch)
}

// settle makes fresh part of what sum returns. Called with the gate held.
func (g *gate) settle() {
	if n := g.take(); n != 0 {
		g.state.Add(n)
	}
}

// take returns what fresh adds to state.
func (g *gate) take() int64 {
	if g.fresh.bytes != 0 {
		g.bytes.Add(g.fresh.bytes)
	}
	n := g.fresh.messages * gateMessage
	g.fresh = traffic{}
	return n
}

// sum returns what was counted.
func (g *gate) sum() traffic {
	return traffic{messages: g.state.Load() / gateMessage, bytes: g.bytes.Load()}
}
