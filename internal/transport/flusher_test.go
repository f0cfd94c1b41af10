package transport

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A sink is a net.Conn that keeps its Writes, each of which takes delay.
type sink struct {
	net.Conn
	delay time.Duration
	fail  error

	mu       sync.Mutex
	writes   []string
	deadline time.Time
}

func (s *sink) Write(p []byte) (int, error) {
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deadline.IsZero() && time.Now().After(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	if s.fail != nil {
		return 0, s.fail
	}
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

func (s *sink) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.writes...)
}

// queued is a Flusher with a queue of bytes.
type queued struct {
	Flusher
	queue  []byte
	failed []error // guarded by the mutex
}

func newQueued(s *sink) *queued {
	q := &queued{}
	q.Conn = s
	q.Take = func(dst []byte) []byte {
		dst = append(dst, q.queue...)
		q.queue = q.queue[:0]
		return dst
	}
	q.Failed = func(err error) {
		q.Lock()
		defer q.Unlock()
		q.failed = append(q.failed, err)
	}
	return q
}

func (q *queued) failures() []error {
	synctest.Wait()
	q.Lock()
	defer q.Unlock()
	return q.failed
}

func (q *queued) send(text string) {
	q.Lock()
	q.queue = append(q.queue, text...)
	q.Flush()
}

func want(t *testing.T, s *sink, writes ...string) {
	t.Helper()
	got := s.got()
	if len(got) != len(writes) {
		t.Fatalf("writes: %q, want %q", got, writes)
	}
	for i := range got {
		if got[i] != writes[i] {
			t.Fatalf("writes: %q, want %q", got, writes)
		}
	}
}

func TestFlushBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueued(s)
		q.Begin()
		q.send("a")
		q.send("b")
		synctest.Wait()
		want(t, s)
		q.End()
		want(t, s, "ab") // End has written when it returns
		q.send("c")
		synctest.Wait()
		want(t, s, "ab", "c")
		time.Sleep(time.Second) // a watchdog that was not stopped would write
		want(t, s, "ab", "c")
	})
}

// What is queued while a Write is under way leaves in the next one.
func TestFlushCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{delay: time.Second}
		q := newQueued(s)
		start := time.Now()
		q.send("a")
		synctest.Wait()
		q.send("b")
		q.send("c")
		if time.Since(start) != 0 {
			t.Error("Flush has waited for the network")
		}
		q.Finish()
		want(t, s, "a", "bc")
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("Finish returned after %v", d)
		}
	})
}

func TestLongBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueued(s)
		q.Begin()
		q.send("a")
		time.Sleep(maxDeferral)
		synctest.Wait()
		want(t, s, "a")
		q.send("b")
		q.End()
		want(t, s, "a", "b")

		s = &sink{}
		q = newQueued(s)
		q.Watched = true
		q.Begin()
		q.send("a")
		time.Sleep(time.Hour)
		want(t, s)
		q.Lock()
		q.FlushNow()
		synctest.Wait()
		want(t, s, "a")
		q.End()
		want(t, s, "a")
	})
}

// A reading goroutine that ends its batch by EndSoon does not wait for the network.
func TestEndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{delay: time.Second}
		q := newQueued(s)
		start := time.Now()
		q.Begin()
		q.send("a")
		q.send("b")
		q.EndSoon()
		if time.Since(start) != 0 {
			t.Error("EndSoon has waited for the network")
		}
		q.Finish()
		want(t, s, "ab")
		q.Begin()
		q.EndSoon() // nothing was queued
		q.send("c")
		q.Finish()
		want(t, s, "ab", "c")
	})
}

// An owner that takes the writing on gets no goroutine, until it declines.
func TestHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueued(s)
		takes := true
		q.Handoff = func() bool { return takes }
		q.send("a")
		synctest.Wait()
		want(t, s)
		takes = false
		q.send("b")
		synctest.Wait()
		want(t, s, "ab")
		takes = true
		q.send("c")
		q.Finish() // writes all the same
		want(t, s, "ab", "c")
	})
}

func TestFlushFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: errors.New("no network")}
		q := newQueued(s)
		q.send("a")
		synctest.Wait()
		q.send("b")
		q.Finish()
		q.Begin()
		q.send("c")
		q.End()
		if got := q.failures(); len(got) != 1 || got[0] != s.fail {
			t.Errorf("Failed was told %v", got)
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueued(s)
		q.Timeout = 10 * time.Second
		for range 100 { // the deadline moves on
			q.send("a")
			time.Sleep(time.Second)
		}
		if got := q.failures(); len(got) > 0 {
			t.Fatal(got)
		}
		s.delay = 11 * time.Second
		q.send("b")
		q.Finish()
		if got := q.failures(); len(got) != 1 || !errors.Is(got[0], os.ErrDeadlineExceeded) {
			t.Errorf("Failed was told %v", got)
		}
	})
}

// Much output leaves in larger and larger Writes.
func TestFlushMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueued(s)
		left := 1 << 20
		q.Take = func(dst []byte) []byte {
			n := min(left, cap(dst)-len(dst))
			left -= n
			return append(dst, make([]byte, n)...)
		}
		q.Begin()
		q.Lock()
		q.Flush()
		q.End()
		got := s.got()
		if len(got[0]) != flushSize || len(got[1]) != maxFlushSize || len(got) > 18 {
			t.Errorf("%d writes, the first %d and %d bytes", len(got), len(got[0]), len(got[1]))
		}
	})
}

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, 512, 513, 4096, 100_000, 1 << 20, 1<<20 + 1} {
		b := GetBuffer(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("GetBuffer(%d): len %d, cap %d", n, len(b), cap(b))
		}
		b = append(b, bytes.Repeat([]byte{1}, n)...)
		PutBuffer(b)
	}
	PutBuffer(nil)
	PutBuffer(make([]byte, 100))
	// A buffer that is not of the pool's sizes serves for the next smaller one.
	for range 100 {
		PutBuffer(make([]byte, 0, 1000))
	}
	for range 100 {
		if b := GetBuffer(1000); cap(b) < 1000 {
			t.Fatalf("GetBuffer(1000): cap %d", cap(b))
		}
	}
	if n := testing.AllocsPerRun(1000, func() { PutBuffer(GetBuffer(4096)) }); n > 0.5 {
		t.Errorf("%v allocations", n)
	}
}
