package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/weftws/weft/internal/load"
)

// A benchProgress is one line on a terminal that says how far a load is; elsewhere a line every few seconds. Safe for concurrent use.
type benchProgress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	last     time.Time // of the last line
	shown    bool
}

func newBenchProgress(w io.Writer) *benchProgress {
	return &benchProgress{w: w, terminal: isTerminal(w), last: time.Now()}
}

// benchLineEvery is how often a line comes where there is no terminal.
const benchLineEvery = 5 * time.Second

func (p *benchProgress) update(at load.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	every := benchLineEvery
	if p.terminal {
		every = 100 * time.Millisecond
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	line := benchProgressLine(at)
	if p.terminal {
		p.shown = true
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.w, line)
}

func benchProgressLine(at load.Progress) string {
	if at.Duration == 0 {
		return fmt.Sprintf("%d of %d WebSockets open", at.Opened, at.WebSockets)
	}
	line := fmt.Sprintf("%.0f of %.0f s  %.0f messages a second", at.Elapsed.Seconds(), at.Duration.Seconds(), at.Sample.Rate())
	if at.Sample.P99 > 0 {
		line += fmt.Sprintf("  p50 %s, p99 %s", short(at.Sample.P50), short(at.Sample.P99))
	}
	return line
}

// end clears the line.
func (p *benchProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
	}
}
