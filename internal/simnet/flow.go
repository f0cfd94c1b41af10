package simnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A flow is one direction of a connection. What its writer does reaches the reader after delay, and what the reader does
// (making room, RST) reaches the writer after delay.
type flow struct {
	delay   time.Duration
	limit   int // bytes written and not read; 0: unbounded
	largest int // what one Read takes; 0: no bound

	mu      sync.Mutex
	changed signal

	segments []segment // written and not read, in order
	acks     []ack     // room that the reader made
	inFlight int       // Invariant: with a limit, the bytes in segments and in acks

	writeErr   error     // what Writes fail with because of their own end; nil: it is open
	readClosed bool      // by the reader's own end
	lost       bool      // the cable was cut
	finished   bool      // the network has sent FIN, and takes no more
	eofAt      time.Time // when FIN arrives; zero: none was sent
	resetAt    time.Time // when the writer's RST arrives at the reader
	brokenAt   time.Time // when the reader's RST arrives at the writer
	brokenErr  error     // what Writes fail with from brokenAt on

	readDeadline, writeDeadline time.Time

	faults    []Fault   // that are to come, by their bytes
	taken     int64     // bytes that were written
	notBefore time.Time // what is sent arrives no earlier
}

type segment struct {
	at   time.Time
	data []byte
}

type ack struct {
	at time.Time
	n  int
}

func newFlow(l Link) *flow { return &flow{delay: l.RTT / 2, limit: l.SendBuffer, largest: l.Segment} }

// read blocks for the next bytes.
func (f *flow) read(p []byte) (int, error) {
	for {
		f.mu.Lock()
		n, due, err := f.tryRead(p, time.Now())
		if n > 0 || err != nil || len(p) == 0 {
			f.mu.Unlock()
			return n, err
		}
		changed := f.changed.wait()
		f.mu.Unlock()
		await(changed, due)
	}
}

// tryRead returns what a Read has to return at now, or nothing and when to look again. Bytes that arrived win over FIN
// and RST, as on Linux.
func (f *flow) tryRead(p []byte, now time.Time) (n int, due time.Time, err error) {
	switch {
	case f.readClosed:
		return 0, due, net.ErrClosed
	case passed(f.readDeadline, now):
		return 0, due, os.ErrDeadlineExceeded
	}
	if f.largest > 0 && len(p) > f.largest {
		p = p[:f.largest]
	}
	for n < len(p) && len(f.segments) > 0 && !now.Before(f.segments[0].at) {
		s := &f.segments[0]
		m := copy(p[n:], s.data)
		n += m
		if s.data = s.data[m:]; len(s.data) == 0 {
			f.segments[0] = segment{} // tests look at memory
			f.segments = f.segments[1:]
		}
	}
	switch {
	case n > 0:
		if f.limit > 0 {
			f.acks = append(f.acks, ack{now.Add(f.delay), n})
			f.changed.fire()
		}
		return n, due, nil
	case passed(f.resetAt, now):
		return 0, due, errReset
	case len(f.segments) == 0 && passed(f.eofAt, now):
		return 0, due, io.EOF
	}
	due = earliest(f.readDeadline, f.resetAt)
	if len(f.segments) > 0 {
		return 0, earliest(due, f.segments[0].at), nil
	}
	return 0, earliest(due, f.eofAt), nil
}

// write blocks until it can take some of p.
func (f *flow) write(p []byte) (int, error) {
	for {
		f.mu.Lock()
		n, due, err := f.tryWrite(p, time.Now())
		if n > 0 || err != nil || len(p) == 0 {
			f.mu.Unlock()
			return n, err
		}
		changed := f.changed.wait()
		f.mu.Unlock()
		await(changed, due)
	}
}

// tryWrite does what a Write can do at now, or returns when to look again.
func (f *flow) tryWrite(p []byte, now time.Time) (n int, due time.Time, err error) {
	switch {
	case f.writeErr != nil:
		return 0, due, f.writeErr
	case passed(f.brokenAt, now):
		return 0, due, f.brokenErr
	case passed(f.writeDeadline, now):
		return 0, due, os.ErrDeadlineExceeded
	}
	n = f.untilFault(len(p))
	if f.limit > 0 {
		for len(f.acks) > 0 && passed(f.acks[0].at, now) {
			f.inFlight -= f.acks[0].n
			f.acks = f.acks[1:]
		}
		if n = min(n, f.limit-f.inFlight); n == 0 {
			due = earliest(f.writeDeadline, f.brokenAt)
			if len(f.acks) > 0 {
				due = earliest(due, f.acks[0].at)
			}
			return 0, due, nil
		}
		f.inFlight += n
	}
	f.taken += int64(n)
	switch {
	case n == 0, f.lost:
	case f.readClosed, f.finished:
		// It arrives where nobody reads, and RST comes back.
		f.breakAt(f.arrival(now).Add(f.delay), errBrokenPipe)
	default:
		f.segments = append(f.segments, segment{f.arrival(now), append([]byte(nil), p[:n]...)})
		f.changed.fire()
	}
	return n, due, nil
}

// finish sends FIN; Writes fail with err from now on.
func (f *flow) finish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeErr = err
	f.sendFIN(time.Now())
	f.changed.fire()
}

// sendFIN is called with mu held.
func (f *flow) sendFIN(now time.Time) {
	if f.eofAt.IsZero() && !f.lost {
		f.eofAt = f.arrival(now)
	}
}

// reset sends the writer's RST.
func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeErr = net.ErrClosed
	if !f.lost && !f.finished {
		f.resetAt = f.arrival(time.Now())
	}
	f.changed.fire()
}

// abandon closes the reader's end. RST answers what is unread, now or when it arrives.
func (f *flow) abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readClosed = true
	if len(f.segments) > 0 {
		now := time.Now()
		if at := f.segments[0].at; now.Before(at) {
			now = at
		}
		f.breakAt(now.Add(f.delay), errBrokenPipe)
		f.segments = nil
	}
	f.changed.fire()
}

// refuse closes the reader's end with RST.
func (f *flow) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readClosed = true
	f.segments = nil
	f.breakAt(time.Now().Add(f.delay), errReset)
	f.changed.fire()
}

func (f *flow) breakAt(at time.Time, err error) {
	if !f.lost && (f.brokenAt.IsZero() || at.Before(f.brokenAt)) {
		f.brokenAt, f.brokenErr = at, err
	}
}

func (f *flow) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = true
}

func (f *flow) arrived() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, s := range f.segments {
		if passed(s.at, now) {
			n += len(s.data)
		}
	}
	return n
}

// setReadDeadline reports whether the reader's end is open.
func (f *flow) setReadDeadline(t time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readDeadline = t
	f.changed.fire()
	return !f.readClosed
}

// setWriteDeadline reports whether the writer's end is open.
func (f *flow) setWriteDeadline(t time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeDeadline = t
	f.changed.fire()
	return f.writeErr != net.ErrClosed
}

// A signal wakes everybody who waits for a change. Its owner's lock guards it.
type signal struct{ c chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) fire() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// await waits for changed or until due; the zero time means without end.
func await(changed <-chan struct{}, due time.Time) {
	if due.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

// passed reports whether t is set and not after now.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// earliest returns the earlier one of two times; a zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

var (
	errReset      = os.NewSyscallError("read", syscall.ECONNRESET)
	errWriteReset = os.NewSyscallError("write", syscall.ECONNRESET)
	errBrokenPipe = os.NewSyscallError("write", syscall.EPIPE)
)
