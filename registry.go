package weft

import (
	"context"
	"log"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/weftws/weft/internal/transport"
)

// A registry is the list of the WebSockets that are open on one http.Server.
type registry struct {
	errorLog *log.Logger // nil: the log package's standard logger
	mu       sync.Mutex
	first    *Conn // Conn.prev and Conn.next are guarded by mu
	others   map[*otherConn]struct{}
	count    int // of both
	closing  bool
	empty    chan struct{} // made on demand; closed when count falls to 0

	// Set before the server serves.
	observer *Observer         // of the server's options
	memory   *transport.Budget // nil: no limit
	perIP    *ipTable
	own      bool // the http.Server is a Server's
	// writeTimeout is that of WebSockets over HTTP/1.1; 0: the default.
	writeTimeout time.Duration
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
		go c.Close(StatusGoingAway, goingAway)
	}
}

// An otherConn is a WebSocket that is not a Conn. Neither function blocks.
type otherConn struct {
	goAway func() // says StatusGoingAway
	abort  func()
	ip     *ipCount // that has counted it; nil: it is not counted
}

// join adds o, and tells it to go if the server is shutting down. It also works on a nil registry.
func (g *registry) join(o *otherConn) {
	if g == nil {
		return
	}
	g.mu.Lock()
	if g.others == nil {
		g.others = make(map[*otherConn]struct{})
	}
	g.others[o] = struct{}{}
	g.count++
	closing := g.closing
	g.mu.Unlock()
	if closing {
		o.goAway()
	}
}

// leave removes o, once. It also works on a nil registry.
func (g *registry) leave(o *otherConn) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.others[o]; ok {
		delete(g.others, o)
		if o.ip != nil {
			g.perIP.give(o.ip, webSockets)
		}
		g.uncount()
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
	if c.ip != nil {
		g.perIP.give(c.ip, webSockets)
	}
	g.uncount()
}

// uncount is called with mu held.
func (g *registry) uncount() {
	g.count--
	if g.count == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// snapshot returns the open WebSockets.
func (g *registry) snapshot() (conns []*Conn, others []*otherConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := g.first; c != nil; c = c.next {
		conns = append(conns, c)
	}
	return conns, slices.Collect(maps.Keys(g.others))
}

// closeAll closes every WebSocket with StatusGoingAway, those that come later too, and waits until they are gone or ctx is done.
func (g *registry) closeAll(ctx context.Context) error {
	g.mu.Lock()
	begun := g.closing
	g.closing = true
	g.mu.Unlock()
	if !begun {
		g.goAway(ctx)
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

// goAway tells all of them, and only then waits, for those that need it: one that does not answer must not hold up another.
func (g *registry) goAway(ctx context.Context) {
	conns, others := g.snapshot()
	for _, o := range others {
		o.goAway()
	}
	var waits []func()
	for _, c := range conns {
		if wait := c.goAway(); wait != nil {
			waits = append(waits, wait)
		}
	}
	slots := make(chan struct{}, closers)
	for _, wait := range waits {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		go func() {
			defer func() { <-slots }()
			wait()
		}()
	}
}

// abortAll ends every WebSocket at once.
func (g *registry) abortAll() {
	conns, others := g.snapshot()
	for _, c := range conns {
		c.abort()
	}
	for _, o := range others {
		o.abort()
		g.leave(o)
	}
}

// closers is how many WebSockets goAway waits with at the same time.
const closers = 1024
