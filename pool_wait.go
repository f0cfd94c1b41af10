package weft

import "slices"

// A poolWait is a dial that waits for a connection that another one makes.
type poolWait struct {
	over chan struct{} // closed when it is its turn to look at the facts again
}

// waiters are the dials to one origin that wait, longest first. Guarded by pool.mu.
//
// As many are woken as there are streams to take, and one more, which makes the next connection: if all were, each of them would look at
// every connection for every hundred that find room.
//
// Invariant: while somebody waits, a probe is under way, or somebody who was woken has not decided yet.
type waiters struct {
	queue []*poolWait
	woken int // that have not decided yet
}

// wait returns what a dial waits for; nil: no probe of key is under way.
func (p *pool) wait(key poolKey) *poolWait {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil || o.probing == 0 {
		return nil
	}
	w := &poolWait{over: make(chan struct{})}
	o.waiters.queue = append(o.waiters.queue, w)
	return w
}

// stopWaiting is called once for each poolWait: when the dial has looked at the facts, or is over.
func (p *pool) stopWaiting(key poolKey, w *poolWait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil {
		return
	}
	if i := slices.Index(o.waiters.queue, w); i >= 0 {
		o.waiters.queue = slices.Delete(o.waiters.queue, i, i+1)
	} else {
		o.waiters.woken--
	}
	p.dropIfEmpty(key, o)
}

// passOn is called after each decision: it may have been that of the last who was woken.
func (p *pool) passOn(key poolKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.origins[key]; o != nil && o.waiters.woken == 0 && !o.probesEnough() {
		o.wake()
	}
}

// probesEnough reports whether the connections under way are worth waiting for, for one more. Where connections are known to carry WebSockets,
// there are as many as those who wait will fill, up to maxProbes; else one at a time is to find out.
func (o *originPool) probesEnough() bool {
	waiting := len(o.waiters.queue)
	if o.probing == 0 || waiting < o.probing || o.probing >= maxProbes {
		return o.probing > 0
	}
	_, most := o.room()
	return most == 0 || o.probing*most > waiting
}

const maxProbes = 8

// room returns how many WebSockets the live connections have room for, and how many one of them can carry; 0: none can.
func (o *originPool) room() (free, most int) {
	for _, l := range o.live {
		if s := l.cc.State(); s.ConnectProtocol && !s.Draining {
			free += s.Slots
			most = max(most, s.Slots+s.Streams)
		}
	}
	return free, most
}

// wake wakes all unless the origin's connections carry WebSockets: then those that wait are each other's only hindrance.
func (o *originPool) wake() {
	ws := &o.waiters
	if len(ws.queue) == 0 {
		return
	}
	n := len(ws.queue)
	if free, most := o.room(); most > 0 {
		n = min(max(free+1-ws.woken, 0), n)
	}
	for _, w := range ws.queue[:n] {
		close(w.over)
	}
	ws.woken += n
	ws.queue = slices.Delete(ws.queue, 0, n)
}
