package weft_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weftws/weft"
)

// After the peer closed, Close waits until our answer is out, so that a program may exit after it.
func TestCloseAfterThePeers(t *testing.T) {
	got := make(chan error, 1)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := weft.Accept(w, r, nil); err == nil {
			got <- c.Close(weft.StatusGoingAway, "")
		}
	}, func(t *testing.T, e *env) {
		got = make(chan error, 1)
		c := e.dial("/", nil)
		if _, _, err := c.Read(e.ctx); weft.CloseStatus(err) != weft.StatusGoingAway {
			t.Fatal(err)
		}
		start := time.Now()
		if err := c.Close(weft.StatusNormalClosure, ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d < rtt || d > 2*time.Second {
			t.Errorf("Close took %v, want a round trip or so", d)
		}
		select {
		case err := <-got:
			if err != nil {
				t.Errorf("server's Close: %v", err)
			}
		default:
			t.Error("the server had not seen our answer when Close returned")
		}
	})
}

// A peer that sends Pings without measure is closed with 1008; a lively one is not.
func TestPingFlood(t *testing.T) {
	overEach(t, echo, func(t *testing.T, e *env) {
		c := e.dial("/", nil)
		defer c.CloseNow()
		ctx := c.CloseRead(e.ctx)
		for range 500 { // at a rate that is allowed
			if err := c.Ping(e.ctx); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		for range 1100 {
			ping, cancel := context.WithCancel(e.ctx)
			go func() { defer cancel(); c.Ping(ping) }()
		}
		<-ctx.Done()
		if err := c.Ping(e.ctx); weft.CloseStatus(err) != weft.StatusPolicyViolation {
			t.Errorf("after a flood: %v", err)
		}
	})
}
