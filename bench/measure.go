package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weftws/weft/internal/devcert"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// A sample is one measurement of one server under one workload.
type sample struct {
	Value  float64 `json:"value"`      // in the workload's unit
	Allocs float64 `json:"allocs"`     // a message or opening; -1: not known
	Rate   float64 `json:"per_second"` // messages or openings
	Load   float64 `json:"load_us"`    // the load's own CPU time a message or opening
	RSS    float64 `json:"rss_bytes"`  // a WebSocket, for idle
}

// A lab is where samples are taken.
type lab struct {
	cert    certFiles
	roots   *x509.CertPool
	core    int // for servers; -1: any
	warm    time.Duration
	measure time.Duration

	notes []string // what was measured differently

	// Directories for profiles of servers, or "".
	cpuProfile, memProfile string
}

type certFiles struct{ cert, key string }

// newLab makes a certificate in dir.
func newLab(dir string) (*lab, error) {
	c, err := devcert.New(time.Now())
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	l := &lab{roots: x509.NewCertPool(), cert: certFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}}
	l.roots.AddCert(c.Leaf)
	write := func(name, typ string, b []byte) {
		if err == nil {
			err = os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}), 0o600)
		}
	}
	write(l.cert.cert, "CERTIFICATE", c.Certificate[0])
	write(l.cert.key, "PRIVATE KEY", key)
	return l, err
}

// take measures p under w in a fresh process.
func (l *lab) take(w *workload, p *peers.Peer) (sample, error) {
	s := w.spec(p)
	if most := maxConns(); s.Conns > most {
		l.notes = append(l.notes, fmt.Sprintf("%s under %s had %d connections: the system allows no more file descriptors", p.Name, w.Name, most))
		s.Conns = most
	}
	pr, err := l.start(p, s)
	if err != nil {
		return sample{}, err
	}
	defer pr.stop()
	target := load.Target{Addr: pr.addr, Roots: l.roots}
	if w.Kind == perIdle {
		return idle(pr, target, s, func() error { return l.heap(pr, p, w) })
	}
	var run func(load.Limit) (int64, error)
	measure := l.measure
	if w.Kind == perDelivery {
		measure *= 3 // a message takes 10,000 deliveries
		h, err := openHall(pr, target, s)
		if err != nil {
			return sample{}, err
		}
		defer h.close()
		run = h.broadcast
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), openTime)
		defer cancel()
		fleet, err := load.Open(ctx, target, s)
		if err != nil {
			return sample{}, err
		}
		defer fleet.Close()
		run = fleet.Echo
		if w.Kind == perOpening {
			run = fleet.Churn
		}
	}
	if _, err := run(load.Limit{For: l.warm}); err != nil {
		return sample{}, err
	}
	if l.cpuProfile != "" && p.Serve != nil {
		if _, err := pr.ask("profile " + profileName(l.cpuProfile, p, w)); err != nil {
			return sample{}, err
		}
		defer pr.ask("profile")
	}
	x, err := busy(w, p, pr, func() (int64, error) { return run(load.Limit{For: measure}) })
	return x, errors.Join(err, l.heap(pr, p, w))
}

// maxConns is how many connections a process may have. Go has raised the soft limit of file descriptors to the hard one.
func maxConns() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return int(r.Cur) - 200 // files, pipes, the runtime's own
}

// heap has the server write a heap profile if that was asked for.
func (l *lab) heap(pr *process, p *peers.Peer, w *workload) error {
	if l.memProfile == "" || p.Serve == nil {
		return nil
	}
	_, err := pr.ask("heap " + profileName(l.memProfile, p, w))
	return err
}

func profileName(dir string, p *peers.Peer, w *workload) string {
	return filepath.Join(dir, strings.ReplaceAll(p.Name, "/", "-")+"."+w.Name+".pprof")
}

const openTime = 30 * time.Second

// busy measures what run costs the server.
func busy(w *workload, p *peers.Peer, pr *process, run func() (int64, error)) (sample, error) {
	before, err := pr.ask("stats")
	if err != nil {
		return sample{}, err
	}
	loadBefore, err := cpuTime()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	n, err := run()
	if err != nil {
		return sample{}, err
	}
	took := time.Since(began)
	loadAfter, err := cpuTime()
	if err != nil {
		return sample{}, err
	}
	after, err := pr.ask("stats")
	if err != nil {
		return sample{}, err
	}
	if n == 0 {
		return sample{}, fmt.Errorf("nothing was done in %v", took)
	}
	x := sample{
		Value:  float64(after.CPU-before.CPU) / float64(n) / 1e3,
		Allocs: -1,
		Rate:   float64(n) / took.Seconds(),
		Load:   float64(loadAfter-loadBefore) / float64(n) / 1e3,
	}
	if w.Kind == perByte {
		x.Value *= 1e3 / float64(w.Spec.Size)
	}
	if p.Serve != nil {
		x.Allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	}
	return x, nil
}

// idle measures what a WebSocket costs that has echoed once and then rests. What the first connection of a process loads and
// keeps is not counted. also runs while they rest.
func idle(pr *process, t load.Target, s load.Spec, also func() error) (sample, error) {
	first := s
	first.Conns, first.Streams = 1, 1
	fleet, err := echoOnce(t, first)
	if err != nil {
		return sample{}, err
	}
	fleet.Close()
	before, err := rested(pr)
	if err != nil {
		return sample{}, err
	}
	if fleet, err = echoOnce(t, s); err != nil {
		return sample{}, err
	}
	defer fleet.Close()
	after, err := rested(pr)
	if err != nil {
		return sample{}, err
	}
	n := float64(s.WebSockets())
	return sample{Value: float64(after.Heap-before.Heap) / n, RSS: float64(after.RSS-before.RSS) / n, Allocs: -1}, also()
}

func echoOnce(t load.Target, s load.Spec) (*load.Fleet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	fleet, err := load.Open(ctx, t, s)
	if err != nil {
		return nil, err
	}
	if _, err := fleet.Echo(load.Limit{Count: 1}); err != nil {
		fleet.Close()
		return nil, err
	}
	return fleet, nil
}

// rested gives the server time to settle, lets it collect garbage, and asks.
func rested(pr *process) (stats, error) {
	time.Sleep(200 * time.Millisecond)
	if _, err := pr.ask("gc"); err != nil {
		return stats{}, err
	}
	return pr.ask("stats")
}
