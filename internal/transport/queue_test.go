package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A tap is a network that takes room bytes at once and the rest when it is opened.
type tap struct {
	mu     sync.Mutex
	room   int
	got    []byte
	writes []string // one for each Try or Write that wrote something
	open   chan struct{}
}

func newTap(room int) *tap { return &tap{room: room, open: make(chan struct{})} }

func (s *tap) try(p []byte) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(p), s.room)
	s.room -= n
	s.take("try", p[:n])
	return n, n == len(p), nil
}

func (s *tap) take(how string, p []byte) {
	if len(p) > 0 {
		s.got = append(s.got, p...)
		s.writes = append(s.writes, fmt.Sprintf("%s %.8s", how, p))
	}
}

func (s *tap) Write(p []byte) (int, error) {
	<-s.open
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take("write", p)
	return len(p), nil
}

func (s *tap) SetWriteDeadline(time.Time) error { return nil }

func (s *tap) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *tap) want(t *testing.T, writes ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.writes) != fmt.Sprint(writes) {
		t.Fatalf("%q was written, want %q", s.writes, writes)
	}
}

func newQueue(s *tap) *Queue {
	q := &Queue{Refuse: func() error { return nil }}
	q.Changed.L = q
	q.Conn, q.Try, q.Pooled = s, s.try, true
	q.Take = q.TakeAll
	return q
}

func send(t *testing.T, q *Queue, head, body string) {
	t.Helper()
	if n, err := q.Send([]byte(head), []byte(body)); n != len(head)+len(body) || err != nil {
		t.Fatalf("Send: %d, %v", n, err)
	}
}

// turn is what a reading goroutine does with what it has read.
func (q *Queue) turnOf(f func()) {
	q.Lock()
	q.Turn()
	q.BeginLocked()
	q.Unlock()
	f()
	q.End()
}

// The answer to the last of what was read is written by who sends it.
func TestDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTap(1 << 20)
		q := newQueue(s)
		q.turnOf(func() {
			send(t, q, "", "a") // more may come
			s.want(t)
			q.Drained()
			send(t, q, "", "b")
			s.want(t)
		})
		s.want(t, "try ab")
		q.turnOf(func() {
			q.Drained()
			send(t, q, "", "c") // the turn before had two answers: this one may, too
			s.want(t, "try ab")
		})
		s.want(t, "try ab", "try c")
		for range 2 {
			q.turnOf(func() {
				q.Drained()
				send(t, q, "", "d")
			})
		}
		s.want(t, "try ab", "try c", "try d", "try d")
		q.turnOf(func() {
			q.Drained()
			send(t, q, "", "e")
			s.want(t, "try ab", "try c", "try d", "try d", "try e")
			send(t, q, "", "f")
			send(t, q, "", "g")
			s.want(t, "try ab", "try c", "try d", "try d", "try e")
		})
		s.want(t, "try ab", "try c", "try d", "try d", "try e", "try fg")
		if q.Held() {
			t.Error("an empty queue holds a buffer")
		}
	})
}

// A callback that blocks after its answer holds back nothing, and what the network does not take holds nobody up.
func TestDirectStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTap(1)
		q := newQueue(s)
		start := time.Now()
		q.Drained()
		send(t, q, "", "ab")
		send(t, q, "", "c")
		if time.Since(start) != 0 {
			t.Error("Send has waited")
		}
		synctest.Wait()
		s.want(t, "try a")
		close(s.open)
		q.Finish()
		s.want(t, "try a", "write b", "write c")
	})
}

// A unit arrives whole and in its place, however large it is and whatever the network takes at once.
func TestDirectUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, largeUnit - 2, largeUnit - 1, largeUnit, 3 * largeUnit, MaxQueue, maxUnit, 5 * MaxQueue} {
		for _, room := range []int{0, 1, largeUnit - 1, largeUnit, largeUnit + 1, MaxQueue, 1 << 30} {
			for _, oneSlice := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s := newTap(room)
					q := newQueue(s)
					unit := make([]byte, size)
					for i := range unit {
						unit[i] = byte(r.Uint32())
					}
					time.AfterFunc(time.Second, func() { close(s.open) })
					head := 1
					if oneSlice {
						head = size
					}
					q.Drained()
					for i := range 2 {
						if n, err := q.Send(unit[:head], unit[head:]); n != size || err != nil {
							t.Fatalf("Send %d of %d bytes, room for %d: %d, %v", i, size, room, n, err)
						}
					}
					q.Finish()
					if !bytes.Equal(s.bytes(), append(bytes.Clone(unit), unit...)) {
						t.Errorf("two units of %d bytes, room for %d: %d bytes arrived, or not these", size, room, len(s.bytes()))
					}
					if q.Held() {
						t.Error("an empty queue holds a buffer")
					}
					time.Sleep(2 * time.Second)
				})
			}
		}
	}
}

