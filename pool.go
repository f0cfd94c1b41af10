package weft

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weftws/weft/internal/transport"
	"github.com/weftws/weft/negotiate"
)

// A poolKey is what two connections must have in common to serve the same origin. TLS identity is the Dialer's.
type poolKey struct {
	secure bool
	addr   string // host:port
	proxy  string
}

// A pool holds the HTTP/2 and HTTP/3 connections of a Dialer.
type pool struct {
	// deciding is held while a dial's machine runs on the pool's facts; see race.decide.
	deciding sync.Mutex

	mu       sync.Mutex
	origins  map[poolKey]*originPool
	settling map[transport.Mux]bool // on their way into the pool; see race.settle
}

// An originPool is the connections to one origin. It is in the pool as long as it has something to say.
type originPool struct {
	live    []*liveConn
	probing int
	waiters waiters
}

// A liveConn is a connection whose SETTINGS have arrived.
type liveConn struct {
	cc       transport.Mux
	id       uint64
	alpn     string
	alt      *negotiate.Alternative // that it was made to; nil: to the origin
	noFrames bool                   // a WS_OPEN was ignored
	idle     *time.Timer            // closes it; nil while it carries streams
}

// facts returns what the pool knows of key, oldest connection first, so that few connections carry much, and how many connections under
// way are worth waiting for.
func (p *pool) facts(key poolKey) (live []negotiate.LiveConn, probing int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil {
		return nil, 0
	}
	for _, l := range o.live {
		s := l.cc.State()
		live = append(live, negotiate.LiveConn{
			ID: l.id, ALPN: l.alpn, SettingsReceived: s.SettingsReceived,
			ConnectProtocol: s.ConnectProtocol, Slots: s.Slots, Draining: s.Draining, NoFrames: l.noFrames, Alt: l.alt,
		})
	}
	if !o.probesEnough() {
		return live, 0
	}
	return live, o.probing
}

func (p *pool) find(key poolKey, id uint64) transport.Mux {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.origins[key]; o != nil {
		for _, l := range o.live {
			if l.id == id {
				l.keep()
				return l.cc
			}
		}
	}
	return nil
}

// keep stops the idle timer. Called with pool.mu held.
func (l *liveConn) keep() {
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
}

// origin returns key's originPool, new if need be. Called with mu held.
func (p *pool) origin(key poolKey) *originPool {
	o := p.origins[key]
	if o == nil {
		if p.origins == nil {
			p.origins = make(map[poolKey]*originPool)
		}
		o = new(originPool)
		p.origins[key] = o
	}
	return o
}

func (p *pool) dropIfEmpty(key poolKey, o *originPool) {
	if len(o.live) == 0 && o.probing == 0 && len(o.waiters.queue) == 0 && o.waiters.woken == 0 && p.origins[key] == o {
		delete(p.origins, key)
	}
}

func (p *pool) add(key poolKey, cc transport.Mux, alpn string, alt *negotiate.Alternative) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origin(key)
	select {
	case <-cc.Done():
	default:
		o.live = append(o.live, &liveConn{cc: cc, id: cc.State().ConnID, alpn: alpn, alt: alt})
	}
	p.dropIfEmpty(key, o)
}

// noFrames notes that the server of cc ignores WS_OPEN.
func (p *pool) noFrames(key poolKey, cc transport.Mux) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.origins[key]; o != nil {
		for _, l := range o.live {
			if l.cc == cc {
				l.noFrames = true
			}
		}
	}
}

// remove forgets cc, which has ended or takes no new streams.
func (p *pool) remove(key poolKey, cc transport.Mux) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil {
		return
	}
	for i, l := range o.live {
		if l.cc == cc {
			l.keep()
			o.live = append(o.live[:i], o.live[i+1:]...)
			break
		}
	}
	p.dropIfEmpty(key, o)
}

// setIdle starts the idle timer of cc, which carries nothing now.
func (p *pool) setIdle(key poolKey, cc transport.Mux, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil {
		return
	}
	for _, l := range o.live {
		if l.cc != cc {
			continue
		}
		l.keep()
		l.idle = time.AfterFunc(max(after, 0), func() {
			p.remove(key, cc)
			cc.Shutdown(0)
		})
	}
}

// startProbe counts a connection under way that others wait for; endProbe uncounts it and wakes some of them.
func (p *pool) startProbe(key poolKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.origin(key).probing++
}

func (p *pool) endProbe(key poolKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	if o == nil {
		return
	}
	o.probing--
	o.wake()
	p.dropIfEmpty(key, o)
}

func (p *pool) closeIdle() {
	for _, cc := range p.take(func(l *liveConn) bool { return l.cc.State().Streams == 0 }) {
		cc.Shutdown(0)
	}
}

func (p *pool) closeAll() {
	conns := p.take(func(*liveConn) bool { return true })
	p.mu.Lock()
	conns = slices.AppendSeq(conns, maps.Keys(p.settling))
	p.mu.Unlock()
	for _, cc := range conns {
		cc.Close()
	}
}

// settle notes whether cc is on its way into the pool.
func (p *pool) settle(cc transport.Mux, underWay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !underWay {
		delete(p.settling, cc)
		return
	}
	if p.settling == nil {
		p.settling = make(map[transport.Mux]bool)
	}
	p.settling[cc] = true
}

// take removes the connections for which f holds, and returns them.
func (p *pool) take(f func(*liveConn) bool) (taken []transport.Mux) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, o := range p.origins {
		kept := o.live[:0]
		for _, l := range o.live {
			if f(l) {
				l.keep()
				taken = append(taken, l.cc)
			} else {
				kept = append(kept, l)
			}
		}
		clear(o.live[len(kept):])
		o.live = kept
		p.dropIfEmpty(key, o)
	}
	return taken
}
