package transport

import (
	"runtime"
	"sync"
)

// A Crew writes what was queued on many streams, with a few goroutines in place of one for each. It never waits for the network: what
// that does not take is left to the stream's own Flusher. The zero value works; it is safe for concurrent use.
type Crew struct {
	mu      sync.Mutex
	due     []*Flusher // due[next:] wait
	next    int
	working int
	start   func() // work, so that starting it does not allocate
}

// A CrewStream can leave the writing to a Crew.
type CrewStream interface {
	// TrySendBy is Stream's TrySend, but what is queued leaves with the Crew's next Go at the latest.
	TrySendBy(crew *Crew, p []byte) bool
}

// TrySendBy implements [CrewStream].
func (q *Queue) TrySendBy(crew *Crew, p []byte) bool {
	if q.Try == nil {
		return q.TrySend(p)
	}
	q.Lock()
	defer q.Unlock()
	if !q.tryAppend(p) {
		return false
	}
	if !q.listed && !q.Busy() {
		q.listed = true
		crew.add(&q.Flusher)
	}
	return true
}

func (c *Crew) add(f *Flusher) {
	c.mu.Lock()
	c.due = append(c.due, f)
	c.mu.Unlock()
}

// Go sees to it that what was queued is written soon.
func (c *Crew) Go() {
	c.mu.Lock()
	if c.start == nil {
		c.start = c.work
	}
	want := min((len(c.due)-c.next+perWorker-1)/perWorker, runtime.GOMAXPROCS(0))
	for c.working < want {
		c.working++
		go c.start()
	}
	c.mu.Unlock()
}

func (c *Crew) work() {
	c.mu.Lock()
	for c.next < len(c.due) {
		f := c.due[c.next]
		c.due[c.next] = nil
		c.next++
		c.mu.Unlock()
		f.flushListed()
		c.mu.Lock()
	}
	c.due, c.next = c.due[:0], 0
	c.working--
	c.mu.Unlock()
}

// perWorker is for how many streams another goroutine is worth its while.
const perWorker = 16
