package load

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// An audience is a fleet that only listens: one goroutine a connection, until the fleet is closed.
type audience struct {
	heard   atomic.Int64 // deliveries
	want    atomic.Int64 // how many make the message that is under way complete
	reached chan struct{}
	failed  chan error
}

// A listener is a conn whose WebSockets can be listened to.
type listener interface {
	// listen reports how many messages came, as they come, until reading fails.
	listen(heard func(n int)) error
}

// Broadcast is for a server that sends to all what one sends it. The speaker, a fleet of one WebSocket that joined no later than f,
// sends one message after the other until the limit, each when everybody has got the one before, and the number of deliveries
// is returned. f hears what the speaker says from the beginning of its script, and is good for nothing else any more.
func (f *Fleet) Broadcast(speaker *Fleet, l Limit) (int64, error) {
	if err := f.listen(); err != nil {
		return 0, err
	}
	a := f.audience
	began, start := time.Now(), a.heard.Load()
	said := 0
	for ; l.Count == 0 || said < l.Count; said++ {
		if l.For > 0 && time.Since(began) >= l.For {
			break
		}
		a.want.Store(start + int64(said+1)*int64(f.spec.WebSockets()))
		if _, err := speaker.Echo(Limit{Count: 1}); err != nil {
			return 0, fmt.Errorf("speaker: %w", err)
		}
		late := time.NewTimer(patience)
		select {
		case <-a.reached:
		case err := <-a.failed:
			return 0, err
		case <-late.C:
			return 0, fmt.Errorf("%d of %d deliveries after %v", a.heard.Load()-start, a.want.Load()-start, patience)
		}
		late.Stop()
	}
	return a.heard.Load() - start + int64(said), nil
}

func (f *Fleet) listen() error {
	if f.audience != nil {
		return nil
	}
	a := &audience{reached: make(chan struct{}, 1), failed: make(chan error, len(f.conns))}
	f.audience = a
	for _, c := range f.conns {
		l, ok := c.(listener)
		if !ok {
			return errors.New("broadcasts over this protocol are not measured")
		}
		c.setDeadline(time.Time{})
		go func() {
			a.failed <- l.listen(func(n int) {
				if a.heard.Add(int64(n)) == a.want.Load() {
					a.reached <- struct{}{}
				}
			})
		}()
	}
	return nil
}

func (c *h1conn) listen(heard func(int)) error {
	for {
		n, err := c.receive()
		if err != nil {
			return err
		}
		if n > 0 {
			heard(n)
		}
	}
}

// receive reads once, answers what has to be, and returns how many messages came.
func (c *h1conn) receive() (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n, err := c.rx.feed(c.in[c.r:c.w])
	c.r = c.w
	if err == nil && c.rx.closed {
		err = c.rx.closeError()
	}
	if err != nil {
		return n, err
	}
	return n, c.flush()
}

func (c *h2conn) listen(heard func(int)) error {
	c.round = &round{}
	c.round.stop.Store(true)
	for {
		if err := c.fill(); err != nil {
			return err
		}
		before := c.outstanding
		if err := c.parse(); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		if n := before - c.outstanding; n > 0 {
			heard(n)
		}
	}
}
