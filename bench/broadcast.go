package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftws/weft/bench/load"
)

// A hall is who is there for a broadcast.
type hall struct {
	pr       *process
	speaker  *load.Fleet
	stalled  *load.Fleet // or nil
	audience *load.Fleet
	dropped  int64 // for the stalled, before a broadcast
	expected int   // members that ever joined
}

// openHall opens the WebSockets of s and that of the speaker. Those that stall come before, and are told so much that nothing more
// goes on its way to them.
func openHall(pr *process, t load.Target, s load.Spec) (h *hall, err error) {
	h = &hall{pr: pr}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 2*openTime)
	defer cancel()
	one := s
	one.Conns, one.Streams, one.InFlight = 1, 1, 64
	if h.speaker, err = load.Open(ctx, t, one); err != nil {
		return nil, err
	}
	if s.Stalled > 0 {
		one.Conns = s.Stalled
		if h.stalled, err = load.Open(ctx, t, one); err != nil {
			return nil, err
		}
		if err := h.joined(1 + s.Stalled); err != nil { // the speaker is one
			return nil, err
		}
		if _, err := h.speaker.Echo(load.Limit{Count: enough}); err != nil {
			return nil, err
		}
	}
	if s.Stalled == 0 {
		h.expected = 1
	}
	return h, h.open(t, s)
}

// open opens the audience.
func (h *hall) open(t load.Target, s load.Spec) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*openTime)
	defer cancel()
	if h.audience, err = load.Open(ctx, t, s); err != nil {
		return err
	}
	return h.joined(s.WebSockets())
}

// enough messages fill the window of a stream, and are a whole number of scripts.
const enough = 1 << 16

// joined waits until the server knows n members more.
func (h *hall) joined(n int) error {
	h.expected += n
	for end := time.Now().Add(openTime); ; {
		st, err := h.pr.ask("stats")
		if err != nil {
			return err
		}
		if st.Members == int64(h.expected) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d members after %v, not %d", st.Members, openTime, h.expected)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// broadcast has the speaker speak, and makes sure that the stalled have stalled.
func (h *hall) broadcast(l load.Limit) (int64, error) {
	n, err := h.audience.Broadcast(h.speaker, l)
	if err != nil || h.stalled == nil {
		return n, err
	}
	st, err := h.pr.ask("stats")
	if err != nil {
		return n, err
	}
	if st.Dropped <= h.dropped {
		return n, errors.New("the peer that reads nothing has not stalled")
	}
	h.dropped = st.Dropped
	return n, nil
}

func (h *hall) close() {
	for _, f := range []*load.Fleet{h.speaker, h.stalled, h.audience} {
		if f != nil {
			f.Close()
		}
	}
}
