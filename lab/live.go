package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
)

// Options say how to measure. The zero value is right for most.
type Options struct {
	// RTT is the round trip that the relays simulate; 0: 100 ms. Under 20 ms the computing that TLS takes begins to show.
	RTT time.Duration
	// Repeat is how often each case is measured; the row has the median. 0: once.
	Repeat int
	// Report, if set, is told each case when it begins, with its number from 0, and when it is over; done says which.
	Report func(i int, r Row, done bool)
}

// Live measures each case, one after the other, and computes it too. It listens on loopback ports, starts the peers that the cases
// name, and leaves nothing behind. A case that could not be measured has a row with Error. The error is that nothing could be
// measured, the context's, or a computation's.
func Live(ctx context.Context, cases []Case, o Options) ([]Row, error) {
	o.RTT = wholeRTT(o.RTT)
	if o.Report == nil {
		o.Report = func(int, Row, bool) {}
	}
	rows, err := Exact(cases, o.RTT)
	if err != nil {
		return nil, err
	}
	s, err := newSite(o.RTT)
	if err != nil {
		return nil, err
	}
	defer s.close()
	for i, c := range cases {
		o.Report(i, rows[i], false)
		n, err := s.measure(ctx, c, o)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rows[i].Live = n
		if err != nil {
			rows[i].Error = err.Error()
		}
		o.Report(i, rows[i], true)
	}
	return rows, nil
}

// measure returns the median of c's round trips.
func (s *site) measure(ctx context.Context, c Case, o Options) (float64, error) {
	addr, err := s.find(ctx, c)
	if err != nil {
		return 0, err
	}
	exact, err := c.exact(o.RTT)
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for range max(o.Repeat, 1) {
		t, err := s.measureOnce(ctx, c, "wss://"+addr+"/", exact.by)
		if err != nil {
			return 0, err
		}
		took = append(took, t)
	}
	slices.Sort(took)
	middle := (took[(len(took)-1)/2] + took[len(took)/2]) / 2
	return float64(middle) / float64(o.RTT), nil
}

// measureOnce dials once, with nothing known but what the case's earlier dial has found out.
func (s *site) measureOnce(ctx context.Context, c Case, url string, by negotiate.Rung) (time.Duration, error) {
	d := &weft.Dialer{TLSConfig: &tls.Config{RootCAs: s.roots}, NetDial: s.dial, NetDialUDP: s.udp, Proxy: noProxy}
	defer d.Close()
	if c.before != nil {
		earlier, err := s.before(ctx, d, c, url)
		if err != nil {
			return 0, fmt.Errorf("the dial before: %w", err)
		}
		defer earlier.CloseNow()
	}
	start := time.Now()
	conn, _, err := d.Dial(ctx, url, &weft.DialOptions{Policy: &c.policy})
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	defer conn.CloseNow()
	if got := conn.Trace().Rung; got != by {
		return 0, fmt.Errorf("it is rung %s that opened it, computed was %s", got, by)
	}
	return took, nil
}

// before makes the dial that is not measured, and waits until all that follows from it is over.
func (s *site) before(ctx context.Context, d *weft.Dialer, c Case, url string) (*weft.Conn, error) {
	conn, _, err := d.Dial(ctx, url, &weft.DialOptions{Policy: c.before})
	if err != nil {
		return nil, err
	}
	// Once a frame has come the dialer remembers that it works. The client speaks first: Apache keeps what its backend says at once
	// until something comes from the client.
	if err := exchange(ctx, conn); err != nil {
		conn.CloseNow()
		return nil, err
	}
	if !c.keep {
		conn.CloseNow()
		d.Close()
	}
	select {
	case <-time.After(3 * s.rtt):
		return conn, nil
	case <-ctx.Done():
		conn.CloseNow()
		return nil, context.Cause(ctx)
	}
}

// exchange sends a message and waits for one.
func exchange(ctx context.Context, conn *weft.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	if err := conn.Write(ctx, weft.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, _, err := conn.Read(ctx)
	return err
}

const exchangeTimeout = 10 * time.Second

// noProxy keeps the environment's proxies out: everything is on this machine.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }
