package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/weftws/weft/negotiate"
)

// A probeProgress is one line on a terminal that says who is being asked what. Safe for concurrent use.
type probeProgress struct {
	mu    sync.Mutex
	w     io.Writer // nil: nothing is shown
	urls  []string
	now   []negotiate.Rung // by URL; "": not being asked
	ready int
}

func newProbeProgress(w io.Writer, urls []string, shown bool) *probeProgress {
	p := &probeProgress{urls: urls, now: make([]negotiate.Rung, len(urls))}
	if shown {
		p.w = w
	}
	return p
}

func (p *probeProgress) rung(i int, r negotiate.Rung) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[i] = r
	p.draw()
}

func (p *probeProgress) done(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[i] = ""
	p.ready++
	p.draw()
}

// clear makes room for other output; end does so for good.
func (p *probeProgress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil {
		io.WriteString(p.w, "\r\x1b[K")
	}
}

func (p *probeProgress) end() {
	p.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = nil
}

// maxProgress is how many characters the line has at most: it must not wrap.
const maxProgress = 78

func (p *probeProgress) draw() {
	if p.w == nil {
		return
	}
	line := fmt.Sprintf("%d of %d asked", p.ready, len(p.urls))
	for i, r := range p.now {
		if r != "" {
			line += fmt.Sprintf("  %s: %s", strings.TrimPrefix(strings.TrimPrefix(visible(p.urls[i]), "wss://"), "ws://"), r)
		}
	}
	if runes := []rune(line); len(runes) > maxProgress {
		line = string(runes[:maxProgress-1]) + "…"
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}
