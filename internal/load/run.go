package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/weftws/weft"
)

// A run is one Run.
type run struct {
	Config
	failures
	typ     weft.MessageType
	began   time.Time
	writing context.Context // of Write; ends when waiting for answers does

	sockets []*socket
	tallies []*tally
	stopped atomic.Bool // nothing is sent any more
	closed  sync.WaitGroup

	measured struct{ messages, bytes int64 }
	opening  *hdrhistogram.Histogram // guarded by openMu
	openMu   sync.Mutex
	opened   int
}

// Run opens the WebSockets, measures for the duration, waits up to 5 s for answers that are missing, and closes everything. The error
// says why there is no result: the Config is wrong, or no WebSocket could be opened. When ctx ends, what there is until then is the
// result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	writing, stopWriting := context.WithCancel(context.Background())
	defer stopWriting()
	r := &run{Config: cfg, typ: weft.MessageText, began: time.Now(), writing: writing, opening: newHistogram()}
	if cfg.Binary {
		r.typ = weft.MessageBinary
	}
	for range min(cfg.Connections, maxTallies) {
		r.tallies = append(r.tallies, &tally{latency: newHistogram()})
	}
	res := &Result{URL: cfg.URL, Versions: make(map[string]int), Rungs: make(map[string]int)}
	dialers := r.open(ctx)
	defer func() {
		r.stopped.Store(true)
		stopWriting()
		r.close()
		for _, d := range dialers {
			d.Close()
		}
	}()
	res.Opening, res.OpenLatency = r.now(), latencyOf(r.opening)
	if len(r.sockets) == 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, r.only()
	}
	r.describe(res)
	if ctx.Err() == nil {
		r.measure(ctx, res)
	}
	res.Interrupted = ctx.Err() != nil
	r.mu.Lock()
	res.Failed = r.by
	r.mu.Unlock()
	return res, nil
}

// maxTallies is more than there are processors that count at the same time.
const maxTallies = 16

func (r *run) now() time.Duration { return time.Since(r.began) }

// only is the failure of a run in which nothing succeeded.
func (r *run) only() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for text, n := range r.by {
		if n == 1 && len(r.by) == 1 {
			return errors.New(text)
		}
		return fmt.Errorf("none of %d WebSockets opened: %s", r.WebSockets, text)
	}
	return errors.New("no WebSocket opened")
}

// dialsAtOnce is how many handshakes are under way at the same time.
const dialsAtOnce = 64

// open dials. The first WebSocket of each dialer makes the connection that the others share.
func (r *run) open(ctx context.Context) []*weft.Dialer {
	dialers := make([]*weft.Dialer, r.Connections)
	slots := make(chan struct{}, dialsAtOnce)
	var group sync.WaitGroup
	for i := range dialers {
		if dialers[i] = new(weft.Dialer); r.Dialer != nil {
			dialers[i] = r.Dialer()
		}
		group.Go(func() {
			var rest sync.WaitGroup
			defer rest.Wait()
			for k := i; k < r.WebSockets && ctx.Err() == nil; k += r.Connections {
				slots <- struct{}{}
				dial := func() {
					r.dial(ctx, dialers[i], r.tallies[i%len(r.tallies)])
					<-slots
				}
				if k == i {
					dial()
				} else {
					rest.Go(dial)
				}
			}
		})
	}
	group.Wait()
	return dialers
}

func (r *run) dial(ctx context.Context, d *weft.Dialer, t *tally) {
	start := time.Now()
	c, _, err := d.Dial(ctx, r.URL, r.Options)
	if err != nil {
		if ctx.Err() == nil {
			r.fail(err)
		}
		return
	}
	c.SetReadLimit(2 * MaxSize)
	s := &socket{run: r, conn: c, tally: t}
	r.openMu.Lock()
	defer r.openMu.Unlock()
	record(r.opening, time.Since(start))
	r.sockets = append(r.sockets, s)
	r.opened++
	if r.Progress != nil {
		r.Progress(Progress{Opened: r.opened, WebSockets: r.WebSockets})
	}
}

// describe says what carries the WebSockets.
func (r *run) describe(res *Result) {
	conns := make(map[uint64]bool)
	for _, s := range r.sockets {
		tr := s.conn.Trace()
		conns[tr.ConnID] = true
		res.Versions[tr.Version]++
		res.Rungs[string(tr.Rung)]++
	}
	res.WebSockets, res.Connections = len(r.sockets), len(conns)
}

// measure is the load, and what is taken of it.
func (r *run) measure(ctx context.Context, res *Result) {
	r.closed.Add(len(r.sockets))
	for _, s := range r.sockets {
		s.conn.Handle(s)
	}
	var cpu time.Duration
	if r.Clock != nil {
		cpu = r.Clock()
	}
	ctx, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	start := r.now()
	var senders sync.WaitGroup
	switch {
	case r.Listen:
	case r.Rate > 0:
		r.sendAtRate(ctx, &senders, start)
	default:
		senders.Go(func() { r.sendFirst(ctx) })
	}
	total := r.sample(ctx, res, start)
	if r.Clock != nil {
		res.CPU = r.Clock() - cpu
	}
	r.stopped.Store(true)
	res.Duration = r.now() - start
	res.Latency = latencyOf(total)
	res.Messages, res.Bytes = r.measured.messages, r.measured.bytes
	res.Unanswered = r.drain()
	senders.Wait()
}

// sendFirst brings the wanted number of messages on the way.
func (r *run) sendFirst(ctx context.Context) {
	for range r.InFlight {
		for _, s := range r.sockets {
			if ctx.Err() != nil {
				return
			}
			s.send(r.now())
		}
	}
}

// sendAtRate sends each message when it is due, on the WebSockets in turn. A few goroutines do, so that one which has to wait holds up
// few others.
func (r *run) sendAtRate(ctx context.Context, senders *sync.WaitGroup, start time.Duration) {
	n := min(maxTallies, len(r.sockets))
	for i := range n {
		senders.Go(func() {
			var mine []*socket
			for k := i; k < len(r.sockets); k += n {
				mine = append(mine, r.sockets[k])
			}
			p := pace{rate: r.Rate * float64(len(mine)) / float64(len(r.sockets))}
			for ctx.Err() == nil {
				first := p.sent
				for k := range p.due(r.now() - start) {
					mine[(first+k)%int64(len(mine))].send(start + p.at(first+k))
				}
				select {
				case <-time.After(max(p.at(p.sent)-(r.now()-start), minPause)):
				case <-ctx.Done():
				}
			}
		})
	}
}

// minPause lets messages that are due soon after each other leave together.
const minPause = 500 * time.Microsecond

// sample takes what the tallies have, once an interval.
func (r *run) sample(ctx context.Context, res *Result, start time.Duration) *hdrhistogram.Histogram {
	interval := cmp.Or(r.Interval, max(r.Duration/40, 100*time.Millisecond))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	total, now := newHistogram(), newHistogram()
	last := start
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		t := r.now()
		var s Sample
		now.Reset()
		for _, tl := range r.tallies {
			tl.take(&s.Messages, &r.measured.bytes, now)
		}
		total.Merge(now)
		r.measured.messages += s.Messages
		s.At, s.Duration, last = t-start, t-last, t
		if now.TotalCount() > 0 {
			s.P50, s.P99 = time.Duration(now.ValueAtPercentile(50))*time.Microsecond, time.Duration(now.ValueAtPercentile(99))*time.Microsecond
		}
		if s.Duration > interval/10 || s.Messages > 0 {
			res.Samples = append(res.Samples, s)
			if r.Progress != nil {
				r.Progress(Progress{Opened: len(r.sockets), WebSockets: r.WebSockets, Elapsed: s.At, Duration: r.Duration, Sample: s})
			}
		}
		if ctx.Err() != nil {
			return total
		}
	}
}

// drain waits for the answers that are missing, and returns how many did not come.
func (r *run) drain() (missing int64) {
	for end := time.Now().Add(drainTimeout); ; {
		missing = 0
		for _, s := range r.sockets {
			missing += s.unanswered()
		}
		if missing == 0 || time.Now().After(end) {
			return missing
		}
		time.Sleep(10 * time.Millisecond)
	}
}

const drainTimeout = 5 * time.Second

// close closes every WebSocket, and gives up those that do not answer.
func (r *run) close() {
	for _, s := range r.sockets {
		s.conn.Close(weft.StatusNormalClosure, "")
	}
	done := make(chan struct{})
	go func() {
		r.closed.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTimeout):
		for _, s := range r.sockets {
			s.conn.CloseNow()
		}
		<-done
	}
}
