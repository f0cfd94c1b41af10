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

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/weftws/weft/internal/devcert"

	"github.com/weftws/weft/bench/load"
	"github.com/weftws/weft/bench/peers"
)

// A sample is one measurement of one server under one workload.
type sample struct {
	Value  float64 `json:"value"`      // in the workload's unit
	CPU    float64 `json:"cpu_us"`     // the server's a message, for latency
	Allocs float64 `json:"allocs"`     // a message or opening; -1: not known
	Rate   float64 `json:"per_second"` // messages or openings
	Load   float64 `json:"load_us"`    // the load's own CPU time a message or opening
	RSS    float64 `json:"rss_bytes"`  // a WebSocket, for idle
	P99    float64 `json:"p99_us"`     // for latency, whose Value is the median
	P999   float64 `json:"p999_us"`
	Max    float64 `json:"max_us"`
}

// A lab is where samples are taken.
type lab struct {
	cert    certFiles
	roots   *x509.CertPool
	core    int // for servers; -1: any
	warm    time.Duration
	measure time.Duration

	notes []string // what was measured differently

	// Directories for profiles of servers, and of clients' heaps, or "".
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
	if w.Kind == perClient {
		return l.clients(w, p)
	}
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
		return l.idle(pr, p, w, target, s)
	}
	run, done, err := work(w, pr, target, s)
	if err != nil {
		return sample{}, err
	}
	defer done()
	measure := l.measure
	if w.Kind == perDelivery || w.Kind == perLatency {
		measure *= 3 // a message takes 10,000 deliveries; the slowest echoes are rare
	}
	hist := load.NewLatencies()
	if _, err := run(load.Limit{For: l.warm}, hist); err != nil {
		return sample{}, err
	}
	if l.cpuProfile != "" && p.Serve != nil {
		if _, err := pr.ask("profile " + profileName(l.cpuProfile, p, w)); err != nil {
			return sample{}, err
		}
		defer pr.ask("profile")
	}
	hist.Reset()
	x, err := busy(w, p, pr, func() (int64, error) { return run(load.Limit{For: measure}, hist) })
	if w.Kind == perLatency {
		x.latencies(hist)
	}
	return x, errors.Join(err, l.heap(pr, p, w))
}

// A runner puts a server to work and returns how much it did. Only latency fills the histogram.
type runner func(load.Limit, *hdrhistogram.Histogram) (int64, error)

// work opens what w needs; done closes it.
func work(w *workload, pr *process, t load.Target, s load.Spec) (run runner, done func(), err error) {
	if w.Kind == perDelivery {
		h, err := openHall(pr, t, s)
		if err != nil {
			return nil, nil, err
		}
		return func(l load.Limit, _ *hdrhistogram.Histogram) (int64, error) { return h.broadcast(l) }, h.close, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	fleet, err := load.Open(ctx, t, s)
	if err != nil {
		return nil, nil, err
	}
	run = func(l load.Limit, h *hdrhistogram.Histogram) (int64, error) {
		switch {
		case w.Kind == perOpening:
			return fleet.Churn(l)
		case w.Kind == perLatency && w.Rate > 0:
			return fleet.Paced(l, w.Rate, h)
		case w.Kind == perLatency:
			return fleet.PingPong(l, h)
		}
		return fleet.Echo(l)
	}
	return run, fleet.Close, nil
}

// latencies takes the percentiles out of h. What was CPU time a message so far moves to CPU.
func (x *sample) latencies(h *hdrhistogram.Histogram) {
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) / 1e3 }
	x.CPU = x.Value
	x.Value, x.P99, x.P999, x.Max = at(50), at(99), at(99.9), float64(h.Max())/1e3
}

// maxConns is how many connections a process may have. Go has raised the soft limit of file descriptors to the hard one.
func maxConns() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return int(r.Cur) - 200 // files, pipes, the runtime's own
}

// heap has the server, or the client, write a heap profile if that was asked for.
func (l *lab) heap(pr *process, p *peers.Peer, w *workload) error {
	if l.memProfile == "" || p.Serve == nil && p.Client == nil {
		return nil
	}
	_, err := pr.ask("heap " + profileName(l.memProfile, p, w))
	return err
}

// restedBefore is rested before the WebSockets come that are measured, and writes a heap profile that can be subtracted (-base).
func (l *lab) restedBefore(pr *process, p *peers.Peer, w *workload) (stats, error) {
	s, err := rested(pr)
	if err != nil || l.memProfile == "" || p.Serve == nil && p.Client == nil {
		return s, err
	}
	if _, err = pr.ask("heap " + strings.TrimSuffix(profileName(l.memProfile, p, w), ".pprof") + ".before.pprof"); err != nil {
		return s, err
	}
	return rested(pr) // what writing it has left behind
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
