package load

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Proto is how messages travel.
type Proto string

const (
	H3  Proto = "h3"  // Extended CONNECT over QUIC, RFC 9220
	H2  Proto = "h2"  // Extended CONNECT, RFC 8441
	H1  Proto = "h1"  // Upgrade, RFC 6455
	Raw Proto = "raw" // WebSocket frames without a handshake to a server that returns bytes: the floor
)

// A Spec says what a Fleet looks like.
type Spec struct {
	Proto    Proto
	TLS      bool
	Conns    int  // TCP connections
	Streams  int  // WebSockets a connection; 1 with H1. Raw keeps Streams x InFlight messages in flight on its connection
	InFlight int  // messages sent and not yet echoed on each WebSocket
	Size     int  // payload bytes of a message
	Deflate  bool // JSON instead of random text, compressed with permessage-deflate and context takeover
	Stalled  int  // for Broadcast: WebSockets beside, each on a connection of its own that is never read
}

// WebSockets is the number of WebSockets the Fleet holds open.
func (s Spec) WebSockets() int { return s.Conns * s.Streams }

// A Target is the server to load.
type Target struct {
	Addr  string         // host:port
	Roots *x509.CertPool // for TLS
}

// A Limit ends an [Fleet.Echo] or [Fleet.Churn]: whatever comes first. Messages in flight are still awaited.
type Limit struct {
	For   time.Duration // 0: no limit by time
	Count int           // messages a WebSocket, or openings a connection; 0: no limit by count
}

// A Fleet is a number of open WebSockets, all to one server.
type Fleet struct {
	target Target
	spec   Spec
	script *script
	conns  []conn

	audience *audience // once it listens
}

// conn is one TCP connection's worth of WebSockets.
type conn interface {
	echo(*round) (int64, error)
	churn(*round) (int64, error)
	setDeadline(time.Time)
	describe() string // what it waits for
	close()
}

// A round is one Echo or Churn.
type round struct {
	stop  atomic.Bool
	count int // per WebSocket or connection; 0: none
}

func (r *round) more(done int) bool { return !r.stop.Load() && (r.count == 0 || done < r.count) }

// Open dials the spec's connections and, except for [Raw], opens its WebSockets. For [Fleet.Churn] alone, Streams may be 0.
func Open(ctx context.Context, t Target, s Spec) (*Fleet, error) {
	f := &Fleet{target: t, spec: s, conns: make([]conn, s.Conns)}
	if s.Deflate {
		f.script = newDeflateScript(s.Size)
	} else {
		f.script = newScript(s.Size, s.Proto == Raw)
	}
	next := atomic.Int64{}
	errs := make(chan error, openers)
	var wg sync.WaitGroup
	for range openers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(s.Conns); i = next.Add(1) - 1 {
				var err error
				if f.conns[i], err = open(ctx, t, s, f.script); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		f.conns = slices.DeleteFunc(f.conns, func(c conn) bool { return c == nil })
		f.Close()
		return nil, err
	}
	return f, nil
}

const openers = 4 // how many connections are opened at a time

func open(ctx context.Context, t Target, s Spec, sc *script) (c conn, err error) {
	switch s.Proto {
	case H3:
		c, err = openH3(ctx, t, s, sc)
	case H2:
		c, err = openH2(ctx, t, s, sc)
	case H1, Raw:
		c, err = openH1(ctx, t, s, sc)
	default:
		err = fmt.Errorf("unknown protocol %q", s.Proto)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Echo keeps the spec's messages in flight until the limit, waits for what is still in flight, and returns the number of
// echoes. Any difference between an echo and its message is an error.
func (f *Fleet) Echo(l Limit) (int64, error) { return f.run(l, conn.echo) }

// Churn opens and closes WebSockets (with the close handshake of RFC 6455, Section 7) until the limit and returns how many.
// With [H2] each connection stays and keeps Streams openings going at a time; with [H1] every opening is a fresh connection.
func (f *Fleet) Churn(l Limit) (int64, error) { return f.run(l, conn.churn) }

func (f *Fleet) run(l Limit, work func(conn, *round) (int64, error)) (int64, error) {
	if l.For == 0 && l.Count == 0 {
		return 0, errors.New("a limit is required")
	}
	r := &round{count: l.Count}
	if l.For > 0 {
		defer time.AfterFunc(l.For, func() { r.stop.Store(true) }).Stop()
	}
	deadline := time.Now().Add(l.For + patience)
	var total atomic.Int64
	errs := make(chan error, len(f.conns))
	var wg sync.WaitGroup
	for _, c := range f.conns {
		c.setDeadline(deadline)
		wg.Go(func() {
			n, err := work(c, r)
			total.Add(n)
			if err != nil {
				r.stop.Store(true)
				errs <- fmt.Errorf("%w (%s)", err, c.describe())
			}
		})
	}
	wg.Wait()
	close(errs)
	return total.Load(), <-errs
}

// Close drops the connections.
func (f *Fleet) Close() {
	for _, c := range f.conns {
		c.close()
	}
}

// patience is how long after the limit the last echo may come.
const patience = 20 * time.Second
