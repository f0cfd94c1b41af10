package h2net

import "time"

// deadlines are a stream's.
type deadlines struct {
	read, write deadline
}

// A deadline is a point in time with a timer that is set as rarely as possible: moving a deadline away, as many do
// before each Receive, leaves the timer as it is, and it is set again when it fires too early.
type deadline struct {
	at    time.Time // zero: none
	armed time.Time // when the timer fires; zero: it does not
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set moves the deadline to t; fire is called when it may have passed, unless it has already. Called with the connection's lock held.
func (d *deadline) set(t time.Time, fire func()) {
	d.at = t
	if t.IsZero() || d.passed() || !d.armed.IsZero() && !d.armed.After(t) {
		return
	}
	d.arm(fire)
}

func (d *deadline) arm(fire func()) {
	d.armed = d.at
	wait := time.Until(d.at)
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, fire)
	} else {
		d.timer.Reset(wait)
	}
}

// fired reports whether the deadline has passed; if not, the timer is set again.
func (d *deadline) fired() bool {
	d.armed = time.Time{}
	if d.at.IsZero() {
		return false
	}
	if d.passed() {
		return true
	}
	d.arm(nil)
	return false
}

func (d *deadlines) stop() {
	for _, t := range []*time.Timer{d.read.timer, d.write.timer} {
		if t != nil {
			t.Stop()
		}
	}
}

// SetReadDeadline implements transport.Stream.
func (st *stream) SetReadDeadline(t time.Time) {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	if d := st.deadlinesFor(t); d != nil {
		d.read.set(t, st.readDeadline)
		if d.read.passed() {
			st.wakeReceive()
		}
	}
}

// SetWriteDeadline implements transport.Stream.
func (st *stream) SetWriteDeadline(t time.Time) {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	if d := st.deadlinesFor(t); d != nil {
		d.write.set(t, st.writeDeadline)
		if d.write.passed() {
			st.wakeSenders()
		}
	}
}

func (st *stream) deadlinesFor(t time.Time) *deadlines {
	if st.rare == nil && (t.IsZero() || st.released) {
		return nil
	}
	return &st.rarely().deadlines
}

func (st *stream) readDeadline() {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	if st.rare.deadlines.read.fired() {
		st.wakeReceive()
	}
}

func (st *stream) writeDeadline() {
	st.c.f.Lock()
	defer st.c.f.Unlock()
	if st.rare.deadlines.write.fired() {
		st.wakeSenders()
	}
}

// A connTimer is the connection's one timer.
type connTimer struct {
	timer *time.Timer
	armed time.Time // when it fires; zero: it does not
	idle  time.Time // when a server closes the connection for want of streams; zero: never
}

// rearm sets the timer if something is due before it fires. Called with the lock held.
func (c *conn) rearm() {
	next := c.eng.NextTimeout()
	if idle := c.timer.idle; !idle.IsZero() && (next.IsZero() || idle.Before(next)) {
		next = idle
	}
	t := &c.timer
	if next.IsZero() || !t.armed.IsZero() && !next.Before(t.armed) || c.err != nil {
		return
	}
	t.armed = next
	wait := time.Until(next)
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, c.timeout)
	} else {
		t.timer.Reset(wait)
	}
}

func (t *connTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (c *conn) timeout() {
	now := time.Now()
	c.f.Lock()
	c.timer.armed = time.Time{}
	if c.err != nil {
		c.f.Unlock()
		return
	}
	if next := c.eng.NextTimeout(); !next.IsZero() && !now.Before(next) {
		if c.reading.dispatching {
			c.reading.advanceDue = true // rearm follows in run
			c.f.Unlock()
			return
		}
		c.eng.Advance(now)
		c.quietEvents()
	}
	if idle := c.timer.idle; !idle.IsZero() && !now.Before(idle) {
		c.timer.idle = time.Time{}
		c.goAwayNow()
	}
	c.rearm()
	if c.eng.HasOutput() {
		c.f.Flush()
	} else {
		c.f.Unlock()
	}
	c.role.hooks()
}
