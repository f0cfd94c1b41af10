package weft_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftws/weft"
)

// Streams whose reader has stopped fill the window of their connection, and no other's: what is kept is bounded by ConnWindow.
func TestAttackHTTP3Windows(t *testing.T) {
	a := newArena(t, true, func(s *weft.Server) { s.Options.ConnWindow = 2 << 20 })
	a.beside(48<<20, func() {
		d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.H3}}}
		defer d.Close()
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(a.Context(), 500*time.Millisecond)
		defer cancel()
		for range 20 {
			c, _, err := d.Dial(a.Context(), "wss://"+a.addr+"/deaf", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			wg.Go(func() {
				for c.Write(ctx, weft.MessageBinary, make([]byte, 64<<10)) == nil {
				}
			})
		}
		wg.Wait()
	})
}

// A header section that is too large costs the request; unknown protocols are answered.
func TestAttackHTTP3Requests(t *testing.T) {
	a := newArena(t, true, nil)
	a.beside(64<<20, func() {
		d := &weft.Dialer{TLSConfig: a.tls, Policy: weft.Policy{Rungs: []weft.Rung{weft.H3}}}
		defer d.Close()
		for range 20 {
			_, res, err := d.Dial(a.Context(), "wss://"+a.addr+"/ws", &weft.DialOptions{HTTPHeader: http.Header{"X": {strings.Repeat("x", 100<<10)}}})
			if err == nil {
				t.Fatal("a header of 100 KiB is let in")
			}
			if res != nil {
				res.Body.Close()
			}
		}
		_, res, err := d.Dial(a.Context(), "wss://"+a.addr+"/ws", &weft.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
		if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Fatalf("%v, %v", res, err)
		}
		res.Body.Close()
	})
	a.wantCount("refused/foreign-origin", 1)
}
