package weft

import (
	"context"
	"log"
	"net/http"
	"runtime"
	"sync"
	"weak"
)

// A registry is the list of the WebSockets that are open on one http.Server.
type registry struct {
	errorLog *log.Logger // nil: the log package's standard logger
	mu       sync.Mutex
	first    *Conn // Conn.prev and Conn.next are guarded by mu
	count    int
	closing  bool
	observer *Observer     // of the server's options; set before it serves
	empty    chan struct{} // made on demand; closed when count falls to 0
}

// registryOf finds the registry of the server that r came by. Nil: the server is not one of ours.
func registryOf(r *http.Request) *registry {
	s, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if s == nil {
		return nil
	}
	v, _ := registries.Load(weak.Make(s))
	reg, _ := v.(*registry)
	return reg
}

// register makes a registry for s that goes when s does.
func register(s *http.Server) *registry {
	key := weak.Make(s)
	v, loaded := registries.LoadOrStore(key, &registry{errorLog: s.ErrorLog})
	if !loaded {
		runtime.AddCleanup(s, func(k weak.Pointer[http.Server]) { registries.Delete(k) }, key)
	}
	return v.(*registry)
}

// Invariant: keys are weak.Pointer[http.Server], values *registry.
var registries sync.Map

// logf also works on a nil registry.
func (g *registry) logf(format string, args ...any) {
	if g != nil && g.errorLog != nil {
		g.errorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

func (g *registry) add(c *Conn) {
	if g == nil {
		return
	}
	g.mu.Lock()
	c.next = g.first
	if g.first != nil {
		g.first.prev = c
	}
	g.first = c
	g.count++
	closing := g.closing
	g.mu.Unlock()
	if closing {
		go c.Close(StatusGoingAway, "server is shutting down")
	}
}

func (g *registry) remove(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.prev == nil && g.first != c {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		g.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	g.count--
	if g.count == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// snapshot returns the open WebSockets.
func (g *registry) snapshot() []*Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	conns := make([]*Conn, 0, g.count)
	for c := g.first; c != nil; c = c.next {
		conns = append(conns, c)
	}
	return conns
}

// closeAll closes every WebSocket with StatusGoingAway, those that come later too, and waits until they are gone or ctx is done.
func (g *registry) closeAll(ctx context.Context) error {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	slots := make(chan struct{}, closers)
	for _, c := range g.snapshot() {
		// A Close may wait seconds for its peer: not one after the other, and not all at once.
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		go func() {
			defer func() { <-slots }()
			c.Close(StatusGoingAway, "server is shutting down")
		}()
	}
	g.mu.Lock()
	if g.count == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closers is how many Close handshakes closeAll runs at the same time.
const closers = 1024
