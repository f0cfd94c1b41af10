package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weftws/weft"
)

// An account is what a process has, after garbage collection, and what went wrong in it.
type account struct {
	Goroutines int
	Heap       uint64 // bytes that are reachable
	Files      int    // descriptors; 0: not known
	CPU        time.Duration

	// A server's.
	Accepted  int64
	Faults    []string
	Shutdown  time.Duration // how long it took
	AtFirst   int           // goroutines before it served
	HeapFirst uint64
}

func measure() account {
	// Twice: what a sync.Pool held goes with the second one, and finalizers have run.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return account{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc, Files: len(files), CPU: cpuTime()}
}

// writeProfile writes what is on the heap, for go tool pprof.
func writeProfile(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

// settle measures when no more goroutines than at the start are left, and slack more bytes at most, or after settleTime: timers and lingering
// connections need some.
func settle(start account, slack uint64) account {
	deadline := time.Now().Add(settleTime)
	for {
		a := measure()
		if a.Goroutines <= start.Goroutines && a.Heap <= start.Heap+slack || time.Now().After(deadline) {
			return a
		}
		time.Sleep(250 * time.Millisecond)
	}
}

const (
	settleTime = 15 * time.Second
	// maxLeft is how much more reachable memory than at the start a process may have when all is closed: what was remembered of origins, sessions
	// of TLS, tables that have grown.
	maxLeft = 4 << 20
)

func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func stacks() string {
	var b strings.Builder
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

// faults are what must not happen.
type faults struct {
	mu    sync.Mutex
	n     int
	first []string // maxFaults of them
}

const maxFaults = 20

func (f *faults) add(where string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if len(f.first) < maxFaults {
		f.first = append(f.first, fmt.Sprintf("%s: %v", where, err))
	}
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *faults) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n > len(f.first) {
		return append(f.first[:len(f.first):len(f.first)], fmt.Sprintf("... %d in all", f.n))
	}
	return f.first
}

// observer takes what a peer does wrong for a fault.
func (f *faults) observer() *weft.Observer {
	return &weft.Observer{Violation: func(v weft.Violation) {
		f.add("violation", fmt.Errorf("%s, %s of the %s: %s", v.Protocol, v.Name, v.Side, v.Detail))
	}}
}

// log takes every line for a fault but for connections that ended in the middle of TLS: clients give up on purpose.
func (f *faults) log() *log.Logger { return log.New(faultLog{f}, "", 0) }

type faultLog struct{ *faults }

func (l faultLog) Write(p []byte) (int, error) {
	if line := strings.TrimSpace(string(p)); !strings.Contains(line, "TLS handshake error") {
		l.add("log", errors.New(line))
	}
	return len(p), nil
}

// arrivals notes when WebSockets came.
type arrivals struct {
	mu sync.Mutex
	at []time.Time
}

func (a *arrivals) note() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Now())
}

func (a *arrivals) take() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}
