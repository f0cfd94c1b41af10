package weft

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// A Reconnector keeps a WebSocket open: when it was lost or the server closed it to restart, and when a Dial fails that may succeed later, it
// waits and dials again. Waits are random from the first one on, so that clients which a server told to go at the same time do not come
// back at the same time. Only URL, or Dial, has to be set. It is not changed by Run, of which several may be under way.
//
// What was received stays received: Run hands every WebSocket to a function, whose Reads have returned all that had arrived before the end. What the
// server did with the last Writes nobody knows: docs/reconnecting.md.
type Reconnector struct {
	Dialer  *Dialer // nil: DefaultDialer
	URL     string
	Options *DialOptions // of each Dial; may be nil

	// Dial, if set, dials in place of Dialer, URL and Options: with a token that is fetched each time, another URL in turn. It returns
	// what [Dialer.Dial] does; the response, if there is one, is asked for Retry-After.
	Dial func(ctx context.Context) (*Conn, *http.Response, error)

	Backoff Backoff

	// Retryable says whether to dial again after err, which is Dial's or what the function given to Run returned; nil: [Retryable].
	Retryable func(err error) bool

	// OnRetry is told before each wait; nil: nobody is. It must not block.
	OnRetry func(Retry)
}

// A Retry says what a [Reconnector] waits for.
type Retry struct {
	Count int           // of retries in a row, this one included
	Wait  time.Duration // until the Dial
	Err   error         // why: Dial's error, or how the WebSocket ended
}

// Run dials, calls f with the WebSocket, and does so again until f returns nil or an error after which a retry is no use, or [Backoff.Limit] is
// reached: then it returns that error; nil after nil. It returns ctx's error when ctx ends while it dials or waits.
//
// The context that f gets is ctx, and ends when f returns. What f returns should wrap the error of the Conn's that ended it, so that it is clear
// whether to dial again; a Read or a Write may return one of a lost connection or a Close frame, and so may a Handler's OnClose. Afterwards Run
// closes the Conn if f did not: with StatusNormalClosure after nil or when ctx is done (see [Conn.Close] for how long that takes), else at once.
func (r *Reconnector) Run(ctx context.Context, f func(ctx context.Context, c *Conn) error) error {
	s := schedule{backoff: r.Backoff.orDefaults()}
	retryable := r.Retryable
	if retryable == nil {
		retryable = Retryable
	}
	for {
		lived, resp, err := r.once(ctx, f)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && lived == 0:
			return ctx.Err()
		case ctx.Err() != nil || !retryable(err):
			return err
		}
		wait, ok := s.next(lived, retryAfter(resp, time.Now()), rand.Float64())
		if !ok {
			return fmt.Errorf("weft: gave up after %d retries: %w", s.count, err)
		}
		if r.OnRetry != nil {
			r.OnRetry(Retry{Count: s.count, Wait: wait, Err: err})
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// once dials and calls f. lived is how long the WebSocket was f's; 0: there was none.
func (r *Reconnector) once(ctx context.Context, f func(context.Context, *Conn) error) (lived time.Duration, resp *http.Response, err error) {
	c, resp, err := r.dial(ctx)
	if err != nil {
		return 0, resp, err
	}
	defer func() {
		if !c.closeBegun() { // else it ends by itself, and what is queued gets out
			c.CloseNow()
		}
	}()
	start := time.Now()
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	err = f(own, c)
	lived = max(time.Since(start), 1)
	if err == nil || ctx.Err() != nil {
		c.Close(StatusNormalClosure, "")
	}
	return lived, nil, err
}

func (r *Reconnector) dial(ctx context.Context) (*Conn, *http.Response, error) {
	switch {
	case r.Dial != nil:
		return r.Dial(ctx)
	case r.Dialer != nil:
		return r.Dialer.Dial(ctx, r.URL, r.Options)
	}
	return DefaultDialer.Dial(ctx, r.URL, r.Options)
}

// sleep returns ctx's error if that ends before d has passed.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
