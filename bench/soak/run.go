package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weftws/weft"
)

// A run is the clients' process.
type run struct {
	faults
	lateness
	server   *process
	roots    *x509.CertPool
	pacer    pacer
	cores    float64
	only     string
	profiles string        // directory; "": none
	settle   time.Duration // before a sample: what was closed a moment ago lingers
	clients  []*client

	// quiet is held for reading by whatever is under way, and for writing while samples are taken.
	quiet sync.RWMutex

	samples []sample
	begun   time.Time
}

// A sample is both processes, with nothing under way but WebSockets that stay.
type sample struct {
	at             time.Duration
	client, server account
	open           int64
}

func newRun(cores float64, only string) (*run, error) {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{cores: cores, only: only, settle: 3 * time.Second}
	r.pacer.factor.Store(math.Float64bits(1))
	if r.server, err = start("-cert", dir); err != nil {
		return nil, err
	}
	r.roots, err = rootsOf(r.server.Cert)
	return r, err
}

// drive puts the load on, and takes it off.
func (r *run) drive(total, every time.Duration, workers int) {
	// net/http logs the ALTSVC frame that it does not know.
	log.SetOutput(io.Discard)
	base := measure()
	r.begun = time.Now()
	for name, rungs := range versions {
		r.clients = append(r.clients, r.newClient(name, rungs...))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range r.clients {
		for range workers {
			wg.Go(func() { c.work(ctx, r.only) })
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := c.stay(ctx); err != nil {
						r.wrong(c.name+", staying", err)
					}
				}
			})
		}
	}
	if err := r.watch(total, every); err != nil {
		r.faults.add("run", err)
	}
	cancel()
	wg.Wait()
	each(r.clients, (*client).close)
	r.clientEnd(base)
	if err := r.serverEnd(); err != nil {
		r.faults.add("end", err)
	}
	r.table(base)
}

// wrong takes err for a fault, unless the machine may be to blame.
func (r *run) wrong(where string, err error) {
	if !r.excuse(where, err) {
		r.faults.add(where, err)
	}
}

var versions = map[string][]weft.Rung{
	"h1": {weft.Upgrade}, "h1+tls": {weft.Upgrade}, "h2": {weft.Settings}, "h3": {weft.H3},
}

// watch prints how it goes, keeps the load to its share of the processors, and takes samples.
func (r *run) watch(total, every time.Duration) error {
	end := r.begun.Add(total)
	next := r.begun.Add(every)
	var last progress
	beat := min(2*time.Second, every)
	printed := r.begun
	for time.Now().Before(end) {
		time.Sleep(beat)
		var a account
		if err := r.server.ask("cpu", &a); err != nil {
			return err
		}
		now := r.progress(a.CPU)
		r.pacer.adapt(now.cores(last) / r.cores)
		if now.at.Sub(printed) >= 10*time.Second {
			fmt.Println(now.line(r))
			printed = now.at
		}
		last = now
		if time.Now().After(next) {
			next = next.Add(every)
			if err := r.sample(); err != nil {
				return err
			}
			last = r.progress(r.samples[len(r.samples)-1].server.CPU)
		}
		if r.faults.count() >= maxFaults {
			return errors.New("ended early: too many faults")
		}
	}
	return nil
}

type progress struct {
	at  time.Time
	cpu time.Duration
}

func (r *run) progress(server time.Duration) progress {
	return progress{time.Now(), cpuTime() + server}
}

func (p progress) cores(since progress) float64 {
	if since.at.IsZero() {
		return 0
	}
	return float64(p.cpu-since.cpu) / float64(p.at.Sub(since.at))
}

// sample waits until nothing is under way.
func (r *run) sample() error {
	r.quiet.Lock()
	defer r.quiet.Unlock()
	for _, c := range r.clients {
		c.http.CloseIdleConnections()
	}
	time.Sleep(r.settle)
	s := sample{at: time.Since(r.begun), open: r.openNow()}
	ask, name := "sample", ""
	if r.profiles != "" {
		name = filepath.Join(r.profiles, fmt.Sprintf("%02d", len(r.samples)+1))
		ask += " " + name + ".server"
	}
	if err := r.server.ask(ask, &s.server); err != nil {
		return err
	}
	s.client = measure()
	if name != "" {
		if err := writeProfile(name + ".client"); err != nil {
			return err
		}
	}
	r.samples = append(r.samples, s)
	fmt.Println(s.line())
	return nil
}

func (r *run) openNow() (n int64) {
	for _, c := range r.clients {
		n += c.open.Load()
	}
	return n
}

// clientEnd checks that the clients have left nothing.
func (r *run) clientEnd(base account) {
	if r.openNow() != 0 {
		r.faults.add("end", fmt.Errorf("%d WebSockets are open", r.openNow()))
	}
	a := settle(base, maxLeft)
	if extra := a.Goroutines - base.Goroutines; extra > 0 {
		r.faults.add("end", fmt.Errorf("clients: %d goroutines more than at the start:\n%s", extra, stacks()))
	}
	if a.Heap > base.Heap+maxLeft {
		r.faults.add("end", fmt.Errorf("clients: %s of heap, %s at the start", mib(a.Heap), mib(base.Heap)))
	}
	r.samples = append(r.samples, sample{at: time.Since(r.begun), client: a})
}

// serverEnd shuts the server down.
func (r *run) serverEnd() error {
	a := &r.samples[len(r.samples)-1].server
	if err := r.server.ask("shutdown", a); err != nil {
		return err
	}
	for _, f := range a.Faults {
		r.faults.add("server", errors.New(f))
	}
	if a.Heap > a.HeapFirst+maxLeft {
		r.faults.add("end", fmt.Errorf("server: %s of heap, %s at the start", mib(a.Heap), mib(a.HeapFirst)))
	}
	if a.Shutdown > 10*time.Second {
		r.faults.add("end", fmt.Errorf("shutting down took %v", a.Shutdown))
	}
	return nil
}