func TestDirectFails(t *testing.T) {
	for _, size := range []int{1, 2 * largeUnit} {
		s := newTap(0)
		q := newQueue(s)
		told := 0
		q.Failed = func(err error) {
			if told++; err != net.ErrClosed {
				t.Error(err)
			}
		}
		q.Try = func([]byte) (int, bool, error) { return 0, false, net.ErrClosed }
		q.Drained()
		send(t, q, "", strings.Repeat("a", size))
		send(t, q, "", "b")
		if told != 1 {
			t.Errorf("Failed was told %d times", told)
		}
	}
}

// A Crew writes for everybody, in order, and waits for nobody.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew Crew
		slow := newTap(1)
		taps, queues := []*tap{slow}, []*Queue{newQueue(slow)}
		for range 5 * perWorker {
			taps = append(taps, newTap(1<<20))
			queues = append(queues, newQueue(taps[len(taps)-1]))
		}
		for i := range 3 {
			for _, q := range queues {
				if !q.TrySendBy(&crew, fmt.Append(nil, "m", i)) {
					t.Fatal("no room")
				}
			}
			crew.Go()
			synctest.Wait()
			want := "m0m1m2"[:2*i+2]
			for _, s := range taps[1:] {
				if string(s.bytes()) != want {
					t.Fatalf("%q arrived, want %q", s.bytes(), want)
				}
			}
		}
		if string(slow.bytes()) != "m" {
			t.Errorf("%q was written where there is room for one byte", slow.bytes())
		}
		close(slow.open)
		synctest.Wait()
		if string(slow.bytes()) != "m0m1m2" {
			t.Errorf("%q arrived in the end", slow.bytes())
		}
		if crew.working != 0 || len(crew.due) != 0 {
			t.Errorf("%d goroutines are left, %d streams", crew.working, len(crew.due))
		}
	})
}

// With a Watch a batch that takes long holds nothing back either, and one that does not costs no timer.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watch
		watched := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.listed)
		}
		s, other := newTap(1<<20), newTap(1<<20)
		q, r := newQueue(s), newQueue(other)
		q.Watch, r.Watch = &w, &w
		q.turnOf(func() {
			q.Drained()
			send(t, q, "", "a")
			s.want(t) // although it was the last
		})
		s.want(t, "try a")
		q.turnOf(func() {
			send(t, q, "", "b")
			r.turnOf(func() { send(t, r, "", "x") })
			time.Sleep(2 * maxDeferral)
			synctest.Wait()
			s.want(t, "try a", "try b")
			send(t, q, "", "c")
			time.Sleep(2 * maxDeferral)
			synctest.Wait()
			s.want(t, "try a", "try b", "try c")
		})
		for range 10 {
			time.Sleep(maxDeferral / 2)
			for _, q := range []*Queue{q, r} {
				q.turnOf(func() { send(t, q, "", "d") })
			}
			if n := watched(); n > 2 {
				t.Fatalf("%d are watched, want 2 at most", n)
			}
		}
		time.Sleep(3 * maxDeferral)
		synctest.Wait()
		if n := watched(); n > 0 || w.timer.Stop() {
			t.Errorf("%d are watched when nothing happens", n)
		}
		// Without callbacks who answers writes.
		q.Lock()
		q.Turn()
		q.Turn()
		q.Unlock()
		q.Drained()
		before := len(s.bytes())
		send(t, q, "", "e")
		if n := len(s.bytes()); n != before+1 {
			t.Errorf("%d bytes were written at once, want 1", n-before)
		}
	})
}
